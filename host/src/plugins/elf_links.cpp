#include "plugins/elf_links.hpp"

#include "plugins/elf_file.hpp"
#include "plugins/mangled_name.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

namespace grevy::host {

namespace {

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// libtorch.so, libtorch_cpu.so.1.13, libc10-4f1b.so, in a folder or not; not libtorchwood.so.
bool is_library(std::string_view name) {
  name.remove_prefix(name.find_last_of('/') + 1);
  for (const std::string_view known : {"libtorch", "libc10", "libcaffe2"}) {
    if (!starts_with(name, known)) continue;
    const std::string_view rest = name.substr(known.size());
    if (rest.empty() || std::isalnum(static_cast<unsigned char>(rest[0])) == 0) return true;
  }
  return false;
}

bool is_symbol(std::string_view name) {
  if (starts_with(name, "aoti_torch_")) return true;  // LibTorch's functions in C
  for (const std::string_view space : {"at", "c10", "c10d", "torch", "caffe2"})
    if (names_namespace(name, space)) return true;
  return false;
}

// Of a symbol, whose namespace stands at its beginning: files may claim names of megabytes.
constexpr std::size_t longest_name = 4096;

// The text at `offset`, as far as it is looked at; damaged names are empty.
std::string text_at(const std::string& names, std::uint64_t offset) {
  if (offset >= names.size()) return {};
  const std::string text = names.substr(offset, longest_name);
  return text.substr(0, text.find('\0'));
}

// Needed symbols among `table`, which holds Elf64_Sym one after the other.
std::string needed_among(const std::vector<Elf64_Sym>& table, const std::string& names) {
  for (const Elf64_Sym& symbol : table) {
    if (symbol.st_shndx != SHN_UNDEF) continue;
    const std::string name = text_at(names, symbol.st_name);
    if (is_symbol(name)) return name;
  }
  return {};
}

// ---- As the loader sees it: by addresses in the dynamic segment --------------------------------

class Dynamic {
 public:
  Dynamic(InputFile& file, const std::vector<Elf64_Phdr>& segments, const Elf64_Phdr& segment)
      : file_(file), segments_(segments) {
    entries_ = read_table<Elf64_Dyn>(file, segment.p_offset, segment.p_filesz / sizeof(Elf64_Dyn),
                                     sizeof(Elf64_Dyn), "dynamic entries");
    const auto end = std::find_if(entries_.begin(), entries_.end(),
                                  [](const Elf64_Dyn& entry) { return entry.d_tag == DT_NULL; });
    entries_.erase(end, entries_.end());
    if (has(DT_STRTAB))
      names_ = read_range(file, offset_of(value(DT_STRTAB)), value(DT_STRSZ), "dynamic names");
  }

  std::string needed_library() const {
    for (const Elf64_Dyn& entry : entries_) {
      const std::string name = entry.d_tag == DT_NEEDED ? text_at(names_, entry.d_un.d_val) : "";
      if (is_library(name)) return name;
    }
    return {};
  }

  std::string needed_symbol() const {
    if (!has(DT_SYMTAB)) return {};
    const std::size_t entry_size = has(DT_SYMENT) ? value(DT_SYMENT) : sizeof(Elf64_Sym);
    return needed_among(read_table<Elf64_Sym>(file_, offset_of(value(DT_SYMTAB)), symbol_count(),
                                              entry_size, "dynamic symbols"),
                        names_);
  }

 private:
  bool has(Elf64_Sxword tag) const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [&](const Elf64_Dyn& entry) { return entry.d_tag == tag; });
  }
  // Of the last entry of this kind, as the loader has it; 0 where there is none.
  std::uint64_t value(Elf64_Sxword tag) const {
    std::uint64_t found = 0;
    for (const Elf64_Dyn& entry : entries_)
      if (entry.d_tag == tag) found = entry.d_un.d_val;
    return found;
  }
  // Where an address lies in the file; its end where it lies nowhere.
  std::uint64_t offset_of(std::uint64_t address) const {
    for (const Elf64_Phdr& s : segments_)
      if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz &&
          file_.holds(s.p_offset, s.p_filesz))
        return s.p_offset + (address - s.p_vaddr);
    return file_.size();
  }
  template <typename T>
  T read_at(std::uint64_t offset, const char* what) const {
    return load<T>(read_range(file_, offset, sizeof(T), what), 0);
  }

  // The table of symbols says nowhere how long it is: the tables to look names up in do.
  std::size_t symbol_count() const {
    std::size_t count = 0;
    // Two counts; the second is that of symbols.
    if (has(DT_HASH))
      count = read_at<Elf64_Word>(offset_of(value(DT_HASH)) + sizeof(Elf64_Word), "hash table");
    if (has(DT_GNU_HASH)) count = std::max(count, gnu_symbol_count());
    return count;
  }

  // This one holds symbols from `first` on, in chains; the last chain ends with the last symbol.
  std::size_t gnu_symbol_count() const {
    struct Header {
      Elf64_Word bucket_count, first, bloom_count, bloom_shift;
    };
    const char* what = "GNU hash table";
    const std::uint64_t at = offset_of(value(DT_GNU_HASH));
    const auto header = read_at<Header>(at, what);
    const std::uint64_t buckets_at =
        at + sizeof(Header) + std::uint64_t{header.bloom_count} * sizeof(Elf64_Xword);
    const std::uint64_t chains_at =
        buckets_at + std::uint64_t{header.bucket_count} * sizeof(Elf64_Word);
    std::uint64_t last = 0;
    for (const Elf64_Word bucket :
         read_table<Elf64_Word>(file_, buckets_at, header.bucket_count, sizeof(Elf64_Word), what))
      last = std::max<std::uint64_t>(last, bucket);
    if (last < header.first) return header.first;  // none of its own is to be found by name
    const std::uint64_t chain_at =
        std::min(chains_at + (last - header.first) * sizeof(Elf64_Word), file_.size());
    const std::string chain =
        read_range(file_, chain_at, std::min(file_.size() - chain_at, elf_table_limit), what);
    std::size_t length = 0;
    do {
      if (chain.size() < (length + 1) * sizeof(Elf64_Word))
        fail_damaged(file_, std::string(what) + ": a chain has no end");
    } while ((load<Elf64_Word>(chain, length++ * sizeof(Elf64_Word)) & 1u) == 0);
    return last + length;
  }

  InputFile& file_;
  const std::vector<Elf64_Phdr>& segments_;
  std::vector<Elf64_Dyn> entries_;
  std::string names_;
};

// ---- As tools see it: by section headers, which a file need not have ---------------------------

std::string needed_by_sections(InputFile& file, const std::vector<Elf64_Shdr>& sections) {
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_link >= sections.size()) fail_damaged(file, "its symbols have no names");
    const Elf64_Shdr& names_at = sections[section.sh_link];
    const std::string names =
        read_range(file, names_at.sh_offset, names_at.sh_size, "names of symbols");
    const std::string needed = needed_among(
        read_table<Elf64_Sym>(file, section.sh_offset, section.sh_size / sizeof(Elf64_Sym),
                              sizeof(Elf64_Sym), "dynamic symbols"),
        names);
    if (!needed.empty()) return needed;
  }
  return {};
}

}  // namespace

std::string needed_of_libtorch(const std::filesystem::path& path) {
  InputFile file(path, ErrorCode::incompatible, elf_wanted);
  const Elf64_Ehdr header = read_elf_header(file);
  const std::vector<Elf64_Phdr> segments = read_segments(file, header);
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) continue;
    const Dynamic dynamic(file, segments, segment);
    std::string needed = dynamic.needed_library();
    if (needed.empty()) needed = dynamic.needed_symbol();
    if (!needed.empty()) return needed;
  }
  return needed_by_sections(file, read_sections(file, header));
}

}  // namespace grevy::host

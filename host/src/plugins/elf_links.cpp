#include "plugins/elf_links.hpp"

#include "plugins/elf_file.hpp"

#include <algorithm>
#include <string_view>

namespace grevy::host {

namespace {

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool is_library(std::string_view name) {
  return starts_with(name, "libtorch") || starts_with(name, "libc10");
}

// Names of C++ carry their namespaces: N2at... and NK2at... begin nested names in at.
bool is_symbol(std::string_view name) {
  if (!starts_with(name, "_Z")) return false;
  for (const std::string_view space : {"N2at", "NK2at", "N3c10", "NK3c10", "N5torch", "NK5torch"})
    if (name.find(space) != std::string_view::npos) return true;
  return false;
}

// The text at `offset`; damaged names are empty.
std::string text_at(const std::string& names, std::uint64_t offset) {
  if (offset >= names.size()) return {};
  return names.substr(offset, names.find('\0', offset) - offset);
}

// Where the loader's address lies in the file; the file's size where it lies nowhere.
std::uint64_t file_offset(const std::vector<Elf64_Phdr>& segments, std::uint64_t address,
                          std::uint64_t otherwise) {
  for (const Elf64_Phdr& s : segments)
    if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz)
      return s.p_offset + (address - s.p_vaddr);
  return otherwise;
}

std::string needed_library(InputFile& file, const std::vector<Elf64_Phdr>& segments) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) continue;
    const auto entries =
        read_table<Elf64_Dyn>(file, segment.p_offset, segment.p_filesz / sizeof(Elf64_Dyn),
                              sizeof(Elf64_Dyn), "dynamic entries");
    const auto value = [&](Elf64_Sxword tag) {
      const auto at = std::find_if(entries.begin(), entries.end(),
                                   [&](const Elf64_Dyn& entry) { return entry.d_tag == tag; });
      return at == entries.end() ? Elf64_Xword{0} : at->d_un.d_val;
    };
    const std::string names = read_range(file, file_offset(segments, value(DT_STRTAB), file.size()),
                                         value(DT_STRSZ), "names of libraries");
    for (const Elf64_Dyn& entry : entries) {
      if (entry.d_tag == DT_NULL) break;
      const std::string name = entry.d_tag == DT_NEEDED ? text_at(names, entry.d_un.d_val) : "";
      if (is_library(name)) return name;
    }
  }
  return {};
}

std::string needed_symbol(InputFile& file, const std::vector<Elf64_Shdr>& sections) {
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_link >= sections.size()) fail_damaged(file, "its symbols have no names");
    const Elf64_Shdr& names_at = sections[section.sh_link];
    const std::string names =
        read_range(file, names_at.sh_offset, names_at.sh_size, "names of symbols");
    for (const Elf64_Sym& symbol :
         read_table<Elf64_Sym>(file, section.sh_offset, section.sh_size / sizeof(Elf64_Sym),
                               sizeof(Elf64_Sym), "dynamic symbols")) {
      if (symbol.st_shndx != SHN_UNDEF) continue;
      const std::string name = text_at(names, symbol.st_name);
      if (is_symbol(name)) return name;
    }
  }
  return {};
}

}  // namespace

std::string needed_of_libtorch(const std::filesystem::path& path) {
  InputFile file(path, ErrorCode::incompatible, elf_wanted);
  const Elf64_Ehdr header = read_elf_header(file);
  const std::string library = needed_library(file, read_segments(file, header));
  return library.empty() ? needed_symbol(file, read_sections(file, header)) : library;
}

}  // namespace grevy::host

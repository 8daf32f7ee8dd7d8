#include "plugins/elf_notes.hpp"

#include "files/input_file.hpp"

#include <cstddef>
#include <cstring>
#include <elf.h>
#include <string_view>
#include <utility>

namespace grevy::host {

namespace {

constexpr std::uint64_t kAreaLimit = std::uint64_t{64} << 20;
constexpr std::uint64_t kTextLimit = std::uint64_t{4} << 20;
constexpr std::size_t kNoteLimit = 4096;
constexpr std::string_view kOwner = "Grevy";
constexpr std::string_view kSection{".note.grevy\0", 12};  // with its end, to match whole names
constexpr const char* kWanted = "an ELF shared library";

#if defined(__x86_64__)
constexpr unsigned kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kMachine = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned kMachine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr unsigned kMachine = EM_PPC64;
#else
#error "unknown machine: add its EM_ number here"
#endif

constexpr std::pair<unsigned, const char*> kMachineNames[] = {
    {EM_386, "32-bit x86"},  {EM_X86_64, "x86-64"},   {EM_ARM, "32-bit ARM"},
    {EM_AARCH64, "AArch64"}, {EM_PPC64, "PowerPC64"}, {EM_RISCV, "RISC-V"},
};

constexpr std::pair<unsigned, const char*> kTypeNames[] = {
    {ET_NONE, "of no type"},
    {ET_REL, "an object file"},
    {ET_EXEC, "a program"},
    {ET_CORE, "a memory dump"},
};

template <std::size_t N>
std::string name_of(const std::pair<unsigned, const char*> (&names)[N], unsigned number) {
  for (const auto& [known, name] : names) {
    if (known == number) return name;
  }
  return "of unknown number " + std::to_string(number);
}

[[noreturn]] void fail(const InputFile& file, const std::string& what) {
  file.fail(ErrorCode::incompatible, what);
}

[[noreturn]] void fail_damaged(const InputFile& file, const std::string& what) {
  fail(file, "is truncated or damaged: " + what);
}

[[noreturn]] void fail_machine(const InputFile& file, const std::string& found) {
  fail(file, "was built for another machine: it is " + found + "; this program is 64-bit " +
                 "little-endian " + name_of(kMachineNames, kMachine));
}

std::string read_range(InputFile& file, std::uint64_t offset, std::uint64_t size,
                       const std::string& what) {
  if (!file.holds(offset, size)) {
    fail_damaged(file, what + ": " + std::to_string(size) + " bytes at " + std::to_string(offset) +
                           " are outside the file of " + std::to_string(file.size()) + " bytes");
  }
  if (size > kAreaLimit) {
    fail_damaged(file, what + ": found " + std::to_string(size) + " bytes; at most " +
                           std::to_string(kAreaLimit) + " are allowed");
  }
  return file.read(offset, size);
}

// The caller has checked that `bytes` holds a T at `at`.
template <typename T>
T load(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <typename T>
std::vector<T> read_table(InputFile& file, std::uint64_t offset, std::size_t count,
                          std::size_t entry_size, const std::string& what) {
  if (count == 0) return {};
  if (entry_size != sizeof(T)) {
    fail_damaged(file, what + ": found entries of " + std::to_string(entry_size) +
                           " bytes; must be " + std::to_string(sizeof(T)));
  }
  const std::string bytes = read_range(file, offset, count * sizeof(T), what);
  std::vector<T> table(count);
  std::memcpy(table.data(), bytes.data(), bytes.size());
  return table;
}

void check_identity(const InputFile& file, const std::string& identity) {
  if (identity.compare(0, SELFMAG, ELFMAG) != 0) fail(file, std::string("is not ") + kWanted);
  if (identity.size() < EI_NIDENT) fail_damaged(file, "the ELF header is cut off");
  if (identity[EI_CLASS] != ELFCLASS64) fail_machine(file, "not 64-bit");
  if (identity[EI_DATA] != ELFDATA2LSB) fail_machine(file, "not little-endian");
}

Elf64_Ehdr read_header(InputFile& file) {
  const std::uint64_t size = file.size() < EI_NIDENT ? file.size() : std::uint64_t{EI_NIDENT};
  check_identity(file, file.read(0, size));
  const auto header = load<Elf64_Ehdr>(read_range(file, 0, sizeof(Elf64_Ehdr), "ELF header"), 0);
  if (header.e_machine != kMachine) fail_machine(file, name_of(kMachineNames, header.e_machine));
  if (header.e_type != ET_DYN) {
    fail(file, std::string("is not ") + kWanted + ": it is " + name_of(kTypeNames, header.e_type));
  }
  return header;
}

std::string_view without_zeros(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\0') + 1);
}

std::uint64_t padded(std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; }

class Collector {
 public:
  explicit Collector(InputFile& file) : file_(file) {}

  void add_area(std::uint64_t offset, std::uint64_t size) {
    const std::string area = read_range(file_, offset, size, "note area");
    total_ += size;
    if (total_ > kAreaLimit) {
      fail_damaged(
          file_, "the note areas together have more than " + std::to_string(kAreaLimit) + " bytes");
    }
    std::uint64_t at = 0;
    while (area.size() - at >= sizeof(Elf64_Nhdr)) {
      at = take_note(area, at);
      if (at >= area.size()) return;
    }
  }

  std::vector<ElfNote> take() { return std::move(notes_); }
  bool empty() const { return notes_.empty(); }

 private:
  // Returns where the next note may begin; no name means that this is padding.
  std::uint64_t take_note(const std::string& area, std::uint64_t at) {
    const auto header = load<Elf64_Nhdr>(area, at);
    if (header.n_namesz == 0) return at + 4;
    const std::uint64_t name_at = at + sizeof header;
    const std::uint64_t text_at = name_at + padded(header.n_namesz);
    const std::uint64_t end = text_at + header.n_descsz;
    if (end > area.size()) fail_damaged(file_, "a note reaches beyond its area");
    if (++seen_ > kNoteLimit) {
      fail_damaged(file_, "more than " + std::to_string(kNoteLimit) + " notes");
    }
    const std::string_view view(area);
    if (without_zeros(view.substr(name_at, header.n_namesz)) == kOwner) {
      add_note(header.n_type, view.substr(text_at, header.n_descsz));
    }
    return padded(end);
  }

  void add_note(std::uint32_t type, std::string_view text) {
    if (text.size() > kTextLimit) {
      fail_damaged(file_, "a Grevy note has " + std::to_string(text.size()) + " bytes; at most " +
                              std::to_string(kTextLimit) + " are allowed");
    }
    notes_.push_back({type, std::string(without_zeros(text))});
  }

  InputFile& file_;
  std::uint64_t total_ = 0;
  std::size_t seen_ = 0;
  std::vector<ElfNote> notes_;
};

void collect_segments(InputFile& file, const Elf64_Ehdr& header, Collector& out) {
  const auto segments = read_table<Elf64_Phdr>(file, header.e_phoff, header.e_phnum,
                                               header.e_phentsize, "program headers");
  for (const Elf64_Phdr& segment : segments) {
    // Loading a file that lacks a part of these would end the process, not fail.
    if (segment.p_type == PT_LOAD && !file.holds(segment.p_offset, segment.p_filesz)) {
      fail_damaged(file, "a part that is loaded reaches beyond the file's end");
    }
    if (segment.p_type == PT_NOTE) out.add_area(segment.p_offset, segment.p_filesz);
  }
}

void collect_sections(InputFile& file, const Elf64_Ehdr& header, Collector& out) {
  if (header.e_shoff == 0 || header.e_shstrndx >= header.e_shnum) return;
  const auto sections = read_table<Elf64_Shdr>(file, header.e_shoff, header.e_shnum,
                                               header.e_shentsize, "section headers");
  const Elf64_Shdr& names_at = sections[header.e_shstrndx];
  if (names_at.sh_type != SHT_STRTAB) return;
  const std::string names = read_range(file, names_at.sh_offset, names_at.sh_size, "section names");
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_NOBITS || section.sh_name >= names.size()) continue;
    if (names.compare(section.sh_name, kSection.size(), kSection) != 0) continue;
    out.add_area(section.sh_offset, section.sh_size);
  }
}

}  // namespace

std::vector<ElfNote> read_grevy_notes(const std::filesystem::path& path) {
  InputFile file(path, ErrorCode::incompatible, kWanted);
  const Elf64_Ehdr header = read_header(file);
  Collector notes(file);
  collect_segments(file, header, notes);
  if (notes.empty()) collect_sections(file, header, notes);
  if (notes.empty()) fail(file, "has no Grevy note: it is not a Grevy plugin");
  return notes.take();
}

}  // namespace grevy::host

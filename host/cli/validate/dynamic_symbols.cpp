#include "dynamic_symbols.hpp"

#include "files/input_file.hpp"

#include <cstring>
#include <elf.h>
#include <string_view>

namespace grevy::cli {
namespace {

using host::InputFile;

constexpr std::uint64_t kTableLimit = std::uint64_t{256} << 20;

std::string read_range(InputFile& file, std::uint64_t offset, std::uint64_t size,
                       const char* what) {
  if (!file.holds(offset, size) || size > kTableLimit)
    file.fail(ErrorCode::incompatible, std::string(what) + ": outside the file");
  return file.read(offset, size);
}

template <class Entry>
std::vector<Entry> read_table(InputFile& file, std::uint64_t offset, std::uint64_t size,
                              const char* what) {
  const std::string bytes = read_range(file, offset, size, what);
  std::vector<Entry> table(bytes.size() / sizeof(Entry));
  std::memcpy(table.data(), bytes.data(), table.size() * sizeof(Entry));
  return table;
}

std::vector<Elf64_Shdr> read_sections(InputFile& file) {
  const auto header = read_table<Elf64_Ehdr>(file, 0, sizeof(Elf64_Ehdr), "the ELF header").front();
  const bool fits = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                    header.e_ident[EI_CLASS] == ELFCLASS64 &&
                    header.e_ident[EI_DATA] == ELFDATA2LSB;
  if (!fits) file.fail(ErrorCode::incompatible, "is no 64-bit little-endian ELF file");
  if (header.e_shnum == 0 || header.e_shentsize != sizeof(Elf64_Shdr))
    file.fail(ErrorCode::incompatible, "has no section headers that can be read");
  const std::uint64_t size = std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  return read_table<Elf64_Shdr>(file, header.e_shoff, size, "the section headers");
}

bool is_offered(const Elf64_Sym& symbol) {
  const auto binding = ELF64_ST_BIND(symbol.st_info);
  const auto visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  return symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS && binding != STB_LOCAL &&
         (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

}  // namespace

std::vector<std::string> exported_symbols(const std::filesystem::path& path) {
  InputFile file(path, ErrorCode::incompatible, "an ELF shared library");
  const std::vector<Elf64_Shdr> sections = read_sections(file);
  std::vector<std::string> names;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_link >= sections.size())
      file.fail(ErrorCode::incompatible, "its dynamic symbols have no names");
    const Elf64_Shdr& texts = sections[section.sh_link];
    std::string text = read_range(file, texts.sh_offset, texts.sh_size, "the symbols' names");
    text += '\0';  // the last name ends, whatever the file says
    for (const Elf64_Sym& symbol : read_table<Elf64_Sym>(file, section.sh_offset, section.sh_size,
                                                         "the dynamic symbol table")) {
      if (!is_offered(symbol)) continue;
      if (symbol.st_name >= text.size())
        file.fail(ErrorCode::incompatible, "a symbol's name is outside the table of names");
      names.emplace_back(text.c_str() + symbol.st_name);
    }
  }
  return names;
}

}  // namespace grevy::cli

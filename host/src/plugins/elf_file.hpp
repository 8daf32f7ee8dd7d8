// Pieces of a 64-bit little-endian ELF library for this machine, each checked against the file.
#ifndef GREVY_HOST_ELF_FILE_HPP
#define GREVY_HOST_ELF_FILE_HPP

#include "files/input_file.hpp"

#include <cstddef>
#include <cstring>
#include <elf.h>
#include <string>
#include <vector>

namespace grevy::host {

constexpr const char* elf_wanted = "an ELF shared library";
constexpr std::uint64_t elf_table_limit = std::uint64_t{64} << 20;  // bytes of one table

// Errors of all: incompatible.
[[noreturn]] void fail_damaged(const InputFile& file, const std::string& what);
std::string read_range(InputFile& file, std::uint64_t offset, std::uint64_t size,
                       const std::string& what);

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

// The header of a shared library; another kind of file or machine is refused.
Elf64_Ehdr read_elf_header(InputFile& file);
std::vector<Elf64_Phdr> read_segments(InputFile& file, const Elf64_Ehdr& header);
// Empty where the file has none.
std::vector<Elf64_Shdr> read_sections(InputFile& file, const Elf64_Ehdr& header);

}  // namespace grevy::host

#endif

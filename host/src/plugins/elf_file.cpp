#include "plugins/elf_file.hpp"

#include <utility>

namespace grevy::host {

namespace {

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

[[noreturn]] void fail_machine(const InputFile& file, const std::string& found) {
  fail(file, "was built for another machine: it is " + found + "; this program is 64-bit " +
                 "little-endian " + name_of(kMachineNames, kMachine));
}

void check_identity(const InputFile& file, const std::string& identity) {
  if (identity.compare(0, SELFMAG, ELFMAG) != 0) fail(file, std::string("is not ") + elf_wanted);
  if (identity.size() < EI_NIDENT) fail_damaged(file, "the ELF header is cut off");
  if (identity[EI_CLASS] != ELFCLASS64) fail_machine(file, "not 64-bit");
  if (identity[EI_DATA] != ELFDATA2LSB) fail_machine(file, "not little-endian");
}

}  // namespace

void fail_damaged(const InputFile& file, const std::string& what) {
  fail(file, "is truncated or damaged: " + what);
}

std::string read_range(InputFile& file, std::uint64_t offset, std::uint64_t size,
                       const std::string& what) {
  if (!file.holds(offset, size)) {
    fail_damaged(file, what + ": " + std::to_string(size) + " bytes at " + std::to_string(offset) +
                           " are outside the file of " + std::to_string(file.size()) + " bytes");
  }
  if (size > elf_table_limit) {
    fail_damaged(file, what + ": found " + std::to_string(size) + " bytes; at most " +
                           std::to_string(elf_table_limit) + " are allowed");
  }
  return file.read(offset, size);
}

Elf64_Ehdr read_elf_header(InputFile& file) {
  const std::uint64_t size = file.size() < EI_NIDENT ? file.size() : std::uint64_t{EI_NIDENT};
  check_identity(file, file.read(0, size));
  const auto header = load<Elf64_Ehdr>(read_range(file, 0, sizeof(Elf64_Ehdr), "ELF header"), 0);
  if (header.e_machine != kMachine) fail_machine(file, name_of(kMachineNames, header.e_machine));
  if (header.e_type != ET_DYN) {
    fail(file,
         std::string("is not ") + elf_wanted + ": it is " + name_of(kTypeNames, header.e_type));
  }
  return header;
}

std::vector<Elf64_Phdr> read_segments(InputFile& file, const Elf64_Ehdr& header) {
  return read_table<Elf64_Phdr>(file, header.e_phoff, header.e_phnum, header.e_phentsize,
                                "program headers");
}

std::vector<Elf64_Shdr> read_sections(InputFile& file, const Elf64_Ehdr& header) {
  if (header.e_shoff == 0) return {};
  return read_table<Elf64_Shdr>(file, header.e_shoff, header.e_shnum, header.e_shentsize,
                                "section headers");
}

}  // namespace grevy::host

// Which symbols a shared library offers to others, read without loading it.
#ifndef GREVY_CLI_VALIDATE_DYNAMIC_SYMBOLS_HPP
#define GREVY_CLI_VALIDATE_DYNAMIC_SYMBOLS_HPP

#include <filesystem>
#include <string>
#include <vector>

namespace grevy::cli {

// Names of the defined functions and objects in the dynamic symbol table of a 64-bit little-endian
// ELF library, in file order. Every field is checked against the file. Errors: incompatible (no
// such file format, no section headers, damaged), not_found, io.
std::vector<std::string> exported_symbols(const std::filesystem::path& file);

}  // namespace grevy::cli

#endif

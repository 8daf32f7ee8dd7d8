#ifndef GREVY_HOST_FILE_HASH_HPP
#define GREVY_HOST_FILE_HASH_HPP

#include <filesystem>
#include <string>

namespace grevy::host {

// SHA-256 of a file's bytes, in hexadecimal. Errors: io.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace grevy::host

#endif

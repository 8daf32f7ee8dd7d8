// One array out of an .npz archive.
#ifndef GREVY_HOST_NPZ_HPP
#define GREVY_HOST_NPZ_HPP

#include "files/npy_header.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace grevy::host {

struct NpzArray {
  NpyHeader header;
  std::shared_ptr<const unsigned char> bytes;  // the first element, aligned for every type
  std::string where;                           // file and key, to begin messages
};

bool has_zip_magic(std::string_view bytes);

// Reads the array called `key`, or the only one if `key` is empty. `archive_bytes` is the length of
// the file: a member that claims more than so many bytes can hold is refused unread.
// Errors: as Array::open.
NpzArray read_npz(const std::filesystem::path& file, const std::string& key,
                  std::uint64_t archive_bytes);

}  // namespace grevy::host

#endif

// grevy/host/safetensors.hpp: the container of checkpoints.
//
// Format: https://github.com/huggingface/safetensors (8-byte little-endian header length, JSON
// header {name: {dtype, shape, data_offsets}, "__metadata__": {string: string}}, raw little-endian
// bytes). Nothing in a file is executed; header and offsets are checked against the file's length
// before memory is taken (header at most 100 MB, no overlap, no gap, ranges inside the file,
// shape times element size equal to the range).
#ifndef GREVY_HOST_SAFETENSORS_HPP
#define GREVY_HOST_SAFETENSORS_HPP

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace grevy::host {

// One tensor.
struct StoredTensor {
  std::string dtype;  // as the format spells it: "F32", "F64", "I64", "U8", "BOOL", ...
  std::vector<std::int64_t> shape;   // empty for a scalar
  std::vector<unsigned char> bytes;  // little-endian, C order
};

// A file whose metadata have this name is checked: its value is the SHA-256, 64 lower-case
// hexadecimal digits, of the whole file with 64 zeros ("0") in its place. Writing fills it in,
// whatever value is given; reading refuses a file of other bytes.
inline constexpr const char* checksum_key = "grevy.sha256";

// A whole file.
struct StoredTensors {
  std::map<std::string, StoredTensor> tensors;  // by name; "__metadata__" is taken by the format
  std::map<std::string, std::string> metadata;  // any texts
};

// Writes beside `file`, syncs, renames, syncs the folder: after a crash the old or the new file is
// there, whole. Equal content gives equal bytes (names sorted, header padded with blanks to 8).
// Errors: io; invalid_value where bytes do not match dtype and shape.
void write_safetensors(const std::filesystem::path& file, const StoredTensors& content);

// Errors: not_found; invalid_value (truncated, malformed, hostile, other bytes than the checksum
// says); messages name the file.
StoredTensors read_safetensors(const std::filesystem::path& file);

// Bytes of one element of a dtype of the format; 0 for an unknown one.
std::size_t element_size(const std::string& dtype);

}  // namespace grevy::host

#endif

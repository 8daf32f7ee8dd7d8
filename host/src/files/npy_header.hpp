// The header of the .npy format: what stands before the elements.
#ifndef GREVY_HOST_NPY_HEADER_HPP
#define GREVY_HOST_NPY_HEADER_HPP

#include <grevy/host/array.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grevy::host {

struct NpyHeader {
  ElementType type = ElementType::float32;
  std::size_t element_bytes = 0;
  bool swapped = false;
  bool fortran = false;  // only where that differs from C order: two dimensions above 1
  std::vector<std::int64_t> shape;
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;

  std::uint64_t file_bytes() const { return data_offset + data_bytes; }
};

// Enough of a file to tell how long its header is; no valid file is shorter.
constexpr std::size_t npy_prefix_bytes = 12;

bool has_npy_magic(std::string_view bytes);

// Length of magic, version, length field and dictionary, from the first npy_prefix_bytes.
// `where` begins every message of these functions.
std::size_t npy_header_bytes(std::string_view prefix, const std::string& where);

// Parses exactly npy_header_bytes() bytes.
NpyHeader parse_npy_header(std::string_view header, const std::string& where);

// A version 1.0 header for numbers in this machine's byte order, C order, padded to a multiple of
// 64 bytes.
std::string format_npy_header(const std::vector<std::int64_t>& shape, ElementType type);

// Bytes of all elements. Errors: invalid_value for more than 8 dimensions, a negative one, or a
// product that 64 bits do not hold (a dimension of 0 counts as 1 there, so that partial products of
// an accepted shape never overflow).
std::uint64_t array_bytes(const std::vector<std::int64_t>& shape, std::size_t element_bytes,
                          const std::string& where);
std::uint64_t array_bytes(const std::vector<std::int64_t>& shape, ElementType type,
                          const std::string& where);

// Text from a file as a message may show it: shortened, other than printable ASCII replaced.
std::string printable(std::string_view text);

}  // namespace grevy::host

#endif

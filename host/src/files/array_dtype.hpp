// The element types of NumPy files: "<f4", "|b1", ">U12".
#ifndef GREVY_HOST_ARRAY_DTYPE_HPP
#define GREVY_HOST_ARRAY_DTYPE_HPP

#include <grevy/host/array.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace grevy::host {

struct Dtype {
  ElementType type;
  std::size_t element_bytes;
  bool swapped;
};

// `where` begins the message. Errors: invalid_type (says what is allowed).
Dtype parse_dtype(std::string_view descr, const std::string& where);
[[noreturn]] void refuse_dtype(const std::string& where, std::string_view dtype, const char* why);

// A number's dtype in this machine's byte order.
std::string format_dtype(ElementType type);

// Bytes of a number, or of one character of a text.
std::size_t unit_bytes(ElementType type);

}  // namespace grevy::host

#endif

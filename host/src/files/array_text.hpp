// Text elements of any stored form and order to row-major UTF-8.
#ifndef GREVY_HOST_ARRAY_TEXT_HPP
#define GREVY_HOST_ARRAY_TEXT_HPP

#include "files/array_layout.hpp"

#include <string>
#include <vector>

namespace grevy::host {

// For utf32_text and byte_text. Errors: as Array::to_text.
std::vector<std::string> read_text(const StoredArray& array);

}  // namespace grevy::host

#endif

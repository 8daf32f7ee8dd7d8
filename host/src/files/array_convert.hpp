// Elements of any stored type and order to row-major float32 or int64.
#ifndef GREVY_HOST_ARRAY_CONVERT_HPP
#define GREVY_HOST_ARRAY_CONVERT_HPP

#include "files/array_layout.hpp"

#include <cstdint>

namespace grevy::host {

// Both are for numbers, and write as many as the shape has.
void copy_as(const StoredArray& array, float* to);

// For integers and booleans. Errors: invalid_value for a uint64 above INT64_MAX.
void copy_as(const StoredArray& array, std::int64_t* to);

}  // namespace grevy::host

#endif

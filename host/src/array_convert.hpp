// Elements of any stored type and order to row-major float32 or int64.
#ifndef GREVY_HOST_ARRAY_CONVERT_HPP
#define GREVY_HOST_ARRAY_CONVERT_HPP

#include <grevy/host/array.hpp>

#include <cstdint>
#include <vector>

namespace grevy::host {

struct StoredArray {
  const unsigned char* first;
  const std::vector<std::int64_t>& shape;
  ElementType type;
  bool fortran;
  bool swapped;
};

// Writes as many elements as the shape has.
void copy_as(const StoredArray& array, float* to);

// For integers and booleans only. Errors: invalid_value for a uint64 above INT64_MAX.
void copy_as(const StoredArray& array, std::int64_t* to);

}  // namespace grevy::host

#endif

// Elements as they lie in memory, visited in row-major order.
#ifndef GREVY_HOST_ARRAY_LAYOUT_HPP
#define GREVY_HOST_ARRAY_LAYOUT_HPP

#include <grevy/host/array.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace grevy::host {

struct StoredArray {
  const unsigned char* first;
  const std::vector<std::int64_t>& shape;
  ElementType type;
  std::size_t element_bytes;
  bool fortran;
  bool swapped;
  const std::string& where;  // begins messages
};

// 1 for a scalar.
std::int64_t count_elements(const std::vector<std::int64_t>& shape);

// Element (i, j, ...) lies at i * strides[0] + j * strides[1] + ..., counted in elements. C order
// is one long dimension here, and so is an array without elements: only it has a dimension of 0.
struct Layout {
  std::vector<std::int64_t> shape, strides;
};

Layout layout_of(const StoredArray& array);

// The next index over all dimensions but the last; false after the end.
bool advance(std::vector<std::int64_t>& index, const std::vector<std::int64_t>& shape);

// Calls visit with a pointer to each element.
template <typename Visit>
void for_each_element(const StoredArray& array, Visit visit) {
  const auto [shape, strides] = layout_of(array);
  const auto width = static_cast<std::int64_t>(array.element_bytes);
  const std::int64_t length = shape.back();
  const std::int64_t step = strides.back() * width;
  std::vector<std::int64_t> index(shape.size(), 0);
  do {
    const std::int64_t offset =
        std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
    const unsigned char* row = array.first + offset * width;
    for (std::int64_t i = 0; i < length; ++i) visit(row + i * step);
  } while (advance(index, shape));
}

}  // namespace grevy::host

#endif

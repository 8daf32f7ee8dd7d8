#include "files/array_layout.hpp"

#include <functional>

namespace grevy::host {
namespace {

using Shape = std::vector<std::int64_t>;

Shape fortran_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = 1; i < shape.size(); ++i) strides[i] = strides[i - 1] * shape[i - 1];
  return strides;
}

}  // namespace

std::int64_t count_elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Layout layout_of(const StoredArray& array) {
  const std::int64_t count = count_elements(array.shape);
  if (count == 0 || !array.fortran) return {{count}, {1}};
  return {array.shape, fortran_strides(array.shape)};
}

bool advance(Shape& index, const Shape& shape) {
  for (std::size_t i = shape.size() - 1; i-- > 0;) {
    if (++index[i] < shape[i]) return true;
    index[i] = 0;
  }
  return false;
}

}  // namespace grevy::host

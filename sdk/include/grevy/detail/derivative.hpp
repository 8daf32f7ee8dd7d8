// What grevy/jacobian.hpp does in LibTorch's own ways; portable plugins have a header in its place.
#ifndef GREVY_DETAIL_DERIVATIVE_HPP
#define GREVY_DETAIL_DERIVATIVE_HPP

#include <torch/types.h>

#include <vector>

namespace grevy {

namespace detail {

// All elements on one axis, in the order of memory where that needs no copy.
inline at::Tensor flattened(const at::Tensor& x) {
  return x.is_non_overlapping_and_dense() ? x.as_strided({x.numel()}, {1}) : x.reshape({-1});
}

}  // namespace detail

// See grevy/jacobian.hpp.
inline void backward_for(const std::vector<at::Tensor>& tensors, const at::Tensor& loss) {
  if (tensors.empty()) return loss.backward();  // says what is wrong
  loss.backward({}, {}, /*create_graph=*/false, at::TensorList(tensors));
}

}  // namespace grevy

#endif

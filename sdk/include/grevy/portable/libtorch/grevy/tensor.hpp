// Stands in for grevy/tensor.hpp in portable plugins: handles as they are.
#ifndef GREVY_TENSOR_HPP
#define GREVY_TENSOR_HPP

#include <torch/types.h>

namespace grevy {

// A tensor with a reference of its own; the handle stays the caller's.
inline at::Tensor borrow(grevy_tensor* handle) {
  if (handle != nullptr) portable::operations()->retain(handle);
  return at::Tensor::taken(handle);
}
// Takes over the handle's one reference.
inline at::Tensor take(grevy_tensor* handle) { return at::Tensor::taken(handle); }
// A handle with one reference, for whoever takes it.
inline grevy_tensor* give(at::Tensor tensor) { return tensor.released(); }
// A handle without a reference, valid while `tensor` lives.
inline grevy_tensor* lend(const at::Tensor& tensor) { return tensor.handle(); }

}  // namespace grevy

#endif

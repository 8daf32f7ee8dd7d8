// grevy/tensor.hpp: LibTorch tensors and the handles of abi.h, without a copy and with the graph.
#ifndef GREVY_TENSOR_HPP
#define GREVY_TENSOR_HPP

#include <grevy/abi.h>

#include <torch/types.h>

#include <utility>

namespace grevy {

// What an at::Tensor holds.
using TensorPtr = c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>;

// A tensor that shares the handle's reference count; the handle stays the caller's, and the tensor
// may outlive it. NULL gives an undefined tensor.
inline at::Tensor borrow(grevy_tensor* handle) {
  if (handle == nullptr) return {};
  return at::Tensor(
      TensorPtr::unsafe_reclaim_from_nonowning(reinterpret_cast<at::TensorImpl*>(handle)));
}

// Takes over the handle's one reference. NULL gives an undefined tensor.
inline at::Tensor take(grevy_tensor* handle) {
  if (handle == nullptr) return {};
  return at::Tensor(TensorPtr::reclaim(reinterpret_cast<at::TensorImpl*>(handle)));
}

// A handle with one reference, for whoever takes it. An undefined tensor gives NULL.
inline grevy_tensor* give(at::Tensor tensor) {
  if (!tensor.defined()) return nullptr;
  return reinterpret_cast<grevy_tensor*>(tensor.unsafeReleaseTensorImpl());
}

// A handle without a reference, valid while `tensor` lives. An undefined tensor gives NULL.
inline grevy_tensor* lend(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  return reinterpret_cast<grevy_tensor*>(tensor.unsafeGetTensorImpl());
}

}  // namespace grevy

#endif

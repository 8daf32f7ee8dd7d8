// Stands in for grevy/detail/derivative.hpp in portable plugins.
#ifndef GREVY_DETAIL_DERIVATIVE_HPP
#define GREVY_DETAIL_DERIVATIVE_HPP

#include <grevy/portable/autograd.hpp>

#include <torch/types.h>

#include <vector>

namespace grevy {

namespace detail {

inline at::Tensor flattened(const at::Tensor& x) { return x.reshape({-1}); }

}  // namespace detail

// See grevy/jacobian.hpp. The gradients are added up by another, short, backward pass.
inline void backward_for(const std::vector<at::Tensor>& tensors, const at::Tensor& loss) {
  if (tensors.empty()) return loss.backward();  // says what is wrong
  const auto gradients = at::autograd::grad({loss}, tensors, {}, {}, false, /*allow_unused=*/true);
  at::Tensor products = at::zeros({}, loss.options());
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (gradients[i].defined()) products = products + (tensors[i] * gradients[i]).sum();
  if (products.requires_grad()) products.backward();
}

}  // namespace grevy

#endif

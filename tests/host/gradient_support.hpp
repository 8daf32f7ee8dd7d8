// For tests that compare gradients of two ways to compute the same.
#ifndef GREVY_TESTS_GRADIENT_SUPPORT_HPP
#define GREVY_TESTS_GRADIENT_SUPPORT_HPP

#include <grevy/calls.hpp>

#include <doctest/doctest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <vector>

namespace grevy::tests {

// With respect to the trained tensors.
inline std::vector<at::Tensor> gradients(const NamedTensors& tensors, const at::Tensor& loss,
                                         bool differentiable = false) {
  std::vector<at::Tensor> trained;
  for (const NamedTensor& t : tensors)
    if (t.trained) trained.push_back(t.tensor);
  return torch::autograd::grad({loss}, trained, {}, differentiable, differentiable);
}

inline double relative_difference(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  return ((found - expected).norm() / (expected.norm() + 1e-12)).item<double>();
}

// A number that every output has a different share in.
inline at::Tensor weighted(const at::Tensor& output) {
  return (output * at::cos(at::arange(output.numel(), output.options())).view(output.sizes()))
      .sum();
}

// Windows as rows (n, T, C), which encoders' own arithmetic takes; others are LibTorch's.
inline at::Tensor by_rows(const at::Tensor& windows) {
  return windows.transpose(1, 2).contiguous().transpose(1, 2);
}

}  // namespace grevy::tests

#endif

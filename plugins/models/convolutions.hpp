// The convolutions that an encoder begins with, as one operation of the autograd graph.
#ifndef GREVY_PLUGINS_MODELS_CONVOLUTIONS_HPP
#define GREVY_PLUGINS_MODELS_CONVOLUTIONS_HPP

#include "conv_stack.hpp"

#include <grevy/layers.hpp>

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace grevy::models {

struct PlacedWindows;

// Gives the same as LibTorch's operations up to rounding, and uses them wherever ConvStack does not
// reach: other devices and types, windows that are not rows of the recording, second gradients
// other than those of a Jacobian (weights or windows of the gradient with respect to windows).
class Convolutions {
 public:
  void add(const ConvLayer& layer, const Affine& affine);
  // A GELU behind the last one; false where there is none that could take it.
  bool activate();
  bool empty() const { return layers_.empty(); }
  // The layers with their weights as they are now; null where ConvStack does not reach.
  std::shared_ptr<const ConvStack> snapshot(bool normalized) const;

  // Whether ConvStack reaches, given the right windows.
  bool fits() const;
  // Rows by which the output is shorter than the input.
  std::int64_t reach() const;

  // windows: (n, C, T) -> (n, D, T - reach), of length 1 over D where normalized.
  at::Tensor operator()(const at::Tensor& windows, bool normalized);

  // The windows of reach + 1 rows of a series (T, C) that begin at `starts`, sets of int64 (n_i):
  // (n_i, D) each. What windows of any set share is computed once. Errors: invalid_type,
  // out_of_range.
  std::vector<at::Tensor> operator()(const at::Tensor& series,
                                     const std::vector<at::Tensor>& starts, bool normalized);

 private:
  bool fits(const at::Tensor& rows) const;
  std::vector<at::Tensor> embed(PlacedWindows windows, bool normalized);
  at::Tensor buffer(std::size_t size);

  std::vector<ConvLayer> layers_;
  std::vector<at::Tensor> weights_, biases_;
  std::vector<at::Tensor> buffers_;  // used again when no graph needs them any more
};

}  // namespace grevy::models

#endif

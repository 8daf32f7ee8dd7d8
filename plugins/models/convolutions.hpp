// The convolutions that an encoder begins with, as one operation of the autograd graph.
#ifndef GREVY_PLUGINS_MODELS_CONVOLUTIONS_HPP
#define GREVY_PLUGINS_MODELS_CONVOLUTIONS_HPP

#include "conv_stack.hpp"

#include <grevy/layers.hpp>

#include <torch/types.h>

#include <memory>
#include <vector>

namespace grevy::models {

// Gives the same as LibTorch's operations up to rounding, and uses them wherever ConvStack does not
// reach: other devices and types, windows that are not rows of the recording, gradients with
// respect to the windows, gradients of gradients.
class Convolutions {
 public:
  void add(const ConvLayer& layer, const Affine& affine);
  // A GELU behind the last one; false where there is none that could take it.
  bool activate();
  bool empty() const { return layers_.empty(); }
  // The layers with their weights as they are now; null where ConvStack does not reach.
  std::shared_ptr<const ConvStack> snapshot(bool normalized) const;

  // windows: (n, C, T) -> (n, D, T - reach), of length 1 over D where normalized.
  at::Tensor operator()(const at::Tensor& windows, bool normalized);

 private:
  bool fits() const;
  bool fits(const at::Tensor& windows) const;
  at::Tensor buffer(std::size_t size);

  std::vector<ConvLayer> layers_;
  std::vector<at::Tensor> weights_, biases_;
  std::vector<at::Tensor> buffers_;  // used again when no graph needs them any more
};

}  // namespace grevy::models

#endif

// An embedding by ConvStack in the autograd graph.
#ifndef GREVY_PLUGINS_MODELS_CONVOLUTION_NODES_HPP
#define GREVY_PLUGINS_MODELS_CONVOLUTION_NODES_HPP

#include "placed_windows.hpp"

#include <ATen/Parallel.h>

#include <memory>
#include <vector>

namespace grevy::models {

// What was made of windows, with what the backward pass needs.
struct Embedded {
  PlacedWindows windows;
  std::shared_ptr<const ConvStack> stack;
  ConvStack::Plan plan;
  at::Tensor rows, lengths, values;  // ConvStack::Output

  ConvStack::Output output() const;
  // (n, D, T'), or (n_i, D) per set.
  std::vector<at::Tensor> outputs() const;
  // Gradients of outputs(), some perhaps undefined, as one of `rows`.
  at::Tensor of_rows(const std::vector<at::Tensor>& gradients) const;
};

// Blocks below which a thread of its own costs more than it saves.
constexpr std::int64_t fewest_blocks = 16;

// All blocks, several at the same time. work(share)
template <class Work>
void for_blocks(const Embedded& embedded, Work&& work) {
  at::parallel_for(0, static_cast<std::int64_t>(embedded.plan.blocks.size()), fewest_blocks,
                   [&](std::int64_t begin, std::int64_t end) {
                     work(ConvStack::Share{embedded.plan, static_cast<std::size_t>(begin),
                                           static_cast<std::size_t>(end)});
                   });
}

// The same layers by LibTorch's operations.
at::Tensor with_libtorch(const std::vector<ConvLayer>& layers, at::Tensor x,
                         const std::vector<at::Tensor>& weights,
                         const std::vector<at::Tensor>& biases, bool normalized);

// Makes `outputs`, what embedded->outputs() gave, results of the parameters (weights, then biases)
// and, where the plan says so, of the windows. Gradients of first order, and those of the windows'
// gradient, are ConvStack's; third derivatives by way of the windows are refused; other second ones
// are LibTorch's.
void connect(std::vector<at::Tensor>& outputs, const std::shared_ptr<const Embedded>& embedded,
             const std::vector<ConvLayer>& layers, const std::vector<at::Tensor>& parameters);

}  // namespace grevy::models

#endif

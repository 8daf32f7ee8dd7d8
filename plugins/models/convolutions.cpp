#include "convolutions.hpp"

#include "kernels/shares.hpp"

#include <grevy/error.hpp>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <array>
#include <memory>

namespace grevy::models {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Pieces below which a thread of its own costs more than it saves.
constexpr std::int64_t fewest_pieces = 48;

at::Tensor with_libtorch(const std::vector<ConvLayer>& layers, at::Tensor x,
                         const std::vector<at::Tensor>& weights,
                         const std::vector<at::Tensor>& biases, bool normalized) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    at::Tensor y = at::conv1d(x, weights[l], biases[l]);
    if (layers[l].activated) y = at::gelu(y);
    x = layers[l].residual ? x.slice(2, 1, -1) + y : y;
  }
  return normalized ? x / x.norm(2, 1, true) : x;
}

bool is_plain(const at::Tensor& t) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

std::vector<const float*> pointers(const std::vector<at::Tensor>& tensors) {
  std::vector<const float*> all;
  for (const at::Tensor& t : tensors) all.push_back(t.data_ptr<float>());
  return all;
}

ConvStack::Input input_of(const at::Tensor& windows) {
  return {windows.data_ptr<float>(), static_cast<std::size_t>(windows.size(0)),
          static_cast<std::size_t>(windows.size(2))};
}

ConvStack::Output output_of(const at::Tensor& rows, const at::Tensor& lengths,
                            const at::Tensor& values) {
  const auto data = [](const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
  return {data(rows), data(lengths), data(values)};
}

// The node of the graph. Its own arithmetic serves first gradients; with create_graph it does the
// forward pass again with LibTorch's operations and differentiates that.
class ConvolutionsBackward : public torch::autograd::Node {
 public:
  std::shared_ptr<const ConvStack> stack;
  std::vector<ConvLayer> layers;
  at::Tensor windows;                     // needs no gradient
  at::Tensor rows, lengths, values;       // ConvStack::Output
  std::int64_t version = 0;               // of rows
  std::vector<SavedVariable> parameters;  // weights, then biases

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) return variable_list(parameters.size());
    if (stack == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
    if (rows._version() != version)
      throw Error(ErrorCode::invalid_state,
                  "an embedding was changed in place before its gradient");
    return at::GradMode::is_enabled() ? differentiable(gradients[0]) : fast(gradients[0]);
  }
  void release_variables() override {
    stack.reset();
    windows.reset();
    rows.reset();
    lengths.reset();
    values.reset();
    for (SavedVariable& p : parameters) p.reset_data();
  }
  std::string name() const override { return "GrevyConvolutionsBackward"; }

 private:
  // Sums over a fixed number of shares, in their order: the same bytes at the same thread count.
  variable_list fast(const at::Tensor& gradient) const {
    const ConvStack::Input input = input_of(windows);
    const at::Tensor dense = gradient.transpose(1, 2).contiguous();
    const ConvStack::Output output = output_of(rows, lengths, values);
    const std::size_t pieces = stack->num_pieces(input);
    const std::int64_t shares =
        kernels::num_shares(static_cast<std::int64_t>(pieces) / fewest_pieces);
    std::vector<std::vector<std::vector<float>>> sums(static_cast<std::size_t>(shares));
    kernels::for_shares(pieces, shares, [&](std::size_t s, std::size_t begin, std::size_t end) {
      sums[s] = stack->zero_gradients();
      stack->backward(input, begin, end, output, dense.data_ptr<float>(), sums[s]);
    });
    return unpack(sums);
  }

  variable_list unpack(const std::vector<std::vector<std::vector<float>>>& sums) const {
    variable_list weights, biases;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const PackedLayer& packed = stack->layers()[l];
      const auto [in, out, kernel] = std::array{static_cast<std::int64_t>(packed.layer.in),
                                                static_cast<std::int64_t>(packed.layer.out),
                                                static_cast<std::int64_t>(packed.layer.kernel)};
      weights.push_back(at::zeros({out, in, kernel}));
      biases.push_back(at::zeros({out}));
      for (const auto& sum : sums)
        packed.unpack(sum[l], weights[l].data_ptr<float>(), biases[l].data_ptr<float>());
    }
    weights.insert(weights.end(), biases.begin(), biases.end());
    return weights;
  }

  variable_list differentiable(const at::Tensor& gradient) {
    variable_list all;
    for (const SavedVariable& p : parameters) all.push_back(p.unpack());
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(layers.size());
    const at::Tensor out = with_libtorch(layers, windows, {all.begin(), middle},
                                         {middle, all.end()}, stack->is_normalized());
    variable_list trained;
    for (const at::Tensor& p : all)
      if (p.requires_grad()) trained.push_back(p);
    const variable_list found = torch::autograd::grad({out}, trained, {gradient},
                                                      /*retain_graph=*/true, /*create_graph=*/true);
    variable_list gradients;
    auto next = found.begin();
    for (const at::Tensor& p : all) gradients.push_back(p.requires_grad() ? *next++ : at::Tensor());
    return gradients;
  }
};

}  // namespace

void Convolutions::add(const ConvLayer& layer, const Affine& affine) {
  layers_.push_back(layer);
  weights_.push_back(affine.weight);
  biases_.push_back(affine.bias);
}

bool Convolutions::activate() {
  if (layers_.empty() || layers_.back().activated) return false;
  return layers_.back().activated = true;
}

bool Convolutions::fits() const {
  return layers_.size() > 1 && !layers_.back().activated &&
         std::all_of(weights_.begin(), weights_.end(), is_plain) &&
         std::all_of(biases_.begin(), biases_.end(), is_plain);
}

// Windows must be rows of the recording: (n, T, C) in memory, shown as (n, C, T).
bool Convolutions::fits(const at::Tensor& windows) const {
  return fits() && windows.size(0) > 0 && is_plain(windows.transpose(1, 2)) &&
         !(at::GradMode::is_enabled() && windows.requires_grad());
}

std::shared_ptr<const ConvStack> Convolutions::snapshot(bool normalized) const {
  if (!fits()) return nullptr;
  return std::make_shared<const ConvStack>(layers_, pointers(weights_), pointers(biases_),
                                           normalized);
}

at::Tensor Convolutions::buffer(std::size_t size) {
  const auto wanted = static_cast<std::int64_t>(size);
  constexpr std::size_t most = 8;
  for (at::Tensor& known : buffers_)
    if (known.use_count() == 1 && known.numel() >= wanted) return known;
  if (buffers_.size() == most) buffers_.clear();
  buffers_.push_back(at::empty({wanted}, at::kFloat));
  return buffers_.back();
}

at::Tensor Convolutions::operator()(const at::Tensor& windows, bool normalized) {
  if (!fits(windows)) return with_libtorch(layers_, windows, weights_, biases_, normalized);
  const auto stack = snapshot(normalized);
  const ConvStack::Input input = input_of(windows);
  variable_list parameters = weights_;
  parameters.insert(parameters.end(), biases_.begin(), biases_.end());
  const bool differentiated = torch::autograd::compute_requires_grad(parameters);
  const auto length = static_cast<std::int64_t>(input.length - stack->reach());
  const at::Tensor values = differentiated ? buffer(stack->saved_size(input)) : at::Tensor();
  at::Tensor rows, lengths, out;
  {
    const at::NoGradGuard guard;
    rows = at::empty({windows.size(0), length, static_cast<std::int64_t>(layers_.back().out)},
                     at::kFloat);
    if (differentiated) lengths = at::empty({windows.size(0), length}, at::kFloat);
    const ConvStack::Output output = output_of(rows, lengths, values);
    at::parallel_for(0, static_cast<std::int64_t>(stack->num_pieces(input)), fewest_pieces,
                     [&](std::int64_t begin, std::int64_t end) {
                       stack->forward(input, static_cast<std::size_t>(begin),
                                      static_cast<std::size_t>(end), output);
                     });
    out = rows.transpose(1, 2);
  }
  if (!differentiated) return out;
  auto node = std::shared_ptr<ConvolutionsBackward>(new ConvolutionsBackward(),
                                                    torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(parameters));
  node->stack = stack;
  node->layers = layers_;
  node->windows = windows;
  node->rows = rows;
  node->lengths = lengths;
  node->values = values;
  node->version = rows._version();
  for (const at::Tensor& p : parameters) node->parameters.emplace_back(p, false);
  torch::autograd::set_history(out, node);
  return out;
}

}  // namespace grevy::models

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

// Blocks below which a thread of its own costs more than it saves.
constexpr std::int64_t fewest_blocks = 16;

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

ConvStack::Output output_of(const at::Tensor& rows, const at::Tensor& lengths,
                            const at::Tensor& values) {
  const auto data = [](const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
  return {data(rows), data(lengths), data(values)};
}

// (n, C, length): the windows of a series that begin at `starts`.
at::Tensor cut(const at::Tensor& series, const at::Tensor& starts, std::int64_t length) {
  const at::Tensor rows = starts.unsqueeze(1) + at::arange(length, starts.options());
  return series.index_select(0, rows.flatten().to(series.device()))
      .view({starts.size(0), length, series.size(1)})
      .transpose(1, 2);
}

// int64 (n) with values in 0 .. most.
void check(const at::Tensor& starts, std::int64_t most) {
  if (starts.dim() != 1 || starts.scalar_type() != at::kLong)
    throw Error(ErrorCode::invalid_type, "samples must be int64 with one axis");
  if (starts.numel() == 0) return;
  const auto lowest = starts.min().item<std::int64_t>(),
             highest = starts.max().item<std::int64_t>();
  if (lowest < 0 || highest > most)
    throw Error(ErrorCode::out_of_range, "windows begin at rows " + std::to_string(lowest) +
                                             " to " + std::to_string(highest) + "; must be 0 to " +
                                             std::to_string(most));
}

}  // namespace

// Where windows lie, each once, and what is asked for.
struct PlacedWindows {
  at::Tensor memory;                 // (n, C, T), or a series; needs no gradient
  std::vector<std::int64_t> starts;  // rows in memory, ascending
  // Per set the windows that it consists of, counted among `starts`; no sets: all windows, as the
  // embedding of (n, C, T).
  std::vector<std::vector<std::size_t>> sets;

  ConvStack::Input input() const {
    return {memory.data_ptr<float>(), starts.data(), starts.size()};
  }

  static PlacedWindows of(const at::Tensor& windows, std::int64_t reach) {
    PlacedWindows all{windows, {}, {}};
    const std::int64_t count = windows.size(0), length = windows.size(2);
    all.starts.reserve(static_cast<std::size_t>(count * (length - reach)));
    for (std::int64_t w = 0; w < count; ++w)
      for (std::int64_t t = 0; t < length - reach; ++t) all.starts.push_back(w * length + t);
    return all;
  }

  static PlacedWindows of(const at::Tensor& series, const std::vector<at::Tensor>& sets) {
    PlacedWindows all{series, {}, {}};
    struct Place {
      std::int64_t start;
      std::size_t set, row;
    };
    std::vector<Place> places;
    for (std::size_t s = 0; s < sets.size(); ++s) {
      const auto count = static_cast<std::size_t>(sets[s].size(0));
      all.sets.emplace_back(count);
      const at::Tensor starts = sets[s].contiguous();
      for (std::size_t r = 0; r < count; ++r)
        places.push_back({starts.data_ptr<std::int64_t>()[r], s, r});
    }
    std::sort(places.begin(), places.end(),
              [](const Place& a, const Place& b) { return a.start < b.start; });
    for (const Place& p : places) {
      if (all.starts.empty() || all.starts.back() != p.start) all.starts.push_back(p.start);
      all.sets[p.set][p.row] = all.starts.size() - 1;
    }
    return all;
  }

  // (n, C, L) of a set.
  at::Tensor cut(const std::vector<std::size_t>& set, std::int64_t length) const {
    std::vector<std::int64_t> rows;
    for (const std::size_t window : set) rows.push_back(starts[window]);
    return models::cut(memory, at::tensor(rows, at::kLong), length);
  }
};

namespace {

// What was made of windows, with what the backward pass needs.
struct Embedded {
  PlacedWindows windows;
  std::shared_ptr<const ConvStack> stack;
  ConvStack::Plan plan;
  at::Tensor rows, lengths, values;  // ConvStack::Output

  // (n, D, T'), or (n_i, D) per set.
  std::vector<at::Tensor> outputs() const {
    if (windows.sets.empty()) {
      const std::int64_t n = windows.memory.size(0);
      return {rows.view({n, rows.size(0) / n, rows.size(1)}).transpose(1, 2)};
    }
    std::vector<at::Tensor> all;
    const std::int64_t width = rows.size(1);
    for (const auto& set : windows.sets) {
      all.push_back(at::empty({static_cast<std::int64_t>(set.size()), width}, at::kFloat));
      auto* target = all.back().data_ptr<float>();
      for (const std::size_t window : set)
        target = std::copy_n(rows.data_ptr<float>() + static_cast<std::int64_t>(window) * width,
                             width, target);
    }
    return all;
  }

  // Gradients of outputs() as one of `rows`.
  at::Tensor of_rows(const variable_list& gradients) const {
    if (windows.sets.empty()) return gradients[0].transpose(1, 2).contiguous();
    const at::Tensor sum = at::zeros_like(rows);
    const std::int64_t width = rows.size(1);
    for (std::size_t s = 0; s < gradients.size(); ++s) {
      if (!gradients[s].defined()) continue;
      const at::Tensor dense = gradients[s].contiguous();
      const auto* source = dense.data_ptr<float>();
      for (const std::size_t window : windows.sets[s]) {
        float* target = sum.data_ptr<float>() + static_cast<std::int64_t>(window) * width;
        for (std::int64_t d = 0; d < width; ++d) target[d] += *source++;
      }
    }
    return sum;
  }
};

// The node of the graph. Its own arithmetic serves first gradients; with create_graph it does the
// forward pass again with LibTorch's operations and differentiates that.
class ConvolutionsBackward : public torch::autograd::Node {
 public:
  std::unique_ptr<Embedded> embedded;  // null: released
  std::vector<ConvLayer> layers;
  std::int64_t version = 0;               // of the rows
  std::vector<SavedVariable> parameters;  // weights, then biases

  variable_list apply(variable_list&& gradients) override {
    if (std::none_of(gradients.begin(), gradients.end(),
                     [](const at::Tensor& g) { return g.defined(); }))
      return variable_list(parameters.size());
    if (embedded == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
    if (embedded->rows._version() != version)
      throw Error(ErrorCode::invalid_state,
                  "an embedding was changed in place before its gradient");
    return at::GradMode::is_enabled() ? differentiable(gradients) : fast(gradients);
  }
  void release_variables() override {
    embedded.reset();
    for (SavedVariable& p : parameters) p.reset_data();
  }
  std::string name() const override { return "GrevyConvolutionsBackward"; }

 private:
  // Sums over a fixed number of shares, in their order: the same bytes at the same thread count.
  variable_list fast(const variable_list& gradients) const {
    const ConvStack& stack = *embedded->stack;
    const at::Tensor dense = embedded->of_rows(gradients);
    const ConvStack::Input input = embedded->windows.input();
    const ConvStack::Output output = output_of(embedded->rows, embedded->lengths, embedded->values);
    const std::size_t blocks = embedded->plan.blocks.size();
    const std::int64_t shares =
        kernels::num_shares(static_cast<std::int64_t>(blocks) / fewest_blocks);
    std::vector<std::vector<std::vector<float>>> sums(static_cast<std::size_t>(shares));
    kernels::for_shares(blocks, shares, [&](std::size_t s, std::size_t begin, std::size_t end) {
      sums[s] = stack.zero_gradients();
      stack.backward(input, {embedded->plan, begin, end}, output, dense.data_ptr<float>(), sums[s]);
    });
    return unpack(sums);
  }

  variable_list unpack(const std::vector<std::vector<std::vector<float>>>& sums) const {
    variable_list weights, biases;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const PackedLayer& packed = embedded->stack->layers()[l];
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

  variable_list differentiable(const variable_list& given) {
    variable_list all;
    for (const SavedVariable& p : parameters) all.push_back(p.unpack());
    variable_list outputs, gradients, trained, found;
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (!given[i].defined()) continue;
      outputs.push_back(again(i, all));
      gradients.push_back(given[i]);
    }
    for (const at::Tensor& p : all)
      if (p.requires_grad()) trained.push_back(p);
    const variable_list made = torch::autograd::grad(outputs, trained, gradients,
                                                     /*retain_graph=*/true, /*create_graph=*/true);
    auto next = made.begin();
    for (const at::Tensor& p : all) found.push_back(p.requires_grad() ? *next++ : at::Tensor());
    return found;
  }

  // Output number i by LibTorch's operations.
  at::Tensor again(std::size_t i, const variable_list& all) const {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(layers.size());
    const auto& windows = embedded->windows;
    const bool is_normalized = embedded->stack->is_normalized();
    const auto embed = [&](const at::Tensor& x) {
      return with_libtorch(layers, x, {all.begin(), middle}, {middle, all.end()}, is_normalized);
    };
    if (windows.sets.empty()) return embed(windows.memory);
    const auto length = static_cast<std::int64_t>(embedded->stack->reach()) + 1;
    return embed(windows.cut(windows.sets[i], length)).squeeze(2);
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

// Rows must lie one after the other: (n, T, C) or (T, C).
bool Convolutions::fits(const at::Tensor& rows) const {
  return fits() && rows.size(0) > 0 && is_plain(rows) &&
         !(at::GradMode::is_enabled() && rows.requires_grad());
}

std::int64_t Convolutions::reach() const {
  std::int64_t reach = 0;
  for (const ConvLayer& layer : layers_) reach += static_cast<std::int64_t>(layer.kernel) - 1;
  return reach;
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

std::vector<at::Tensor> Convolutions::embed(PlacedWindows windows, bool normalized) {
  variable_list parameters = weights_;
  parameters.insert(parameters.end(), biases_.begin(), biases_.end());
  const bool differentiated = torch::autograd::compute_requires_grad(parameters);
  auto e = std::make_unique<Embedded>();
  e->windows = std::move(windows);
  e->stack = snapshot(normalized);
  variable_list outputs;
  {
    const at::NoGradGuard guard;
    const ConvStack::Input input = e->windows.input();
    e->plan = e->stack->plan(input);
    const auto count = static_cast<std::int64_t>(input.count);
    e->rows = at::empty({count, static_cast<std::int64_t>(layers_.back().out)}, at::kFloat);
    if (differentiated) {
      e->lengths = at::empty({count}, at::kFloat);
      e->values = buffer(e->plan.saved_size);
    }
    const ConvStack::Output output = output_of(e->rows, e->lengths, e->values);
    at::parallel_for(
        0, static_cast<std::int64_t>(e->plan.blocks.size()), fewest_blocks,
        [&](std::int64_t begin, std::int64_t end) {
          e->stack->forward(
              input, {e->plan, static_cast<std::size_t>(begin), static_cast<std::size_t>(end)},
              output);
        });
    outputs = e->outputs();
  }
  if (!differentiated) return outputs;
  auto node = std::shared_ptr<ConvolutionsBackward>(new ConvolutionsBackward(),
                                                    torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(parameters));
  node->version = e->rows._version();
  node->embedded = std::move(e);
  node->layers = layers_;
  for (const at::Tensor& p : parameters) node->parameters.emplace_back(p, false);
  for (at::Tensor& output : outputs) torch::autograd::set_history(output, node);
  return outputs;
}

at::Tensor Convolutions::operator()(const at::Tensor& windows, bool normalized) {
  if (!fits(windows.transpose(1, 2)))
    return with_libtorch(layers_, windows, weights_, biases_, normalized);
  return embed(PlacedWindows::of(windows, reach()), normalized).front();
}

std::vector<at::Tensor> Convolutions::operator()(const at::Tensor& series,
                                                 const std::vector<at::Tensor>& starts,
                                                 bool normalized) {
  for (const at::Tensor& set : starts) check(set, series.size(0) - reach() - 1);
  if (fits(series)) return embed(PlacedWindows::of(series, starts), normalized);
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& set : starts)
    outputs.push_back(
        with_libtorch(layers_, cut(series, set, reach() + 1), weights_, biases_, normalized)
            .squeeze(2));
  return outputs;
}

}  // namespace grevy::models

#include "convolutions.hpp"

#include "kernels/shares.hpp"

#include <grevy/error.hpp>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
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

bool is_tracked(const at::Tensor& t) { return at::GradMode::is_enabled() && t.requires_grad(); }

std::vector<const float*> pointers(const std::vector<at::Tensor>& tensors) {
  std::vector<const float*> all;
  for (const at::Tensor& t : tensors) all.push_back(t.data_ptr<float>());
  return all;
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

  ConvStack::Output output() const {
    const auto data = [](const at::Tensor& t) {
      return t.defined() ? t.data_ptr<float>() : nullptr;
    };
    return {data(rows), data(lengths), data(values)};
  }

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

using Sums = ConvStack::Sums;

// All blocks, several at the same time. work(share)
template <class Work>
void for_blocks(const Embedded& embedded, Work&& work) {
  at::parallel_for(0, static_cast<std::int64_t>(embedded.plan.blocks.size()), fewest_blocks,
                   [&](std::int64_t begin, std::int64_t end) {
                     work(ConvStack::Share{embedded.plan, static_cast<std::size_t>(begin),
                                           static_cast<std::size_t>(end)});
                   });
}

// Adds up a fixed number of shares in their order: the same bytes at the same thread count.
// work(share, sums)
template <class Work>
variable_list sum_of_shares(const Embedded& embedded, Work&& work) {
  const ConvStack& stack = *embedded.stack;
  const std::size_t blocks = embedded.plan.blocks.size();
  const std::int64_t shares =
      kernels::num_shares(static_cast<std::int64_t>(blocks) / fewest_blocks);
  std::vector<Sums> sums(static_cast<std::size_t>(shares));
  kernels::for_shares(blocks, shares, [&](std::size_t s, std::size_t begin, std::size_t end) {
    sums[s] = stack.zero_gradients();
    work(ConvStack::Share{embedded.plan, begin, end}, sums[s]);
  });
  variable_list weights, biases;
  for (std::size_t l = 0; l < stack.layers().size(); ++l) {
    const PackedLayer& packed = stack.layers()[l];
    const auto [in, out, kernel] = std::array{static_cast<std::int64_t>(packed.layer.in),
                                              static_cast<std::int64_t>(packed.layer.out),
                                              static_cast<std::int64_t>(packed.layer.kernel)};
    weights.push_back(at::zeros({out, in, kernel}));
    biases.push_back(at::zeros({out}));
    for (const Sums& sum : sums)
      packed.unpack(sum[l], weights[l].data_ptr<float>(), biases[l].data_ptr<float>());
  }
  weights.insert(weights.end(), biases.begin(), biases.end());
  return weights;
}

// An embedding's graph: weights, then biases, then the windows where these are differentiated too.
struct Differentiated {
  std::shared_ptr<const Embedded> embedded;  // null: released
  std::vector<ConvLayer> layers;
  std::vector<SavedVariable> parameters;

  void release() {
    embedded.reset();
    for (SavedVariable& p : parameters) p.reset_data();
  }
  void check() const {
    if (embedded == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
  }
  const at::Tensor& windows() const { return embedded->windows.memory; }
  variable_list unpacked() const {
    variable_list all;
    for (const SavedVariable& p : parameters) all.push_back(p.unpack());
    return all;
  }
  // By LibTorch's operations.
  at::Tensor embed(const at::Tensor& x, const variable_list& all) const {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(layers.size());
    return with_libtorch(layers, x, {all.begin(), middle},
                         {middle, middle + static_cast<std::ptrdiff_t>(layers.size())},
                         embedded->stack->is_normalized());
  }
};

// Gradients, with their graph, of those inputs that have one.
variable_list gradients_of(const variable_list& outputs, const variable_list& inputs,
                           const variable_list& gradients) {
  variable_list wanted, found;
  for (const at::Tensor& input : inputs)
    if (input.requires_grad()) wanted.push_back(input);
  const variable_list made =
      torch::autograd::grad(outputs, wanted, gradients, /*retain_graph=*/true,
                            /*create_graph=*/true, /*allow_unused=*/true);
  auto next = made.begin();
  for (const at::Tensor& input : inputs)
    found.push_back(input.requires_grad() ? *next++ : at::Tensor());
  return found;
}

// (n, C, T) of rows (n, T, C) that `write` fills.
template <class Write>
at::Tensor like_windows(const Embedded& embedded, Write&& write) {
  const at::Tensor rows =
      at::empty_like(embedded.windows.memory.transpose(1, 2), at::MemoryFormat::Contiguous);
  write(rows.data_ptr<float>());
  return rows.transpose(1, 2);
}

// The node of the gradient with respect to the windows; inputs: parameters, windows, and the
// gradient of the embedding.
class InputGradientBackward : public torch::autograd::Node {
 public:
  Differentiated of;
  at::Tensor kept;  // ConvStack::InputGradient

  variable_list apply(variable_list&& cotangents) override {
    if (!cotangents[0].defined()) return variable_list(of.parameters.size() + 2);
    of.check();
    if (!at::GradMode::is_enabled()) return gradients(cotangents[0]);
    variable_list found;
    {
      const at::NoGradGuard guard;
      found = gradients(cotangents[0]);
    }
    const auto refusal = std::make_shared<torch::autograd::Error>(
        "the gradient of a Grevy encoder's windows can be differentiated once; for third "
        "derivatives give it windows that are contiguous as (n, C, T)",
        torch::autograd::edge_list(next_edges()));
    for (at::Tensor& g : found)
      if (g.defined()) torch::autograd::set_history(g, refusal);
    return found;
  }
  void release_variables() override {
    of.release();
    kept.reset();
  }
  std::string name() const override { return "GrevyInputGradientBackward"; }

 private:
  variable_list gradients(const at::Tensor& cotangent) {
    const Embedded& e = *of.embedded;
    const at::Tensor dense = cotangent.transpose(1, 2).contiguous();
    const at::Tensor of_gradient = at::empty_like(e.rows);
    variable_list found;
    const auto run = [&](float* of_rows) {
      const ConvStack::Second second{dense.data_ptr<float>(), kept.data_ptr<float>(),
                                     of_gradient.data_ptr<float>(), of_rows};
      found = sum_of_shares(e, [&](const ConvStack::Share& share, Sums& sums) {
        e.stack->second_gradient(e.windows.input(), share, e.output(), second, sums);
      });
    };
    if (task_should_compute_output(of.parameters.size())) {
      const at::Tensor of_windows = like_windows(e, run);
      found.push_back(of_windows);
    } else {
      run(nullptr);
      found.emplace_back();
    }
    found.push_back(of_gradient.unsqueeze(2));
    return found;
  }
};

// The node of an embedding. Its own arithmetic serves first gradients, and those with respect to
// windows that are differentiated again (a Jacobian's penalty). Otherwise, with create_graph, the
// forward pass is done again with LibTorch's operations, and that is differentiated.
class ConvolutionsBackward : public torch::autograd::Node {
 public:
  Differentiated of;
  std::int64_t version = 0;  // of the rows

  variable_list apply(variable_list&& gradients) override {
    if (std::none_of(gradients.begin(), gradients.end(),
                     [](const at::Tensor& g) { return g.defined(); }))
      return variable_list(num_outputs());
    of.check();
    if (of.embedded->rows._version() != version)
      throw Error(ErrorCode::invalid_state,
                  "an embedding was changed in place before its gradient");
    if (!at::GradMode::is_enabled()) return fast(gradients);
    if (wants_parameters()) return differentiable(gradients);
    variable_list found(of.parameters.size());
    found.push_back(with_graph(gradients[0]));
    return found;
  }
  void release_variables() override { of.release(); }
  std::string name() const override { return "GrevyConvolutionsBackward"; }

 private:
  bool wants_parameters() const {
    for (std::size_t i = 0; i < of.parameters.size(); ++i)
      if (task_should_compute_output(i)) return true;
    return false;
  }
  bool wants_windows() const {
    return num_outputs() > of.parameters.size() && task_should_compute_output(of.parameters.size());
  }

  variable_list fast(const variable_list& gradients) const {
    const Embedded& e = *of.embedded;
    const at::Tensor dense = e.of_rows(gradients);
    variable_list found(of.parameters.size());
    if (wants_parameters())
      found = sum_of_shares(e, [&](const ConvStack::Share& share, Sums& sums) {
        e.stack->backward(e.windows.input(), share, e.output(), dense.data_ptr<float>(), sums);
      });
    if (num_outputs() > found.size())
      found.push_back(wants_windows() ? of_windows(dense, nullptr) : at::Tensor());
    return found;
  }

  at::Tensor of_windows(const at::Tensor& dense, float* kept) const {
    const Embedded& e = *of.embedded;
    return like_windows(e, [&](float* rows) {
      for_blocks(e, [&](const ConvStack::Share& share) {
        e.stack->input_gradient(e.windows.input(), share, e.output(), dense.data_ptr<float>(),
                                {rows, kept});
      });
    });
  }

  at::Tensor with_graph(const at::Tensor& gradient) const {
    variable_list inputs = of.unpacked();
    inputs.push_back(of.windows());
    inputs.push_back(gradient);
    const at::Tensor kept =
        at::empty({static_cast<std::int64_t>(of.embedded->plan.kept_size)}, at::kFloat);
    at::Tensor pulled;
    {
      const at::NoGradGuard guard;
      pulled = of_windows(of.embedded->of_rows({gradient}), kept.data_ptr<float>());
    }
    auto node = std::shared_ptr<InputGradientBackward>(new InputGradientBackward(),
                                                       torch::autograd::deleteNode);
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    node->of.embedded = of.embedded;
    node->of.layers = of.layers;
    for (std::size_t i = 0; i < of.parameters.size(); ++i)
      node->of.parameters.emplace_back(inputs[i], false);
    node->kept = kept;
    torch::autograd::set_history(pulled, node);
    return pulled;
  }

  variable_list differentiable(const variable_list& given) const {
    variable_list inputs = of.unpacked(), outputs, gradients;
    if (num_outputs() > inputs.size()) inputs.push_back(of.windows());
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (!given[i].defined()) continue;
      outputs.push_back(again(i, inputs));
      gradients.push_back(given[i]);
    }
    return gradients_of(outputs, inputs, gradients);
  }

  // Output number i by LibTorch's operations.
  at::Tensor again(std::size_t i, const variable_list& all) const {
    const PlacedWindows& windows = of.embedded->windows;
    if (windows.sets.empty()) return of.embed(windows.memory, all);
    const auto length = static_cast<std::int64_t>(of.embedded->stack->reach()) + 1;
    return of.embed(windows.cut(windows.sets[i], length), all).squeeze(2);
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
  return fits() && rows.size(0) > 0 && is_plain(rows);
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
  variable_list inputs = weights_;
  inputs.insert(inputs.end(), biases_.begin(), biases_.end());
  const std::size_t num_parameters = inputs.size();
  const bool twice = is_tracked(windows.memory);
  if (twice) inputs.push_back(windows.memory);
  const bool differentiated = torch::autograd::compute_requires_grad(inputs);
  const auto e = std::make_shared<Embedded>();
  e->windows = std::move(windows);
  e->stack = snapshot(normalized);
  variable_list outputs;
  {
    const at::NoGradGuard guard;
    const ConvStack::Input input = e->windows.input();
    e->plan = e->stack->plan(input, twice);
    const auto count = static_cast<std::int64_t>(input.count);
    e->rows = at::empty({count, static_cast<std::int64_t>(layers_.back().out)}, at::kFloat);
    if (differentiated) {
      e->lengths = at::empty({count}, at::kFloat);
      e->values = buffer(e->plan.saved_size);
    }
    for_blocks(
        *e, [&](const ConvStack::Share& share) { e->stack->forward(input, share, e->output()); });
    outputs = e->outputs();
  }
  if (!differentiated) return outputs;
  auto node = std::shared_ptr<ConvolutionsBackward>(new ConvolutionsBackward(),
                                                    torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  node->version = e->rows._version();
  node->of.embedded = e;
  node->of.layers = layers_;
  for (std::size_t i = 0; i < num_parameters; ++i)
    node->of.parameters.emplace_back(inputs[i], false);
  for (at::Tensor& output : outputs) torch::autograd::set_history(output, node);
  return outputs;
}

// Windows with gradients of their own must not share rows, and are normalised by LibTorch, for the
// sake of second gradients.
at::Tensor Convolutions::operator()(const at::Tensor& windows, bool normalized) {
  const bool tracked = is_tracked(windows);
  if (!fits(windows.transpose(1, 2)) || (tracked && windows.size(2) != reach() + 1))
    return with_libtorch(layers_, windows, weights_, biases_, normalized);
  const at::Tensor x = embed(PlacedWindows::of(windows, reach()), normalized && !tracked).front();
  return normalized && tracked ? x / x.norm(2, 1, true) : x;
}

std::vector<at::Tensor> Convolutions::operator()(const at::Tensor& series,
                                                 const std::vector<at::Tensor>& starts,
                                                 bool normalized) {
  for (const at::Tensor& set : starts) check(set, series.size(0) - reach() - 1);
  if (fits(series) && !is_tracked(series))
    return embed(PlacedWindows::of(series, starts), normalized);
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& set : starts)
    outputs.push_back(
        with_libtorch(layers_, cut(series, set, reach() + 1), weights_, biases_, normalized)
            .squeeze(2));
  return outputs;
}

}  // namespace grevy::models

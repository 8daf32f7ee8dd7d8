#include "convolution_nodes.hpp"

#include "kernels/shares.hpp"

#include <grevy/error.hpp>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <array>

namespace grevy::models {

ConvStack::Output Embedded::output() const {
  const auto data = [](const at::Tensor& t) { return t.defined() ? t.data_ptr<float>() : nullptr; };
  return {data(rows), data(lengths), data(values)};
}

std::vector<at::Tensor> Embedded::outputs() const {
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

at::Tensor Embedded::of_rows(const std::vector<at::Tensor>& gradients) const {
  if (windows.sets.empty() && gradients[0].defined())
    return gradients[0].transpose(1, 2).contiguous();
  const at::Tensor sum = at::zeros_like(rows);
  const std::int64_t width = rows.size(1);
  for (std::size_t s = 0; s < windows.sets.size(); ++s) {
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

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using Sums = ConvStack::Sums;

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

// Results that cannot be differentiated further. edges: what they were made from.
variable_list refusing_more(variable_list found, const torch::autograd::edge_list& edges) {
  const auto refusal = std::make_shared<torch::autograd::Error>(
      "the gradient of a Grevy encoder's windows can be differentiated once; for third derivatives "
      "give it windows that are contiguous as (n, C, T)",
      torch::autograd::edge_list(edges));
  for (at::Tensor& g : found)
    if (g.defined()) torch::autograd::set_history(g, refusal);
  return found;
}

// The node of the gradient with respect to the windows. It was made from the parameters, the
// gradient of the embedding, and what the GELUs were given; the latter's gradient goes to the
// embedding's node, which adds those of all directions up and passes them on at once.
class WindowGradientBackward : public torch::autograd::Node {
 public:
  std::shared_ptr<const Embedded> embedded;  // null: released
  at::Tensor kept;                           // ConvStack::Wanted

  variable_list apply(variable_list&& cotangents) override {
    if (!cotangents[0].defined()) return variable_list(num_outputs());
    if (embedded == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
    if (!at::GradMode::is_enabled()) return gradients(cotangents[0]);
    const at::NoGradGuard guard;
    return refusing_more(gradients(cotangents[0]), next_edges());
  }
  void release_variables() override {
    embedded.reset();
    kept.reset();
  }
  std::string name() const override { return "GrevyWindowGradientBackward"; }

 private:
  variable_list gradients(const at::Tensor& cotangent) const {
    const Embedded& e = *embedded;
    const at::Tensor dense = cotangent.transpose(1, 2).contiguous();
    const at::Tensor of_gradient = at::empty_like(e.rows), bent = at::empty_like(kept);
    const ConvStack::Second second{dense.data_ptr<float>(), kept.data_ptr<float>(),
                                   of_gradient.data_ptr<float>(), bent.data_ptr<float>()};
    variable_list found = sum_of_shares(e, [&](const ConvStack::Share& share, Sums& sums) {
      e.stack->second_gradient(e.windows.input(), share, e.output(), second, sums);
    });
    found.push_back(of_gradient.unsqueeze(2));
    found.push_back(bent);
    return found;
  }
};

// The node of an embedding. Its own arithmetic serves first gradients, and those with respect to
// windows that are differentiated again (a Jacobian's penalty). Otherwise, with create_graph, the
// forward pass is done again with LibTorch's operations, and that is differentiated.
class ConvolutionsBackward : public torch::autograd::Node {
 public:
  std::shared_ptr<const Embedded> embedded;  // null: released
  std::vector<ConvLayer> layers;
  std::vector<SavedVariable> parameters;  // weights, then biases
  std::int64_t version = 0;               // of the rows

  // Gradients of the outputs and, where windows are differentiated, of what the GELUs are given.
  variable_list apply(variable_list&& gradients) override {
    if (std::none_of(gradients.begin(), gradients.end(),
                     [](const at::Tensor& g) { return g.defined(); }))
      return variable_list(num_outputs());
    if (embedded == nullptr)
      throw Error(ErrorCode::invalid_state, "a second backward pass needs retain_graph");
    if (embedded->rows._version() != version)
      throw Error(ErrorCode::invalid_state,
                  "an embedding was changed in place before its gradient");
    at::Tensor bent;
    if (embedded->plan.twice) {
      bent = gradients.back();
      gradients.pop_back();
    }
    if (!at::GradMode::is_enabled()) return fast(gradients, bent);
    if (bent.defined()) {
      const at::NoGradGuard guard;
      return refusing_more(fast(gradients, bent), next_edges());
    }
    if (wants_parameters()) return differentiable(gradients);
    variable_list found(parameters.size());
    found.push_back(with_graph(gradients[0]));
    return found;
  }
  void release_variables() override {
    embedded.reset();
    for (SavedVariable& p : parameters) p.reset_data();
  }
  std::string name() const override { return "GrevyConvolutionsBackward"; }

 private:
  bool wants_parameters() const {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (task_should_compute_output(i)) return true;
    return false;
  }
  bool wants_windows() const {
    return embedded->plan.twice && task_should_compute_output(parameters.size());
  }
  variable_list unpacked() const {
    variable_list all;
    for (const SavedVariable& p : parameters) all.push_back(p.unpack());
    return all;
  }

  variable_list fast(const variable_list& gradients, const at::Tensor& bent) const {
    const Embedded& e = *embedded;
    const at::Tensor dense = e.of_rows(gradients);
    const ConvStack::Gradient gradient{dense.data_ptr<float>(),
                                       bent.defined() ? bent.data_ptr<float>() : nullptr};
    variable_list found(parameters.size());
    const auto run = [&](float* windows) {
      const auto pass = [&](const ConvStack::Share& share, Sums* sums) {
        e.stack->backward(e.windows.input(), share, e.output(), gradient, {sums, windows, nullptr});
      };
      if (wants_parameters())
        found = sum_of_shares(e, [&](const ConvStack::Share& s, Sums& sums) { pass(s, &sums); });
      else
        for_blocks(e, [&](const ConvStack::Share& s) { pass(s, nullptr); });
    };
    at::Tensor of_windows;
    if (wants_windows())
      of_windows = like_windows(e, run);
    else
      run(nullptr);
    if (e.plan.twice) found.push_back(of_windows);
    return found;
  }

  // The gradient of the windows, to be differentiated.
  at::Tensor with_graph(const at::Tensor& gradient) {
    const Embedded& e = *embedded;
    auto node = std::shared_ptr<WindowGradientBackward>(new WindowGradientBackward(),
                                                        torch::autograd::deleteNode);
    variable_list inputs = unpacked();
    inputs.push_back(gradient);
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    constexpr std::uint32_t bent = 1;  // after the one output that differentiated windows have
    node->add_next_edge({shared_from_this(), bent});
    node->embedded = embedded;
    const at::NoGradGuard guard;
    node->kept = at::empty({static_cast<std::int64_t>(e.plan.kept_size)}, at::kFloat);
    const at::Tensor dense = e.of_rows({gradient});
    at::Tensor windows = like_windows(e, [&](float* rows) {
      for_blocks(e, [&](const ConvStack::Share& share) {
        e.stack->backward(e.windows.input(), share, e.output(), {dense.data_ptr<float>(), nullptr},
                          {nullptr, rows, node->kept.data_ptr<float>()});
      });
    });
    torch::autograd::set_history(windows, node);
    return windows;
  }

  variable_list differentiable(const variable_list& given) const {
    variable_list inputs = unpacked(), outputs, gradients;
    if (embedded->plan.twice) inputs.push_back(embedded->windows.memory);
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (!given[i].defined()) continue;
      outputs.push_back(again(i, inputs));
      gradients.push_back(given[i]);
    }
    return gradients_of(outputs, inputs, gradients);
  }

  // Output number i by LibTorch's operations.
  at::Tensor again(std::size_t i, const variable_list& all) const {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(layers.size()),
               end = middle + static_cast<std::ptrdiff_t>(layers.size());
    const PlacedWindows& windows = embedded->windows;
    const auto embed = [&](const at::Tensor& x) {
      return with_libtorch(layers, x, {all.begin(), middle}, {middle, end},
                           embedded->stack->is_normalized());
    };
    if (windows.sets.empty()) return embed(windows.memory);
    const auto length = static_cast<std::int64_t>(embedded->stack->reach()) + 1;
    return embed(windows.cut(windows.sets[i], length)).squeeze(2);
  }
};

}  // namespace

void connect(std::vector<at::Tensor>& outputs, const std::shared_ptr<const Embedded>& embedded,
             const std::vector<ConvLayer>& layers, const std::vector<at::Tensor>& parameters) {
  variable_list inputs = parameters;
  if (embedded->plan.twice) inputs.push_back(embedded->windows.memory);
  auto node = std::shared_ptr<ConvolutionsBackward>(new ConvolutionsBackward(),
                                                    torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  node->version = embedded->rows._version();
  node->embedded = embedded;
  node->layers = layers;
  for (const at::Tensor& p : parameters) node->parameters.emplace_back(p, false);
  for (at::Tensor& output : outputs) torch::autograd::set_history(output, node);
  // Not a tensor that anybody holds, but what gradients of the windows' gradient come back as.
  if (embedded->plan.twice)
    node->add_input_metadata(
        at::empty({1}, at::kFloat).expand({static_cast<std::int64_t>(embedded->plan.kept_size)}));
}

}  // namespace grevy::models

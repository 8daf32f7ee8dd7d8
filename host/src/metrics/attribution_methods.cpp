#include "metrics/attribution_methods.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <utility>
#include <vector>

namespace grevy::host {
namespace {

// Where the parameters are.
at::Device device_of(const ModelRef& model) {
  const NamedTensors tensors = model.tensors();
  return tensors.empty() ? at::Device(at::kCPU) : tensors.front().tensor.device();
}

// The Legendre polynomial of a degree >= 1 at -1 < x < 1, and its derivative.
std::pair<double, double> legendre(std::int64_t degree, double x) {
  double before = 1, value = x;
  for (std::int64_t k = 2; k <= degree; ++k) {
    const auto n = static_cast<double>(k);
    before = std::exchange(value, ((2 * n - 1) * x * value - (n - 1) * before) / n);
  }
  return {value, static_cast<double>(degree) * (x * value - before) / (x * x - 1)};
}

struct Node {
  double position, weight;
};

// Gauss-Legendre quadrature on [0, 1]: the roots, by Newton's method from Tricomi's estimate, which
// lies so near that a few rounds reach the last digit.
std::vector<Node> quadrature(std::int64_t count) {
  constexpr int kRounds = 10;
  const double pi = std::acos(-1.0);
  std::vector<Node> nodes;
  for (std::int64_t i = 0; i < count; ++i) {
    double root =
        std::cos(pi * (static_cast<double>(i) + 0.75) / (static_cast<double>(count) + 0.5));
    for (int round = 0; round < kRounds; ++round) {
      const auto [value, slope] = legendre(count, root);
      root -= value / slope;
    }
    const double slope = legendre(count, root).second;
    nodes.push_back({(1 + root) / 2, 1 / ((1 - root * root) * slope * slope)});
  }
  return nodes;
}

// Where the gradients of some windows are taken.
struct Draws {
  at::Tensor rows;       // int64 (n, draws): of the baselines
  at::Tensor positions;  // float32 (n, draws): 0 at the baseline, 1 at the window
};

Draws draw(std::int64_t num_windows, std::int64_t num_draws, std::int64_t num_baselines,
           Random& random) {
  Draws draws{at::empty({num_windows, num_draws}, at::kLong),
              at::empty({num_windows, num_draws}, at::kFloat)};
  auto* row = draws.rows.data_ptr<std::int64_t>();
  auto* position = draws.positions.data_ptr<float>();
  for (std::int64_t i = 0; i < draws.rows.numel(); ++i) {
    row[i] = random.below(num_baselines);
    position[i] = static_cast<float>(random.uniform());
  }
  return draws;
}

}  // namespace

Probe::Probe(const ModelRef& model, const ModelInfo& info, std::int64_t width)
    : model_(model), num_output_(info.num_output), width_(width), device_(device_of(model)) {}

at::Tensor Probe::embed(const at::Tensor& windows) const {
  const at::Tensor embedding = model_.forward(windows);
  if (embedding.sizes() == at::IntArrayRef({windows.size(0), num_output_}))
    return embedding.slice(1, 0, width_);
  throw Error(ErrorCode::invalid_value,
              c10::str("attribution: ", model_.component(), " made ", embedding.sizes(),
                       " from windows ", windows.sizes(), "; its description promises [",
                       windows.size(0), ", ", num_output_, "]"));
}

at::Tensor Probe::gradients(const at::Tensor& windows) const {
  const at::AutoGradMode with_graph(true);
  const at::Tensor input =
      windows.detach().clone(at::MemoryFormat::Contiguous).requires_grad_(true);
  const at::Tensor embedding = embed(input);
  if (!embedding.requires_grad())
    throw Error(ErrorCode::invalid_value, "attribution: the outputs of " + model_.component() +
                                              " carry no gradient; feature-ablation needs none");
  std::vector<at::Tensor> rows;
  for (std::int64_t d = 0; d < width_; ++d) {
    const auto gradient = torch::autograd::grad({embedding.select(1, d).sum()}, {input}, {},
                                                /*retain_graph=*/true, /*create_graph=*/false,
                                                /*allow_unused=*/true);
    rows.push_back(gradient[0].defined() ? gradient[0] : at::zeros_like(input));
  }
  return at::stack(rows, 1);
}

at::Tensor ablate(const Probe& probe, const at::Tensor& windows, double baseline) {
  const at::NoGradGuard no_grad;
  const at::Tensor whole = probe.embed(windows);
  at::Tensor ablated = windows.clone(at::MemoryFormat::Contiguous);
  at::Tensor map =
      at::empty({whole.size(0), whole.size(1), windows.size(1), windows.size(2)}, whole.options());
  for (std::int64_t c = 0; c < windows.size(1); ++c) {
    for (std::int64_t lag = 0; lag < windows.size(2); ++lag) {
      at::Tensor element = ablated.select(1, c).select(1, lag);
      element.fill_(baseline);
      map.select(2, c).select(2, lag).copy_(whole - probe.embed(ablated));
      element.copy_(windows.select(1, c).select(1, lag));
    }
  }
  return map;
}

at::Tensor integrate_gradients(const Probe& probe, const at::Tensor& windows, double baseline,
                               std::int64_t num_steps) {
  const at::Tensor way = windows - baseline;
  at::Tensor sum;
  for (const Node& node : quadrature(num_steps)) {
    const at::Tensor term = probe.gradients(way * node.position + baseline) * node.weight;
    sum = sum.defined() ? sum.add_(term) : term;
  }
  return sum * way.unsqueeze(1);
}

at::Tensor shuffled(const at::Tensor& windows, Random& random) {
  at::Tensor result = windows.to(at::kCPU).clone(at::MemoryFormat::Contiguous);
  auto* value = result.data_ptr<float>();
  for (std::int64_t i = result.numel() - 1; i > 0; --i)
    std::swap(value[i], value[random.below(i + 1)]);
  return result.to(windows.device());
}

at::Tensor zero_baseline(const at::Tensor& windows) {
  return at::zeros({1, windows.size(1), windows.size(2)}, windows.options());
}

at::Tensor expect_gradients(const Probe& probe, const at::Tensor& windows,
                            const at::Tensor& baselines, std::int64_t num_draws, Random& random) {
  const Draws draws = draw(windows.size(0), num_draws, baselines.size(0), random);
  at::Tensor sum;
  for (std::int64_t k = 0; k < num_draws; ++k) {
    const at::Tensor rows = draws.rows.select(1, k).to(windows.device());
    const at::Tensor position = draws.positions.select(1, k).to(windows.device()).view({-1, 1, 1});
    const at::Tensor baseline = baselines.index_select(0, rows);
    const at::Tensor way = windows - baseline;
    const at::Tensor term = probe.gradients(baseline + position * way) * way.unsqueeze(1);
    sum = sum.defined() ? sum.add_(term) : term;
  }
  return sum / num_draws;
}

}  // namespace grevy::host

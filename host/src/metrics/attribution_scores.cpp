#include "metrics/tensor_checks.hpp"

#include <grevy/error.hpp>
#include <grevy/host/attribution.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace grevy::host {
namespace {

[[noreturn]] void refuse(ErrorCode code, const char* where, const std::string& message) {
  throw Error(code, std::string(where) + ": " + message);
}

// As doubles on the CPU.
at::Tensor as_numbers(const char* where, const char* name, const at::Tensor& tensor) {
  if (!is_dense(tensor) || !tensor.is_floating_point())
    refuse(ErrorCode::invalid_type, where,
           std::string(name) + " is " + describe(tensor) + ", allowed are floating-point numbers");
  if (tensor.numel() == 0)
    refuse(ErrorCode::invalid_value, where,
           std::string(name) + " is " + describe(tensor) + ", allowed is at least one number");
  const at::Tensor numbers = tensor.detach().to(at::kCPU, at::kDouble);
  if (numbers.isfinite().all().item<bool>()) return numbers;
  refuse(ErrorCode::non_finite, where, std::string(name) + " contains NaN or infinity");
}

// A map's entries, by what the truth says of them.
struct Entries {
  std::vector<double> connected, unconnected;
};

Entries read_entries(const char* where, const at::Tensor& map, const at::Tensor& truth) {
  const at::Tensor values = as_numbers(where, "the map", map).contiguous();
  if (!truth.defined() || truth.scalar_type() != at::kBool)
    refuse(ErrorCode::invalid_type, where, "the truth is " + describe(truth) + ", allowed is Bool");
  if (truth.sizes() != map.sizes())
    refuse(ErrorCode::invalid_value, where,
           "the map is " + describe(map) + ", the truth " + describe(truth) +
               "; allowed are equal shapes");
  const at::Tensor marks = truth.cpu().contiguous();
  const auto* value = values.data_ptr<double>();
  const auto* mark = marks.data_ptr<bool>();
  Entries entries;
  for (std::int64_t i = 0; i < values.numel(); ++i)
    (mark[i] ? entries.connected : entries.unconnected).push_back(value[i]);
  if (!entries.connected.empty() && !entries.unconnected.empty()) return entries;
  refuse(ErrorCode::invalid_value, where,
         std::string("the truth is ") + (entries.connected.empty() ? "false" : "true") +
             " everywhere; allowed are entries of both kinds");
}

struct Summary {
  explicit Summary(const std::vector<double>& values)
      : max(*std::max_element(values.begin(), values.end())),
        mean(std::accumulate(values.begin(), values.end(), 0.0) /
             static_cast<double>(values.size())),
        min(*std::min_element(values.begin(), values.end())) {}
  double max, mean, min;
};

at::Tensor largest(const at::Tensor& matrices) { return matrices.abs().amax({1, 2}); }

at::Tensor equal(const at::Tensor& found, const at::Tensor& expected, double tolerance) {
  return largest(found - expected) <= tolerance * largest(expected);
}

}  // namespace

at::Tensor pseudo_inverse(const at::Tensor& matrices, double cut_off) {
  constexpr auto where = "pseudo_inverse";
  const at::NoGradGuard no_grad;
  const at::Tensor numbers = as_numbers(where, "the input", matrices);
  if (numbers.dim() < 2)
    refuse(ErrorCode::invalid_value, where,
           "the input is " + describe(matrices) + ", allowed are at least 2 dimensions");
  if (!(cut_off >= 0 && cut_off < 1))
    refuse(ErrorCode::invalid_value, where,
           "cut_off is " + std::to_string(cut_off) + ", allowed is 0 up to, but not, 1");
  return at::linalg_pinv(numbers, /*atol=*/0.0, /*rtol=*/cut_off, /*hermitian=*/false);
}

at::Tensor check_moore_penrose(const at::Tensor& matrices, const at::Tensor& inverses,
                               double tolerance) {
  constexpr auto where = "check_moore_penrose";
  const at::NoGradGuard no_grad;
  const at::Tensor a = as_numbers(where, "the matrices", matrices);
  const at::Tensor x = as_numbers(where, "the inverses", inverses);
  if (a.dim() != 3 || x.dim() != 3 || x.sizes() != a.transpose(1, 2).sizes())
    refuse(ErrorCode::invalid_value, where,
           "the matrices are " + describe(matrices) + ", the inverses " + describe(inverses) +
               "; allowed are [n, D, C] and [n, C, D]");
  if (!(std::isfinite(tolerance) && tolerance >= 0))
    refuse(ErrorCode::invalid_value, where,
           "tolerance is " + std::to_string(tolerance) + ", allowed is a finite number from 0 on");
  const at::Tensor ax = a.matmul(x), xa = x.matmul(a);
  return at::stack(
      {equal(ax.matmul(a), a, tolerance), equal(xa.matmul(x), x, tolerance),
       equal(ax.transpose(1, 2), ax, tolerance), equal(xa.transpose(1, 2), xa, tolerance)},
      1);
}

double attribution_score(const at::Tensor& map, const at::Tensor& truth) {
  Entries entries = read_entries("attribution_score", map, truth);
  std::vector<double>& others = entries.unconnected;
  std::sort(others.begin(), others.end());
  double wins = 0;
  for (const double value : entries.connected) {
    const auto [first, last] = std::equal_range(others.begin(), others.end(), value);
    wins += static_cast<double>(first - others.begin()) + static_cast<double>(last - first) / 2;
  }
  return wins / static_cast<double>(entries.connected.size()) / static_cast<double>(others.size());
}

AttributionMetrics attribution_metrics(const at::Tensor& map, const at::Tensor& truth) {
  const Entries entries = read_entries("attribution_metrics", map, truth);
  const Summary in(entries.connected), out(entries.unconnected);
  AttributionMetrics m;
  m.max_connected = in.max, m.mean_connected = in.mean, m.min_connected = in.min;
  m.max_nonconnected = out.max, m.mean_nonconnected = out.mean, m.min_nonconnected = out.min;
  m.gap_max = in.max - out.max;
  m.gap_mean = in.mean - out.mean;
  m.gap_min = in.min - out.min;
  m.gap_minmax = in.min - out.max;
  m.max_jacobian = std::max(in.max, out.max);
  m.min_jacobian = std::min(in.min, out.min);
  return m;
}

}  // namespace grevy::host

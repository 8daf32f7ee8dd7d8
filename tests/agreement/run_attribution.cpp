// attribution: the maps of every method that draws no random numbers, the score and the metrics of
// one of them, and the Jacobian with its inverse that the reference computes in float64.
#include "runners.hpp"

#include <grevy/host/attribution.hpp>

#include <algorithm>
#include <limits>

namespace grevy::agreement {
namespace {

using Maps = std::map<std::string, at::Tensor>;

constexpr const char* methods[] = {"jacobian-based", "neuron-gradient", "feature-ablation",
                                   "integrated-gradients"};

Maps compute_maps(const ModelRef& model, const at::Tensor& signal) {
  Maps maps;
  for (const char* method : methods) {
    host::AttributionOptions options;
    options.method = method;
    maps.merge(host::attribute(model, signal, options).maps);
  }
  return maps;
}

// "... of mean |NAME| against truth"
std::string scored_map(const Case& c) {
  const auto text = c.param<std::string>("score");
  const auto first = text.find('|'), last = text.rfind('|');
  if (first == last) throw Error(ErrorCode::invalid_value, "no |NAME| in \"" + text + "\"");
  return text.substr(first + 1, last - first - 1);
}

// How far inverses of float32 matrices may be off, as a share of their largest number: rounding
// grows by the condition (Golub & Van Loan, Matrix Computations, 5.5.4), of the singular values
// that are kept. One per matrix.
std::vector<double> inverse_rounding(const at::Tensor& matrices) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const at::Tensor values = at::linalg_svdvals(matrices.to(at::kDouble)).flatten(0, -2);
  const at::Tensor largest = values.amax(1, true);
  const at::Tensor smallest =
      values.masked_fill(values <= host::kDefaultCutOff * largest, kInfinity).amin(1, true);
  const at::Tensor shares = largest / smallest * (2 * std::numeric_limits<float>::epsilon());
  return {shares.data_ptr<double>(), shares.data_ptr<double>() + shares.numel()};
}

Tolerance widened(double share) {
  Tolerance allowed = tolerance::gradient;
  allowed.of_largest = std::max(allowed.of_largest, share);
  return allowed;
}

void compare_inverses(const std::string& name, const at::Tensor& found, const at::Tensor& expected,
                      const std::vector<double>& rounding, Comparison& result) {
  if (found.sizes() != expected.sizes())
    return result.values(name, found, expected, tolerance::gradient);
  const at::Tensor rows = found.flatten(0, -3), expected_rows = expected.flatten(0, -3);
  for (std::int64_t i = 0; i < rows.size(0); ++i)
    result.values(name, rows[i], expected_rows[i],
                  widened(rounding.at(static_cast<std::size_t>(i))));
}

// The map that an inverse is of; none for other maps.
std::string inverted(const std::string& name) {
  const auto place = name.find("-inv-");
  return place == std::string::npos ? "" : name.substr(0, place);
}

void compare_maps(const Case& c, const Maps& maps, Comparison& result) {
  for (const NamedTensor& expected : c.tensors("map/")) {
    const std::string name = "map/" + expected.name;
    const auto found = maps.find(expected.name);
    if (found == maps.end())
      result.values(name, {}, expected.tensor, tolerance::gradient);
    else if (const std::string base = inverted(expected.name); base.empty())
      result.values(name, found->second, expected.tensor, tolerance::gradient);
    else
      compare_inverses(name, found->second, expected.tensor, inverse_rounding(maps.at(base)),
                       result);
  }
}

double largest_rounding(const std::string& name, const Maps& maps) {
  const std::string base = inverted(name);
  if (base.empty()) return 0;
  const auto rounding = inverse_rounding(maps.at(base));
  return *std::max_element(rounding.begin(), rounding.end());
}

void compare_scores(const Case& c, const Maps& maps, Comparison& result) {
  const std::string name = scored_map(c);
  const at::Tensor map = maps.at(name).abs().mean(0);
  const at::Tensor truth = c.tensor("truth").to(at::kBool);
  result.number("score", host::attribution_score(map, truth), c.number("score"),
                tolerance::forward);
  const host::AttributionMetrics m = host::attribution_metrics(map, truth);
  const std::map<std::string, double> found = {{"max_connected", m.max_connected},
                                               {"mean_connected", m.mean_connected},
                                               {"min_connected", m.min_connected},
                                               {"max_nonconnected", m.max_nonconnected},
                                               {"mean_nonconnected", m.mean_nonconnected},
                                               {"min_nonconnected", m.min_nonconnected},
                                               {"gap_max", m.gap_max},
                                               {"gap_mean", m.gap_mean},
                                               {"gap_min", m.gap_min},
                                               {"gap_minmax", m.gap_minmax},
                                               {"max_jacobian", m.max_jacobian},
                                               {"min_jacobian", m.min_jacobian}};
  // A gap is a difference of large numbers.
  Tolerance allowed = widened(largest_rounding(name, maps));
  allowed.absolute = allowed.of_largest * m.max_jacobian;
  for (const NamedTensor& expected : c.tensors("metrics/"))
    result.number("metrics/" + expected.name, found.at(expected.name),
                  expected.tensor.item<double>(), allowed);
}

void compare_double(const Case& c, const ModelRef& model, Comparison& result) {
  const at::Tensor input = c.tensor("double_input");
  const bool windowed = input.dim() == 3;
  const at::Tensor found = host::jacobian(model, windowed ? input : input.unsqueeze(2));
  const at::Tensor map = windowed ? found : found.squeeze(3);
  result.values("double_jacobian", map, c.tensor("double_jacobian"), tolerance::gradient);
  compare_inverses("double_pinv", host::pseudo_inverse(map), c.tensor("double_pinv"),
                   inverse_rounding(map), result);
}

}  // namespace

void run_attribution(const Case& c, const Bench& bench, Comparison& result) {
  const NamedTensors state = c.tensors("state/");
  const at::Tensor signal = c.tensor("signal");
  const auto model =
      bench.model(c.param<std::string>("model"), width_options(c, state), signal.size(1));
  load_state(model->tensors(), state, c.param("shared", Json(Json::object())));
  const Maps maps = compute_maps(*model, signal);
  compare_maps(c, maps, result);
  compare_scores(c, maps, result);
  if (c.has_tensor("double_input")) compare_double(c, *model, result);
}

}  // namespace grevy::agreement

#include "metrics/attribution_methods.hpp"
#include "metrics/tensor_checks.hpp"

#include <grevy/error.hpp>
#include <grevy/host/attribution.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace grevy::host {
namespace {

constexpr std::int64_t kMostPasses = 1000;  // num_steps, num_draws

[[noreturn]] void refuse(ErrorCode code, const std::string& message) {
  throw Error(code, "attribution: " + message);
}

// Some windows of a call.
struct Portion {
  const AttributionOptions& options;
  at::Tensor windows;
  at::Tensor baselines;  // neuron-gradient-shap alone has them, and draws
  Random* random;
};

at::Tensor map_jacobian(const Probe& probe, const Portion& portion) {
  return probe.gradients(portion.windows);
}
at::Tensor map_ablation(const Probe& probe, const Portion& portion) {
  return ablate(probe, portion.windows, portion.options.baseline);
}
at::Tensor map_integral(const Probe& probe, const Portion& portion) {
  return integrate_gradients(probe, portion.windows, portion.options.baseline,
                             portion.options.num_steps);
}
at::Tensor map_expectation(const Probe& probe, const Portion& portion) {
  return expect_gradients(probe, portion.windows, portion.baselines, portion.options.num_draws,
                          *portion.random);
}

struct Method {
  const char* name;
  const char* key;
  bool inverses, draws;
  at::Tensor (*map)(const Probe& probe, const Portion& portion);
};

constexpr Method methods[] = {
    {"jacobian-based", "jf", true, false, map_jacobian},
    {"jacobian-based-batched", "jf", false, false, map_jacobian},
    {"neuron-gradient", "neuron-gradient", true, false, map_jacobian},
    {"neuron-gradient-batched", "neuron-gradient", false, false, map_jacobian},
    {"feature-ablation", "feature-ablation", false, false, map_ablation},
    {"feature-ablation-batched", "feature-ablation", false, false, map_ablation},
    {"integrated-gradients", "integrated-gradients", false, false, map_integral},
    {"integrated-gradients-batched", "integrated-gradients", false, false, map_integral},
    {"neuron-gradient-shap", "neuron-gradient-shap", false, true, map_expectation},
    {"neuron-gradient-shap-batched", "neuron-gradient-shap", false, true, map_expectation},
};

const Method& find_method(const std::string& name) {
  std::string names;
  for (const Method& method : methods) {
    if (method.name == name) return method;
    names += std::string(names.empty() ? "" : ", ") + method.name;
  }
  refuse(ErrorCode::invalid_value, "method is \"" + name + "\", allowed are " + names);
}

void check_range(const char* name, std::int64_t value, std::int64_t lowest, std::int64_t highest) {
  if (value >= lowest && value <= highest) return;
  refuse(ErrorCode::invalid_value, std::string(name) + " is " + std::to_string(value) +
                                       ", allowed are " + std::to_string(lowest) + " to " +
                                       std::to_string(highest));
}

void check_batch_size(std::int64_t batch_size) {
  if (batch_size < 1)
    refuse(ErrorCode::invalid_value,
           "batch_size is " + std::to_string(batch_size) + ", allowed is at least 1");
}

void check_options(const AttributionOptions& options, const Method& method, const ModelInfo& info) {
  check_batch_size(options.batch_size);
  check_range("output_dimension", options.output_dimension.value_or(1), 1, info.num_output);
  check_range("num_steps", options.num_steps, 1, kMostPasses);
  check_range("num_draws", options.num_draws, 1, kMostPasses);
  if (!std::isfinite(options.baseline))
    refuse(ErrorCode::non_finite,
           "the baseline is " + std::to_string(options.baseline) + ", allowed is a finite number");
  if (!(options.cut_off >= 0 && options.cut_off < 1))
    refuse(ErrorCode::invalid_value,
           "cut_off is " + std::to_string(options.cut_off) + ", allowed is 0 up to, but not, 1");
  if (method.draws && options.baselines != "zeros" && options.baselines != "shuffle")
    refuse(ErrorCode::unimplemented,
           "baselines is \"" + options.baselines + "\", allowed are zeros, shuffle");
}

// In float32 on the model's device.
at::Tensor read(const char* name, const at::Tensor& tensor, std::int64_t dimensions,
                const char* shape, at::Device device) {
  if (!is_dense(tensor) || !tensor.is_floating_point())
    refuse(ErrorCode::invalid_type,
           std::string(name) + " is " + describe(tensor) + ", allowed are floating-point numbers");
  if (tensor.dim() != dimensions || tensor.numel() == 0)
    refuse(ErrorCode::invalid_value,
           std::string(name) + " is " + describe(tensor) + ", allowed is " + shape + ", not empty");
  const at::Tensor numbers = tensor.detach().to(device, at::kFloat);
  if (numbers.isfinite().all().item<bool>()) return numbers;
  refuse(ErrorCode::non_finite,
         std::string(name) + " contains NaN or infinity, or magnitudes beyond float32");
}

void check_channels(const at::Tensor& tensor, const ModelInfo& info) {
  if (tensor.size(1) == info.num_input) return;
  refuse(ErrorCode::invalid_value, "the model takes " + std::to_string(info.num_input) +
                                       " channels, found " + std::to_string(tensor.size(1)));
}

// Every window, (T - L + 1, C, L), without a copy.
at::Tensor cut_windows(const at::Tensor& samples, const ModelInfo& info, at::Device device) {
  const at::Tensor series = read("samples", samples, 2, "(time, channels)", device);
  check_channels(series, info);
  if (series.size(0) < info.offset.length())
    refuse(ErrorCode::invalid_value, "found " + std::to_string(series.size(0)) +
                                         " samples; the receptive field needs at least " +
                                         std::to_string(info.offset.length()));
  return series.unfold(0, info.offset.length(), 1);
}

Random& need(Random* random, const char* reason) {
  if (random != nullptr) return *random;
  refuse(ErrorCode::invalid_value, std::string(reason) + " needs a Random, found none");
}

// `count` of the numbers below `total`, all equally likely, ascending.
at::Tensor choose(std::int64_t count, std::int64_t total, Random& random) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(total));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  for (std::int64_t i = 0; i < count; ++i)
    std::swap(numbers[static_cast<std::size_t>(i)],
              numbers[static_cast<std::size_t>(i + random.below(total - i))]);
  numbers.resize(static_cast<std::size_t>(count));
  std::sort(numbers.begin(), numbers.end());
  return at::tensor(numbers, at::kLong);
}

at::Tensor choose_windows(std::int64_t total, const AttributionOptions& options, Random* random) {
  if (!options.num_samples) return at::arange(total, at::kLong);
  check_range("num_samples", *options.num_samples, 1, total);
  return choose(*options.num_samples, total, need(random, "num_samples"));
}

at::Tensor make_baselines(const Method& method, const AttributionOptions& options,
                          const at::Tensor& windows, Random* random) {
  if (!method.draws) return {};
  Random& source = need(random, method.name);
  return options.baselines == "shuffle" ? shuffled(windows, source) : zero_baseline(windows);
}

// Keeps a model in evaluation mode.
class Evaluating {
 public:
  Evaluating(const ModelRef& model, bool before) : model_(model), before_(before) {
    model_.set_training(false);
  }
  ~Evaluating() {
    try {
      model_.set_training(before_);
    } catch (const Error&) {  // a model that cannot switch has reported that before
    }
  }
  Evaluating(const Evaluating&) = delete;
  Evaluating& operator=(const Evaluating&) = delete;

 private:
  const ModelRef& model_;
  bool before_;
};

// Calls use(begin, end) for runs of at most `size` of `count`.
template <class Use>
void for_portions(std::int64_t count, std::int64_t size, Use use) {
  const std::int64_t step = std::min(size, count);
  for (std::int64_t begin = 0; begin < count; begin += step)
    use(begin, std::min(count, begin + step));
}

// A map of all samples without its time lags, put together from those of batches.
class Reduced {
 public:
  explicit Reduced(const ModelInfo& info)
      : windowed_(info.convolutional || info.offset.length() > 1) {}

  // map: (n, D, C, L)
  void add(const at::Tensor& map) {
    signed_.push_back(map.mean(3).cpu());
    absolute_.push_back(windowed_ ? map.abs().mean(3).cpu() : signed_.back());
  }
  at::Tensor mean() const { return at::cat(signed_); }
  at::Tensor mean_absolute() const { return at::cat(absolute_); }

 private:
  bool windowed_;
  std::vector<at::Tensor> signed_, absolute_;
};

void check_map(const std::string& name, const at::Tensor& map) {
  if (map.isfinite().all().item<bool>()) return;
  refuse(ErrorCode::non_finite, "the map " + name + " contains NaN or infinity");
}

void add_inverses(AttributionMaps& result, const std::string& key, double cut_off) {
  const at::Tensor inverse =
      pseudo_inverse(result.maps.at(key), cut_off).transpose(1, 2).to(at::kFloat).contiguous();
  result.maps[key + "-inv-svd"] = inverse;
  result.maps[key + "-inv-lsq"] = inverse.clone();
}

}  // namespace

std::vector<std::string> attribution_methods() {
  std::vector<std::string> names;
  for (const Method& method : methods) names.emplace_back(method.name);
  return names;
}

AttributionMaps attribute(const ModelRef& model, const at::Tensor& samples,
                          const AttributionOptions& options, Random* random) {
  const at::NoGradGuard no_grad;
  const Method& method = find_method(options.method);
  const ModelInfo info = model.info();
  check_options(options, method, info);
  const Probe probe(model, info, options.output_dimension.value_or(info.num_output));
  at::Tensor windows = cut_windows(samples, info, probe.device());

  AttributionMaps result;
  result.windows = choose_windows(windows.size(0), options, random);
  if (options.num_samples) windows = windows.index_select(0, result.windows.to(probe.device()));
  const at::Tensor baselines = make_baselines(method, options, windows, random);

  const Evaluating evaluating(model, options.training);
  Reduced reduced(info);
  for_portions(windows.size(0), options.batch_size, [&](std::int64_t begin, std::int64_t end) {
    const Portion portion{options, windows.slice(0, begin, end).contiguous(), baselines, random};
    reduced.add(method.map(probe, portion));
  });
  const std::string key = method.key;
  result.maps = {{key, reduced.mean()}, {key + "-convabs", reduced.mean_absolute()}};
  for (const auto& [name, map] : result.maps) check_map(name, map);
  if (!method.inverses || !options.inverses) return result;
  for (const auto& name : {key, key + "-convabs"}) add_inverses(result, name, options.cut_off);
  return result;
}

at::Tensor jacobian(const ModelRef& model, const at::Tensor& windows,
                    const JacobianOptions& options) {
  const at::NoGradGuard no_grad;
  check_batch_size(options.batch_size);
  const ModelInfo info = model.info();
  const Probe probe(model, info, info.num_output);
  const at::Tensor input =
      read("windows", windows, 3, "(windows, channels, length)", probe.device());
  check_channels(input, info);
  if (input.size(2) != info.offset.length())
    refuse(ErrorCode::invalid_value,
           "the model's receptive field is " + std::to_string(info.offset.length()) +
               " samples, the windows have " + std::to_string(input.size(2)));
  const Evaluating evaluating(model, options.training);
  std::vector<at::Tensor> parts;
  for_portions(input.size(0), options.batch_size, [&](std::int64_t begin, std::int64_t end) {
    parts.push_back(probe.gradients(input.slice(0, begin, end)).cpu());
  });
  const at::Tensor map = at::cat(parts);
  check_map("jacobian", map);
  return map;
}

}  // namespace grevy::host

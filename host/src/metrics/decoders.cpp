#include "metrics/tensor_checks.hpp"

#include <grevy/error.hpp>
#include <grevy/host/decoders.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

namespace grevy::host {
namespace {

constexpr std::int64_t kFolds = 5;
constexpr std::int64_t kNumAlphas = 9;

[[noreturn]] void refuse(ErrorCode code, const std::string& message) {
  throw Error(code, "linear decoding: " + message);
}

at::Tensor as_matrix(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor matrix = as_numbers("linear decoding", name, tensor, 2);
  check_magnitude("linear decoding", name, matrix);
  return matrix;
}

struct Samples {
  at::Tensor inputs, targets;

  std::int64_t count() const { return inputs.size(0); }
  Samples select(const at::Tensor& rows) const {
    return {inputs.index_select(0, rows), targets.index_select(0, rows)};
  }
};

Samples read_samples(const at::Tensor& inputs, const at::Tensor& targets) {
  Samples samples{as_matrix("inputs", inputs), as_matrix("targets", targets)};
  if (samples.inputs.size(0) == samples.targets.size(0)) return samples;
  refuse(ErrorCode::invalid_value,
         "inputs has " + std::to_string(samples.inputs.size(0)) + " samples, targets " +
             std::to_string(samples.targets.size(0)) + "; allowed are equal numbers");
}

struct Centred {
  explicit Centred(const at::Tensor& matrix) : mean(matrix.mean(0)), values(matrix - mean) {}
  at::Tensor mean, values;
};

LinearModel with_intercept(const at::Tensor& coefficients, const Centred& inputs,
                           const Centred& targets) {
  return {coefficients, targets.mean - coefficients.mv(inputs.mean)};
}

// One output of a lasso: coefficients w that minimise |y - X w|^2 / 2 + penalty |w|_1.
class Descent {
 public:
  // columns: X transposed, contiguous. Both centred.
  Descent(const at::Tensor& columns, const at::Tensor& target, double penalty)
      : columns_(columns),
        target_(target),
        penalty_(penalty),
        residual_(target.clone()),
        coefficients_(static_cast<std::size_t>(columns.size(0)), 0.0) {
    const at::Tensor squares = columns.square().sum(1);
    squares_.assign(squares.data_ptr<double>(), squares.data_ptr<double>() + squares.numel());
  }

  // Minimises over one coefficient after the other. Returns the largest change as a share of the
  // largest coefficient.
  double pass() {
    double change = 0, largest = 0;
    for (std::size_t j = 0; j < coefficients_.size(); ++j) {
      if (squares_[j] == 0) continue;
      change = std::max(change, std::abs(update(j)));
      largest = std::max(largest, std::abs(coefficients_[j]));
    }
    return largest > 0 ? change / largest : 0;
  }

  // No coefficients reach an objective lower by more than this share of |y|^2: the duality gap, for
  // the residual scaled into the feasible set of the dual.
  double gap() const {
    const double correlation = columns_.mv(residual_).abs().max().item<double>();
    const double scale = correlation > penalty_ ? penalty_ / correlation : 1;
    const double error = residual_.dot(residual_).item<double>();
    const double total = target_.dot(target_).item<double>();
    double norm = 0;
    for (const double w : coefficients_) norm += std::abs(w);
    const double gap = error * (1 + scale * scale) / 2 + penalty_ * norm -
                       scale * residual_.dot(target_).item<double>();
    return total > 0 ? gap / total : 0;
  }

  const std::vector<double>& coefficients() const { return coefficients_; }

 private:
  // Soft thresholding of what column j explains of the rest. Returns by how much w[j] changed.
  double update(std::size_t j) {
    const at::Tensor column = columns_[static_cast<std::int64_t>(j)];
    const double before = coefficients_[j];
    const double pull = column.dot(residual_).item<double>() + squares_[j] * before;
    const double size = std::max(std::abs(pull) - penalty_, 0.0) / squares_[j];
    coefficients_[j] = std::copysign(size, pull);
    const double change = coefficients_[j] - before;
    if (change != 0) residual_.add_(column, -change);
    return change;
  }

  at::Tensor columns_, target_;
  double penalty_;
  at::Tensor residual_;  // y - X w
  std::vector<double> coefficients_, squares_;
};

bool descend(Descent& descent, const L1Options& options) {
  for (std::int64_t pass = 0; pass < options.max_passes; ++pass)
    if (descent.pass() <= options.tolerance && descent.gap() <= options.tolerance) return true;
  return false;
}

// Ridge solutions for any penalty from one decomposition.
class RidgePath {
 public:
  explicit RidgePath(const Samples& samples) : inputs_(samples.inputs), targets_(samples.targets) {
    const auto [left, sizes, right] = at::linalg_svd(inputs_.values, /*full_matrices=*/false);
    sizes_ = sizes;
    right_ = right;
    projected_ = at::mm(left.t(), targets_.values);
  }

  LinearModel model(double alpha) const {
    const at::Tensor shrink = sizes_ / (sizes_.square() + alpha);
    const at::Tensor coefficients = at::mm((projected_ * shrink.unsqueeze(1)).t(), right_);
    return with_intercept(coefficients, inputs_, targets_);
  }

 private:
  Centred inputs_, targets_;
  at::Tensor sizes_, right_, projected_;
};

// Sum over the outputs; constant ones add 0.
double sum_of_r2(const LinearModel& model, const Samples& samples) {
  const at::Tensor error = (samples.targets - model.predict(samples.inputs)).square().sum(0);
  const at::Tensor spread = Centred(samples.targets).values.square().sum(0);
  const at::Tensor constant = samples.targets.amax(0) == samples.targets.amin(0);
  return (1 - error / spread).masked_fill(constant, 0).sum().item<double>();
}

std::vector<double> ridge_alphas() {
  std::vector<double> alphas;
  for (std::int64_t i = 0; i < kNumAlphas; ++i)
    alphas.push_back(std::pow(10.0, -4.0 + 0.5 * static_cast<double>(i)));
  return alphas;
}

// Rows of each fold, consecutive.
std::vector<std::pair<std::int64_t, std::int64_t>> folds_of(std::int64_t samples) {
  std::vector<std::pair<std::int64_t, std::int64_t>> folds;
  std::int64_t begin = 0;
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    const std::int64_t length = samples / kFolds + (fold < samples % kFolds ? 1 : 0);
    folds.emplace_back(begin, begin + length);
    begin += length;
  }
  return folds;
}

double choose_alpha(const Samples& samples, const std::vector<double>& alphas) {
  std::vector<double> quality(alphas.size(), 0.0);
  for (const auto& [begin, end] : folds_of(samples.count())) {
    const at::Tensor before = at::arange(begin), after = at::arange(end, samples.count());
    const RidgePath path(samples.select(at::cat({before, after})));
    const Samples held = samples.select(at::arange(begin, end));
    for (std::size_t i = 0; i < alphas.size(); ++i)
      quality[i] += sum_of_r2(path.model(alphas[i]), held);
  }
  const auto best = std::max_element(quality.begin(), quality.end());
  return alphas[static_cast<std::size_t>(best - quality.begin())];
}

void check_options(const L1Options& options) {
  const auto check = [](bool good, const char* name, double found, const char* allowed) {
    if (good) return;
    std::ostringstream text;
    text << name << " is " << found << ", allowed is " << allowed;
    refuse(ErrorCode::invalid_value, text.str());
  };
  check(options.alpha > 0 && options.alpha <= 1e100, "alpha", options.alpha,
        "above 0 and at most 1e100");
  check(options.tolerance >= 0 && options.tolerance <= 1, "tolerance", options.tolerance, "0 to 1");
  check(options.max_passes >= 1, "max_passes", static_cast<double>(options.max_passes),
        "at least 1");
}

}  // namespace

at::Tensor LinearModel::predict(const at::Tensor& inputs) const {
  const at::NoGradGuard no_grad;
  if (!coefficients.defined()) refuse(ErrorCode::invalid_state, "fit must come first");
  const at::Tensor matrix = as_matrix("inputs", inputs);
  if (matrix.size(1) != coefficients.size(1))
    refuse(ErrorCode::invalid_value,
           "inputs has " + std::to_string(matrix.size(1)) + " columns, allowed are the " +
               std::to_string(coefficients.size(1)) + " that the model was fitted to");
  return at::addmm(intercept, matrix, coefficients.t());
}

ContinuousScore LinearModel::score(const at::Tensor& inputs, const at::Tensor& truth) const {
  const at::NoGradGuard no_grad;
  const at::Tensor predicted = predict(inputs);
  const at::Tensor actual = as_matrix("truth", truth);
  const at::Tensor mean = actual.mean(0);
  if (actual.sizes() != predicted.sizes())
    refuse(ErrorCode::invalid_value, "truth is " + describe(actual) + ", the prediction " +
                                         describe(predicted) + "; allowed are equal sizes");
  return score_continuous((actual - mean).to(at::kFloat), (predicted - mean).to(at::kFloat));
}

L1LinearRegressor::L1LinearRegressor(const L1Options& options) : options_(options) {
  check_options(options);
}

void L1LinearRegressor::fit(const at::Tensor& inputs, const at::Tensor& targets) {
  const at::NoGradGuard no_grad;
  const Samples samples = read_samples(inputs, targets);
  const Centred features(samples.inputs), outputs(samples.targets);
  const at::Tensor columns = features.values.t().contiguous();
  const at::Tensor rows = outputs.values.t().contiguous();
  const double penalty = options_.alpha * static_cast<double>(samples.count());
  at::Tensor coefficients = at::empty({rows.size(0), columns.size(0)}, columns.options());
  bool converged = true;
  for (std::int64_t output = 0; output < rows.size(0); ++output) {
    Descent descent(columns, rows[output], penalty);
    converged = descend(descent, options_) && converged;
    coefficients[output].copy_(at::tensor(descent.coefficients(), columns.options()));
  }
  model_ = with_intercept(coefficients, features, outputs);
  converged_ = converged;
}

RidgeDecoding ridge_decoding(const at::Tensor& train_inputs, const at::Tensor& train_targets,
                             const at::Tensor& held_inputs, const at::Tensor& held_targets) {
  const at::NoGradGuard no_grad;
  const Samples train = read_samples(train_inputs, train_targets);
  const Samples held = read_samples(held_inputs, held_targets);
  if (train.count() < kFolds)
    refuse(ErrorCode::invalid_value, "there are " + std::to_string(train.count()) +
                                         " training samples, allowed are at least " +
                                         std::to_string(kFolds));
  RidgeDecoding result;
  result.alpha = choose_alpha(train, ridge_alphas());
  result.model = RidgePath(train).model(result.alpha);
  result.train = result.model.score(train.inputs, train.targets);
  result.held_out = result.model.score(held.inputs, held.targets);
  result.predicted = result.model.predict(held.inputs);
  return result;
}

}  // namespace grevy::host

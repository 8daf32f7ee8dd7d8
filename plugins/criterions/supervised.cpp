// LibTorch's losses as supervised criterions: reference against target. Each under the name that
// torch.nn gives it; the mean over all elements, or their sum.
#include <grevy/plugin.hpp>

#include <ATen/ops/binary_cross_entropy.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/kl_div.h>
#include <ATen/ops/l1_loss.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/poisson_nll_loss.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/soft_margin_loss.h>

#include <sstream>

namespace grevy::criterions {
namespace {

std::string shape(const at::Tensor& t) {
  std::ostringstream text;
  if (t.defined())
    text << t.sizes();
  else
    text << "nothing";
  return text.str();
}

// What a target looks like beside a prediction (n, d).
enum class Target {
  values,  // floats (n, d), or (n) for d = 1
  classes  // int64 (n), from 0 to d - 1
};

// One prediction, checked; derived classes compute the loss.
class Supervised : public Criterion {
 public:
  CriterionInfo info() const final { return {}; }

  Evaluation evaluate(const std::vector<Prediction>& predictions) final {
    if (predictions.size() != 1)
      throw Error(ErrorCode::invalid_value,
                  "takes 1 prediction; found " + std::to_string(predictions.size()));
    const Prediction& p = predictions.front();
    if (!p.reference.defined() || p.reference.dim() != 2 || p.reference.numel() == 0)
      throw Error(ErrorCode::invalid_value,
                  "needs predictions (n, d); found " + shape(p.reference));
    return {compute(p.reference, target_of(p)), {}};
  }

 protected:
  Supervised(Target target, std::string_view reduction)
      : reduction_(reduction == "sum" ? at::Reduction::Sum : at::Reduction::Mean),
        target_(target) {}
  std::int64_t reduction() const { return reduction_; }

 private:
  virtual at::Tensor compute(const at::Tensor& found, const at::Tensor& target) const = 0;

  at::Tensor target_of(const Prediction& p) const {
    at::Tensor target = p.positive;
    if (target_ == Target::values) {
      if (target.defined() && target.dim() == 1) target = target.unsqueeze(1);
      if (!target.defined() || target.sizes() != p.reference.sizes())
        throw Error(ErrorCode::invalid_value, "needs a target of the prediction's shape, " +
                                                  shape(p.reference) + "; found " + shape(target));
      return target.to(p.reference.options());
    }
    if (target.defined() && target.dim() == 2 && target.size(1) == 1) target = target.squeeze(1);
    if (!target.defined() || target.dim() != 1 || target.size(0) != p.reference.size(0) ||
        target.is_floating_point())
      throw Error(ErrorCode::invalid_value,
                  "needs integer classes, one per row of the prediction, " + shape(p.reference) +
                      "; found " + shape(target));
    const auto lowest = target.min().item<std::int64_t>(),
               highest = target.max().item<std::int64_t>();
    if (lowest < 0 || highest >= p.reference.size(1))
      throw Error(ErrorCode::out_of_range,
                  "needs classes from 0 to " + std::to_string(p.reference.size(1) - 1) +
                      "; found " + std::to_string(lowest) + " to " + std::to_string(highest));
    return target;
  }

  std::int64_t reduction_;
  Target target_;
};

template <class Options>
constexpr auto reduction_field() {
  return field("reduction", &Options::reduction, "Mean or sum over the elements.")
      .one_of("mean", "sum");
}

struct Plain {
  std::string_view reduction = "mean";
  static constexpr auto fields() { return grevy::fields(reduction_field<Plain>()); }
};

struct SmoothL1Options {
  std::string_view reduction = "mean";
  double beta = 1;
  static constexpr auto fields() {
    return grevy::fields(
        reduction_field<SmoothL1Options>(),
        field("beta", &SmoothL1Options::beta, "Where the square ends.").at_least(0));
  }
};

struct HuberOptions {
  std::string_view reduction = "mean";
  double delta = 1;
  static constexpr auto fields() {
    return grevy::fields(reduction_field<HuberOptions>(),
                         field("delta", &HuberOptions::delta, "Where the square ends.").above(0));
  }
};

struct CrossEntropyOptions {
  std::string_view reduction = "mean";
  double label_smoothing = 0;
  static constexpr auto fields() {
    return grevy::fields(reduction_field<CrossEntropyOptions>(),
                         field("label_smoothing", &CrossEntropyOptions::label_smoothing,
                               "Share given to all classes.")
                             .at_least(0)
                             .at_most(1));
  }
};

struct PoissonOptions {
  std::string_view reduction = "mean";
  bool log_input = true;
  bool full = false;
  double eps = 1e-8;
  static constexpr auto fields() {
    return grevy::fields(
        reduction_field<PoissonOptions>(),
        field("log_input", &PoissonOptions::log_input, "The prediction is the rate's logarithm."),
        field("full", &PoissonOptions::full, "Add Stirling's term."),
        field("eps", &PoissonOptions::eps, "Added to the rate where log_input is false.").above(0));
  }
};

struct DivergenceOptions {
  std::string_view reduction = "mean";
  bool log_target = false;
  static constexpr auto fields() {
    return grevy::fields(
        reduction_field<DivergenceOptions>(),
        field("log_target", &DivergenceOptions::log_target, "The target is a logarithm."));
  }
};

// Each row: options, kind of target, call.
#define GREVY_SUPERVISED(Class, OptionsType, target_kind, ...)                    \
  class Class final : public Supervised {                                         \
   public:                                                                        \
    using Options = OptionsType;                                                  \
    Class(const Options& options, const Context&)                                 \
        : Supervised(target_kind, options.reduction), options_(options) {}        \
                                                                                  \
   private:                                                                       \
    at::Tensor compute(const at::Tensor& x, const at::Tensor& y) const override { \
      return __VA_ARGS__;                                                         \
    }                                                                             \
    [[maybe_unused]] Options options_;                                            \
  };

GREVY_SUPERVISED(Mse, Plain, Target::values, at::mse_loss(x, y, reduction()))
GREVY_SUPERVISED(L1, Plain, Target::values, at::l1_loss(x, y, reduction()))
GREVY_SUPERVISED(SmoothL1, SmoothL1Options, Target::values,
                 at::smooth_l1_loss(x, y, reduction(), options_.beta))
GREVY_SUPERVISED(Huber, HuberOptions, Target::values,
                 at::huber_loss(x, y, reduction(), options_.delta))
GREVY_SUPERVISED(CrossEntropy, CrossEntropyOptions, Target::classes,
                 at::cross_entropy_loss(x, y, {}, reduction(), -100, options_.label_smoothing))
GREVY_SUPERVISED(Nll, Plain, Target::classes, at::nll_loss(x, y, {}, reduction()))
GREVY_SUPERVISED(PoissonNll, PoissonOptions, Target::values,
                 at::poisson_nll_loss(x, y, options_.log_input, options_.full, options_.eps,
                                      reduction()))
GREVY_SUPERVISED(Bce, Plain, Target::values, at::binary_cross_entropy(x, y, {}, reduction()))
GREVY_SUPERVISED(BceWithLogits, Plain, Target::values,
                 at::binary_cross_entropy_with_logits(x, y, {}, {}, reduction()))
GREVY_SUPERVISED(KlDivergence, DivergenceOptions, Target::values,
                 at::kl_div(x, y, reduction(), options_.log_target))
GREVY_SUPERVISED(SoftMargin, Plain, Target::values, at::soft_margin_loss(x, y, reduction()))

}  // namespace
}  // namespace grevy::criterions

GREVY_REGISTER(grevy::criterions::Mse, "nn.MSELoss", "Squared error.", "MSELoss")
GREVY_REGISTER(grevy::criterions::L1, "nn.L1Loss", "Absolute error.", "L1Loss")
GREVY_REGISTER(grevy::criterions::SmoothL1, "nn.SmoothL1Loss",
               "Squared error near zero, absolute beyond, divided by beta.", "SmoothL1Loss")
GREVY_REGISTER(grevy::criterions::Huber, "nn.HuberLoss",
               "Squared error near zero, absolute beyond.", "HuberLoss")
GREVY_REGISTER(grevy::criterions::CrossEntropy, "nn.CrossEntropyLoss",
               "Classes from unnormalised scores.", "CrossEntropyLoss")
GREVY_REGISTER(grevy::criterions::Nll, "nn.NLLLoss", "Classes from log-probabilities.", "NLLLoss")
GREVY_REGISTER(grevy::criterions::PoissonNll, "nn.PoissonNLLLoss",
               "Counts from rates or their logarithms.", "PoissonNLLLoss")
GREVY_REGISTER(grevy::criterions::Bce, "nn.BCELoss", "Probabilities between 0 and 1.", "BCELoss")
GREVY_REGISTER(grevy::criterions::BceWithLogits, "nn.BCEWithLogitsLoss",
               "Probabilities from unnormalised scores.", "BCEWithLogitsLoss")
GREVY_REGISTER(grevy::criterions::KlDivergence, "nn.KLDivLoss",
               "Divergence of distributions from log-probabilities.", "KLDivLoss")
GREVY_REGISTER(grevy::criterions::SoftMargin, "nn.SoftMarginLoss",
               "Logistic loss of targets -1 and 1.", "SoftMarginLoss")

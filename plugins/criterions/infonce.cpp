// InfoNCE with dot-product or Euclidean similarity, fixed or learnable temperature.
//
// p_i = s(reference_i, positive_i) / T,  N_ij = s(reference_i, negative_j) / T
// loss = mean_i(-p_i) + mean_i(log sum_j exp N_ij)
// (Schneider, Lee & Mathis 2023, Methods; van den Oord et al. 2018, arXiv:1807.03748, without the
// positive in the denominator.) The parts "pos" and "neg" are the two means. A constant embedding
// gives log m for m negatives: chance level.
#include "log_sum_exp.hpp"

#include <grevy/plugin.hpp>

#include <algorithm>
#include <optional>

namespace grevy::criterions {
namespace {

// s(reference, positive), and vectors whose inner product is s(reference, negative).
struct Similarities {
  at::Tensor positive;       // (n)
  at::Tensor rows, columns;  // (n, d), (m, d)
};

// Raw dot products: the model normalises, not the loss.
struct Dot {
  static constexpr bool expects_normalized = true;
  static Similarities compare(const Prediction& p) {
    return {(p.reference * p.positive).sum(1), p.reference, p.negative};
  }
};

// Negative squared distances: 2 x.y - |x|^2 - |y|^2 is (2 x, -|x|^2, -1) . (y, 1, |y|^2).
struct Euclidean {
  static constexpr bool expects_normalized = false;
  static Similarities compare(const Prediction& p) {
    const at::Tensor reference = p.reference.square().sum(1, true);
    const at::Tensor negative = p.negative.square().sum(1, true);
    return {-(p.reference - p.positive).square().sum(1),
            at::cat({2 * p.reference, -reference, -at::ones_like(reference)}, 1),
            at::cat({p.negative, at::ones_like(negative), negative}, 1)};
  }
};

// inverse: 1 / T, a number or a scalar tensor. Both parts are taken relative to the largest
// similarity of each row, which cancels.
template <class Inverse>
ContrastiveCriterion::Loss infonce(const Similarities& s, const Inverse& inverse) {
  const auto [log_sum, largest] = log_sum_exp_products(s.rows * inverse, s.columns);
  const at::Tensor align = -(s.positive * inverse - largest).mean();
  const at::Tensor uniform = log_sum.mean(), shift = largest.mean();
  return {align + uniform, align - shift, uniform + shift};
}

template <class Similarity>
class FixedInfoNCE : public ContrastiveCriterion {
 public:
  struct Options {
    double temperature = 1.0;
    static constexpr auto fields() {
      return grevy::fields(
          field("temperature", &Options::temperature, "Similarities are divided by it.").above(0));
    }
  };
  FixedInfoNCE(const Options& options, const Context&) : temperature_(options.temperature) {}

  bool expects_normalized() const override { return Similarity::expects_normalized; }

  Loss compute(const Prediction& prediction) override {
    return infonce(Similarity::compare(prediction), 1 / temperature_);
  }

  Statistics statistics() override { return {{"temperature", temperature_}}; }

 private:
  double temperature_;
};

// The temperature is the parameter log_inverse_temperature = log(1 / T). With min_temperature the
// inverse is capped at 1 / min_temperature; at the cap the gradient is zero, so a temperature that
// has reached its minimum stays there (as in the reference).
template <class Similarity>
class LearnableInfoNCE : public ContrastiveCriterion {
 public:
  struct Options {
    double temperature = 1.0;
    std::optional<double> min_temperature;
    static constexpr auto fields() {
      return grevy::fields(
          field("temperature", &Options::temperature, "Where the temperature starts.").above(0),
          field("min_temperature", &Options::min_temperature,
                "The temperature never falls below it.")
              .above(0));
    }
  };
  LearnableInfoNCE(const Options& options, const Context& context)
      : log_inverse_(
            parameter("log_inverse_temperature",
                      at::full({}, std::log(1 / options.temperature),
                               at::TensorOptions().dtype(at::kFloat).device(context.device)))),
        min_temperature_(options.min_temperature) {}

  bool expects_normalized() const override { return Similarity::expects_normalized; }

  Loss compute(const Prediction& prediction) override {
    return infonce(Similarity::compare(prediction), inverse_temperature());
  }

  Statistics statistics() override {
    return {{"temperature", 1 / inverse_temperature().template item<double>()}};
  }

 private:
  at::Tensor inverse_temperature() const {
    const at::Tensor inverse = log_inverse_.exp();
    return min_temperature_ ? inverse.clamp_max(1 / *min_temperature_) : inverse;
  }

  at::Tensor log_inverse_;
  std::optional<double> min_temperature_;
};

using FixedCosineInfoNCE = FixedInfoNCE<Dot>;
using FixedEuclideanInfoNCE = FixedInfoNCE<Euclidean>;
using LearnableCosineInfoNCE = LearnableInfoNCE<Dot>;
using LearnableEuclideanInfoNCE = LearnableInfoNCE<Euclidean>;

}  // namespace
}  // namespace grevy::criterions

GREVY_REGISTER(grevy::criterions::FixedCosineInfoNCE, "FixedCosineInfoNCE",
               "InfoNCE on dot products, fixed temperature.", "InfoNCE")
GREVY_REGISTER(grevy::criterions::FixedEuclideanInfoNCE, "FixedEuclideanInfoNCE",
               "InfoNCE on negative squared distances, fixed temperature.", "InfoMSE")
GREVY_REGISTER(grevy::criterions::LearnableCosineInfoNCE, "LearnableCosineInfoNCE",
               "InfoNCE on dot products, learnable temperature.")
GREVY_REGISTER(grevy::criterions::LearnableEuclideanInfoNCE, "LearnableEuclideanInfoNCE",
               "InfoNCE on negative squared distances, learnable temperature.")
GREVY_PLUGIN("grevy.criterions", "0.1.0")

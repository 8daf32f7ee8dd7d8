// InfoNCE with dot-product or Euclidean similarity, fixed or learnable temperature.
//
// p_i = s(reference_i, positive_i) / T,  N_ij = s(reference_i, negative_j) / T
// loss = mean_i(-p_i) + mean_i(log sum_j exp N_ij)
// (Schneider, Lee & Mathis 2023, Methods; van den Oord et al. 2018, arXiv:1807.03748, without the
// positive in the denominator.) The parts "pos" and "neg" are the two means. A constant embedding
// gives log m for m negatives: chance level.
#include <grevy/plugin.hpp>

#include <algorithm>
#include <optional>

namespace grevy::criterions {
namespace {

struct Similarities {
  at::Tensor positive;  // (n)
  at::Tensor negative;  // (n, m)
};

// Raw dot products: the model normalises, not the loss.
struct Dot {
  static constexpr bool expects_normalized = true;
  static Similarities compare(const Prediction& p) {
    return {(p.reference * p.positive).sum(1), at::mm(p.reference, p.negative.t())};
  }
};

// Negative squared distances.
struct Euclidean {
  static constexpr bool expects_normalized = false;
  static Similarities compare(const Prediction& p) {
    const at::Tensor reference = p.reference.square().sum(1);
    const at::Tensor positive = p.positive.square().sum(1);
    const at::Tensor negative = p.negative.square().sum(1);
    return {
        2 * (p.reference * p.positive).sum(1) - reference - positive,
        2 * at::mm(p.reference, p.negative.t()) - reference.unsqueeze(1) - negative.unsqueeze(0)};
  }
};

// The shift by each row's maximum keeps the exponentials in range; it carries no gradient and does
// not change the loss.
ContrastiveCriterion::Loss infonce(const Similarities& s) {
  const at::Tensor shift = s.negative.detach().amax(1);
  const at::Tensor align = -(s.positive - shift).mean();
  const at::Tensor uniform = at::logsumexp(s.negative - shift.unsqueeze(1), {1}).mean();
  const at::Tensor mean_shift = shift.mean();
  return {align + uniform, align - mean_shift, uniform + mean_shift};
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
    const Similarities s = Similarity::compare(prediction);
    return infonce({s.positive / temperature_, s.negative / temperature_});
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
    const Similarities s = Similarity::compare(prediction);
    const at::Tensor inverse = inverse_temperature();
    return infonce({s.positive * inverse, s.negative * inverse});
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

// InfoNCE that allows for negatives which are positives in truth, and looks at the hard ones most.
//
// With m negatives, the temperature T, s_i = cos(reference_i, positive_i) / T and
// s_ij = cos(reference_i, negative_j) / T:
//
//   h_i  = sum_j exp(beta s_ij) exp(s_ij) / sum_j exp(beta s_ij)
//   g_i  = max((h_i - tau_plus exp(s_i)) / (1 - tau_plus), exp(-1 / T))
//   loss = mean_i -log(exp(s_i) / (exp(s_i) + m g_i))
//
// beta = 0: h_i is the mean over the negatives, and the loss the debiased one (Chuang et al. 2020,
// arXiv:2007.00224, eq. 7 and 8 with one positive).
// beta > 0: h_i is the mean under a distribution that is proportional to exp(beta s_ij), estimated
// by importance sampling; hard negatives count more (Robinson et al. 2021, arXiv:2010.04592,
// section 3).
// Both 0: InfoNCE with the positive in the denominator. A constant embedding gives log(m + 1).
#include <grevy/plugin.hpp>

#include <cmath>

namespace {

// Rows scaled to length 1. The bound keeps the gradient finite where a row is zero.
at::Tensor directions(const at::Tensor& rows) {
  return rows / rows.square().sum(1, true).clamp_min(1e-12).sqrt();
}

class DebiasedInfoNCE : public grevy::ContrastiveCriterion {
 public:
  struct Options {
    double tau_plus = 0.1;
    double beta = 0;
    double temperature = 0.5;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("tau_plus", &Options::tau_plus,
                       "Share of the negatives that are positives in truth.")
              .at_least(0)
              .at_most(0.9),
          grevy::field("beta", &Options::beta,
                       "How much hard negatives count; 0: all count the same.")
              .at_least(0)
              .at_most(100),
          grevy::field("temperature", &Options::temperature, "Cosines are divided by it.")
              .at_least(0.05));
    }
  };
  DebiasedInfoNCE(const Options& options, const grevy::Context&) : options_(options) {}

  // Everything is divided by exp(s_i), and h_i kept as a logarithm: with temperatures from 0.05 on
  // no exponential here is above exp(40).
  Loss compute(const grevy::Prediction& p) override {
    const double tau = options_.tau_plus, beta = options_.beta, T = options_.temperature;
    const auto m = static_cast<double>(p.negative.size(0));
    const at::Tensor reference = directions(p.reference);
    const at::Tensor positive = (reference * directions(p.positive)).sum(1) / T;    // s_i
    const at::Tensor negative = at::mm(reference, directions(p.negative).t()) / T;  // s_ij
    const at::Tensor log_h =
        at::logsumexp((1 + beta) * negative, {1}) - at::logsumexp(beta * negative, {1});
    const at::Tensor lowest = (-1 / T - positive).exp();
    const at::Tensor g = at::maximum(((log_h - positive).exp() - tau) / (1 - tau), lowest);
    const at::Tensor total = (m * g).log1p().mean();
    const at::Tensor pos = -positive.mean();
    return {total, pos, total - pos};
  }

 private:
  Options options_;
};

}  // namespace

GREVY_REGISTER(DebiasedInfoNCE, "debiased-infonce",
               "InfoNCE less its false negatives, hard negatives first.")
GREVY_PLUGIN("example.debiased-loss", "1.0.0")

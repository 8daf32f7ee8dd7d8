// InfoNCE on dot products, compiled once with each front: FRONT is "torch" or "portable".
#include <grevy/plugin.hpp>

namespace {

class InfoNCE : public grevy::ContrastiveCriterion {
 public:
  struct Options {
    double temperature = 1.0;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("temperature", &Options::temperature, "Similarities are divided by it.")
              .above(0));
    }
  };
  InfoNCE(const Options& options, const grevy::Context&) : temperature_(options.temperature) {}

  bool expects_normalized() const override { return true; }

  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor pos = -(p.reference * p.positive).sum(1).mean() / temperature_;
    const at::Tensor similarity = at::matmul(p.reference, p.negative.t()) / temperature_;
    const at::Tensor neg = at::logsumexp(similarity, 1).mean();
    return {pos + neg, pos, neg};
  }

  grevy::Statistics statistics() override { return {{"temperature", temperature_}}; }

 private:
  double temperature_;
};

}  // namespace

GREVY_REGISTER(InfoNCE, FRONT "-infonce", "InfoNCE on dot products.")
GREVY_PLUGIN("fronts." FRONT, "1.0.0")

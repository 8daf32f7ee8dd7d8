// The shortest useful criterion; a test counts its lines.
#include <grevy/plugin.hpp>

class PullPush : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  PullPush(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor pos = (p.reference - p.positive).square().mean();
    const at::Tensor neg = -at::cdist(p.reference, p.negative).mean();
    return {pos + neg, pos, neg};
  }
};

GREVY_REGISTER(PullPush, "pull-push", "Positives close, negatives far.")
GREVY_PLUGIN("zoo.shortest", "1.0.0")

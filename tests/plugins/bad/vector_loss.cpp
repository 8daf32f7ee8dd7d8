// Returns one loss per sample.
#include <grevy/plugin.hpp>

namespace {

class VectorLoss : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  VectorLoss(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor losses = (p.reference - p.positive).square().sum(1);
    return {losses, losses.mean(), losses.mean()};
  }
};

}  // namespace

GREVY_REGISTER(VectorLoss, "vector-loss", "For tests.")
GREVY_PLUGIN("zoo.vector-loss", "1.0.0")

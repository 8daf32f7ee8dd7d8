// Its gradient is not that of its loss: the negatives' share carries no graph.
#include <grevy/plugin.hpp>

namespace {

class PartlyDetached : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  PartlyDetached(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor pos = (p.reference - p.positive).square().sum(1).mean();
    const at::Tensor neg = at::mm(p.reference, p.negative.t()).mean().detach();
    return {pos + neg, pos, neg};
  }
};

}  // namespace

GREVY_REGISTER(PartlyDetached, "partly-detached", "For tests.")
GREVY_PLUGIN("zoo.partly-detached", "1.0.0")

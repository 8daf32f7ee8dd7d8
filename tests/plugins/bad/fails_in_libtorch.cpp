// Multiplies matrices that do not fit.
#include <grevy/plugin.hpp>

namespace {

class Fails : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Fails(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    return {at::mm(p.reference, at::ones({p.reference.size(1) + 1, 2})), {}, {}};
  }
};

}  // namespace

GREVY_REGISTER(Fails, "fails-in-libtorch", "For tests.")
GREVY_PLUGIN("zoo.fails-in-libtorch", "1.0.0")

// Throws something that is no exception.
#include <grevy/plugin.hpp>

namespace {

class ThrowsInt : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  ThrowsInt(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction&) override { throw 7; }
};

}  // namespace

GREVY_REGISTER(ThrowsInt, "throws-int", "For tests.")
GREVY_PLUGIN("zoo.throws-int", "1.0.0")

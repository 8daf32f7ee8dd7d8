// Throws a standard exception in its constructor.
#include <grevy/plugin.hpp>

namespace {

class Throws : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Throws(const Options&, const grevy::Context&) { throw std::runtime_error("no luck today"); }
  Loss compute(const grevy::Prediction&) override { return {}; }
};

}  // namespace

GREVY_REGISTER(Throws, "throws-in-constructor", "For tests.")
GREVY_PLUGIN("zoo.throws-in-constructor", "1.0.0")

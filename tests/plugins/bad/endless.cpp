// Asks the host for another one of itself, for ever.
#include <grevy/plugin.hpp>

namespace {

class Endless : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Endless(const Options&, const grevy::Context& context)
      : inner_(context.create<grevy::CriterionRef>({R"({"name": "endless"})"})) {}
  Loss compute(const grevy::Prediction&) override { return {}; }

 private:
  grevy::Owned<grevy::CriterionRef> inner_;
};

}  // namespace

GREVY_REGISTER(Endless, "endless", "For tests.")
GREVY_PLUGIN("zoo.endless", "1.0.0")

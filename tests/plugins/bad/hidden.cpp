// A criterion that asks the host for another one by a name that no experiment shows.
#include <grevy/plugin.hpp>

namespace {

class Hidden : public grevy::Criterion {
 public:
  using Options = grevy::NoOptions;
  Hidden(const Options&, const grevy::Context& context)
      : inner_(context.create<grevy::CriterionRef>(grevy::Nested{R"({"name": "pull-push"})"})) {}

  grevy::CriterionInfo info() const override { return inner_->info(); }
  grevy::Evaluation evaluate(const std::vector<grevy::Prediction>& predictions) override {
    return inner_->evaluate(predictions, info().parts.size());
  }

 private:
  grevy::Owned<grevy::CriterionRef> inner_;
};

}  // namespace

GREVY_REGISTER(Hidden, "hidden", "Another criterion under a name of its own.")
GREVY_PLUGIN("zoo.hidden", "1.0.0")

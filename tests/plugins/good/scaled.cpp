// A criterion that wraps another, which it asks the host for.
#include <grevy/plugin.hpp>

namespace {

class Scaled : public grevy::Criterion {
 public:
  struct Options {
    double factor = 2.0;
    grevy::Nested inner;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("factor", &Options::factor, "The inner loss is multiplied by it."),
          grevy::field("inner", &Options::inner, "The criterion that is wrapped."));
    }
  };
  Scaled(const Options& options, const grevy::Context& context)
      : factor_(options.factor), inner_(context.create<grevy::CriterionRef>(options.inner)) {
    adopt("inner.", inner_->tensors());
    context.log(grevy::Context::Level::info, "wraps " + inner_->component());
  }

  grevy::CriterionInfo info() const override { return inner_->info(); }

  grevy::Evaluation evaluate(const std::vector<grevy::Prediction>& predictions) override {
    grevy::Evaluation evaluation = inner_->evaluate(predictions, info().parts.size());
    evaluation.loss = evaluation.loss * factor_;
    return evaluation;
  }

  grevy::Statistics statistics() override { return inner_->statistics(); }

 private:
  double factor_;
  grevy::Owned<grevy::CriterionRef> inner_;
};

}  // namespace

GREVY_REGISTER(Scaled, "scaled", "Another criterion's loss, times a factor.", "times")
GREVY_PLUGIN("zoo.scaled", "1.0.0")

// A solver that trains on when it is told to stop, and draws from a generator that no checkpoint
// holds.
#include <grevy/plugin.hpp>

namespace {

class IgnoresStop : public grevy::Solver {
 public:
  using Options = grevy::NoOptions;
  IgnoresStop(const Options&, const grevy::Context& context) : generator_(context.generator()) {}

  std::vector<grevy::Prediction> infer(const std::vector<grevy::Batch>& batches) override {
    const Embedded e = embed(batches);
    const at::Tensor noise = at::empty(e.negative.sizes()).normal_(0, 0.1, generator_);
    return {{e.reference, e.positives.front(), e.negative + noise}};
  }
  void fit(const grevy::TrainingRef& training) override {
    set_training(true);
    for (std::int64_t i = training.first_step(); i < training.num_steps(); ++i)
      training.end_step(i, step(training.loader().next(), training.optimizer()));
  }

 private:
  at::Generator generator_;
};

}  // namespace

GREVY_REGISTER(IgnoresStop, "ignores-stop", "For tests.")
GREVY_PLUGIN("zoo.ignores-stop", "1.0.0")

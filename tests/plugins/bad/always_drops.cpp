// Drops channels in evaluation as in training, and lets some of its parameters count for nothing.
#include <grevy/plugin.hpp>

namespace {

class AlwaysDrops : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  AlwaysDrops(const Options&, const grevy::Context& context)
      : generator_(context.generator()),
        weight_(parameter("weight", at::rand({context.num_input, 3}, generator_))) {
    parameter("idle", at::zeros({3}));
  }
  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = weight_.size(0);
    info.num_output = 3;
    return info;
  }
  at::Tensor forward(const at::Tensor& windows) override {
    const at::Tensor samples = windows.squeeze(2);
    const at::Tensor kept = at::empty(samples.sizes()).bernoulli_(0.5, generator_);
    return at::mm(samples * kept, weight_);
  }

 private:
  at::Generator generator_;
  at::Tensor weight_;
};

}  // namespace

GREVY_REGISTER(AlwaysDrops, "always-drops", "For tests.")
GREVY_PLUGIN("zoo.always-drops", "1.0.0")

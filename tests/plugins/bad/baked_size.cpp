// A model that asks for its input's sizes in a way that a traced script cannot repeat.
#include <grevy/plugin.hpp>

namespace {

class BakedSize : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  BakedSize(const Options&, const grevy::Context& context)
      : weight_(parameter(
            "weight", at::rand({context.num_input, 3}, context.generator()).to(context.device))) {}

  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = weight_.size(0);
    info.num_output = weight_.size(1);
    return info;
  }

  at::Tensor forward(const at::Tensor& windows) override {
    return at::mm(windows.reshape({windows.size(0), windows.size(1)}), weight_);
  }

 private:
  const at::Tensor weight_;
};

}  // namespace

GREVY_REGISTER(BakedSize, "baked-size", "Linear map of single samples.")
GREVY_PLUGIN("zoo.baked-size", "1.0.0")

// Embeds into one dimension more than it says.
#include <grevy/plugin.hpp>

namespace {

class WrongShape : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  WrongShape(const Options&, const grevy::Context& context) {
    info_.num_input = context.num_input;
    info_.num_output = 3;
  }
  grevy::ModelInfo info() const override { return info_; }
  at::Tensor forward(const at::Tensor& windows) override { return at::zeros({windows.size(0), 4}); }

 private:
  grevy::ModelInfo info_;
};

}  // namespace

GREVY_REGISTER(WrongShape, "wrong-shape", "For tests.")
GREVY_PLUGIN("zoo.wrong-shape", "1.0.0")

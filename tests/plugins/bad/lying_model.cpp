// Says that it takes one channel more than it was made for.
#include <grevy/plugin.hpp>

namespace {

class LyingModel : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  LyingModel(const Options&, const grevy::Context& context) {
    info_.num_input = context.num_input + 1;
    info_.num_output = 3;
  }
  grevy::ModelInfo info() const override { return info_; }
  at::Tensor forward(const at::Tensor& windows) override { return at::zeros({windows.size(0), 3}); }

 private:
  grevy::ModelInfo info_;
};

}  // namespace

GREVY_REGISTER(LyingModel, "lying-model", "For tests.")
GREVY_PLUGIN("zoo.lying-model", "1.0.0")

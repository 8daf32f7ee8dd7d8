// Returns no tensor.
#include <grevy/plugin.hpp>

namespace {

class UndefinedTensor : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  UndefinedTensor(const Options&, const grevy::Context& context) {
    info_.num_input = context.num_input;
    info_.num_output = 3;
  }
  grevy::ModelInfo info() const override { return info_; }
  at::Tensor forward(const at::Tensor&) override { return {}; }

 private:
  grevy::ModelInfo info_;
};

}  // namespace

GREVY_REGISTER(UndefinedTensor, "undefined-tensor", "For tests.")
GREVY_PLUGIN("zoo.undefined-tensor", "1.0.0")

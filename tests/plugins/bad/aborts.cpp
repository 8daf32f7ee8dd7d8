// Ends the process while it embeds.
#include <grevy/plugin.hpp>

#include <cstdlib>

namespace {

class Aborts : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  Aborts(const Options&, const grevy::Context& context) {
    info_.num_input = context.num_input;
    info_.num_output = 3;
  }
  grevy::ModelInfo info() const override { return info_; }
  at::Tensor forward(const at::Tensor&) override { std::abort(); }

 private:
  grevy::ModelInfo info_;
};

}  // namespace

GREVY_REGISTER(Aborts, "aborts", "For tests.")
GREVY_PLUGIN("zoo.aborts", "1.0.0")

// Models that no script repeats: one has a parameter with a name that modules keep for themselves,
// one makes as many rows as it was traced with, and one takes no pairs, which are traced.
#include <grevy/plugin.hpp>

#include <stdexcept>

namespace {

class Linear : public grevy::Model {
 public:
  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = weight_.size(0);
    info.num_output = weight_.size(1);
    return info;
  }

 protected:
  Linear(const char* name, const grevy::Context& context)
      : weight_(parameter(
            name, at::rand({context.num_input, 3}, context.generator()).to(context.device))) {}
  const at::Tensor weight_;
};

class NamedTraining : public Linear {
 public:
  using Options = grevy::NoOptions;
  NamedTraining(const Options&, const grevy::Context& context) : Linear("training", context) {}

  at::Tensor forward(const at::Tensor& windows) override {
    return at::mm(windows.squeeze(2), weight_);
  }
};

class CountedRows : public Linear {
 public:
  using Options = grevy::NoOptions;
  CountedRows(const Options&, const grevy::Context& context) : Linear("weight", context) {}

  at::Tensor forward(const at::Tensor& windows) override {
    return weight_.mean(0).expand({windows.size(0), 3});
  }
};

class NoPairs : public Linear {
 public:
  using Options = grevy::NoOptions;
  NoPairs(const Options&, const grevy::Context& context) : Linear("weight", context) {}

  at::Tensor forward(const at::Tensor& windows) override {
    if (windows.size(0) == 2) throw std::runtime_error("found two windows");
    return at::mm(windows.squeeze(2), weight_);
  }
};

}  // namespace

GREVY_REGISTER(NamedTraining, "named-training", "Linear map of single samples.")
GREVY_REGISTER(CountedRows, "counted-rows", "The same for every sample.")
GREVY_REGISTER(NoPairs, "no-pairs", "Linear map of single samples.")
GREVY_PLUGIN("zoo.unscriptable", "1.0.0")

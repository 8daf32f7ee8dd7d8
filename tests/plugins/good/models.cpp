// Two models in one plugin: one with a buffer, one whose gradient is code of the plugin.
#include <grevy/plugin.hpp>

#include <torch/csrc/autograd/custom_function.h>

namespace {

class SingleSample : public grevy::Model {
 public:
  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = weight_.size(0);
    info.num_output = weight_.size(1);
    return info;
  }

 protected:
  explicit SingleSample(const grevy::Context& context)
      : weight_(parameter(
            "weight", at::rand({context.num_input, 3}, context.generator()).to(context.device))) {}
  const at::Tensor weight_;
};

// Subtracts a running mean of what it saw in training.
class Centred : public SingleSample {
 public:
  struct Options {
    double momentum = 0.5;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("momentum", &Options::momentum, "Share of the newest batch in the mean.")
              .at_least(0)
              .at_most(1));
    }
  };
  Centred(const Options& options, const grevy::Context& context)
      : SingleSample(context),
        momentum_(options.momentum),
        mean_(buffer("mean", at::zeros({context.num_input}, weight_.options()))) {}

  at::Tensor forward(const at::Tensor& windows) override {
    const at::Tensor samples = windows.squeeze(2);
    if (is_training()) mean_.lerp_(samples.detach().mean(0), momentum_);
    return at::mm(samples - mean_, weight_);
  }

 private:
  const double momentum_;
  at::Tensor mean_;
};

// Multiplies by 1, with a gradient of 10: tells whether the plugin's own backward() ran.
struct TenfoldGradient : torch::autograd::Function<TenfoldGradient> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    return {gradients.at(0) * 10};
  }
};

class OwnGradient : public SingleSample {
 public:
  using Options = grevy::NoOptions;
  OwnGradient(const Options&, const grevy::Context& context) : SingleSample(context) {}

  at::Tensor forward(const at::Tensor& windows) override {
    return TenfoldGradient::apply(at::mm(windows.squeeze(2), weight_));
  }
};

}  // namespace

GREVY_REGISTER(Centred, "centred", "Linear map of single samples less their running mean.")
GREVY_REGISTER(OwnGradient, "own-gradient", "Linear map with ten times its gradient.")
GREVY_PLUGIN("zoo.models", "1.0.0")

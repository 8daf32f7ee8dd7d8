// Multilayer perceptrons on single samples: Linear layers with GELU between them.
#include "encoder.hpp"

#include <vector>

namespace grevy::models {
namespace {

class Perceptron : public Encoder {
 public:
  // windows (n, C, 1) -> (n, D)
  at::Tensor forward(const at::Tensor& windows) override {
    at::Tensor x = windows.flatten(1);
    for (std::size_t i = 0; i < layers_.size(); ++i)
      x = at::linear(i == 0 ? x : at::gelu(x), layers_[i].weight, layers_[i].bias);
    return finish(x);
  }

 protected:
  // Layers between widths: C, the hidden ones, D. Positions count activations and the flattening.
  Perceptron(std::vector<std::int64_t> hidden, std::int64_t num_output, bool normalize,
             const Context& context)
      : Encoder(describe(num_output, normalize, context), context) {
    hidden.push_back(num_output);
    std::int64_t width = context.num_input;
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      layers_.push_back(layer("net." + std::to_string(1 + 2 * i), {hidden[i], width}));
      width = hidden[i];
    }
  }

 private:
  static ModelInfo describe(std::int64_t num_output, bool normalize, const Context& context) {
    ModelInfo info;
    info.num_input = context.num_input;
    info.num_output = num_output;
    info.normalized = normalize;
    return info;
  }
  std::vector<Affine> layers_;
};

class Offset1 : public Perceptron {
 public:
  using Options = EncoderOptions<true, 2>;
  Offset1(const Options& o, const Context& context)
      : Perceptron({o.num_units, o.num_units, o.num_units / 2}, o.num_output, o.normalize,
                   context) {}
};

// Hidden widths follow from num_output alone; num_units is accepted and has no effect.
class Offset1Mse : public Perceptron {
 public:
  using Options = EncoderOptions<false, 2>;
  Offset1Mse(const Options& o, const Context& context)
      : Perceptron({30 * o.num_output, 30 * o.num_output, 10 * o.num_output}, o.num_output,
                   o.normalize, context) {}
};

}  // namespace
}  // namespace grevy::models

GREVY_REGISTER(grevy::models::Offset1, "offset1-model", "Perceptron on single samples, normalised.")
GREVY_REGISTER(
    grevy::models::Offset1Mse, "offset1-model-mse",
    "Perceptron on single samples for Euclidean losses; hidden widths follow num_output.")
GREVY_PLUGIN("grevy.models", "0.1.0")

// What the built-in encoders share: options, named layers, the final normalisation.
#ifndef GREVY_PLUGINS_MODELS_ENCODER_HPP
#define GREVY_PLUGINS_MODELS_ENCODER_HPP

#include <grevy/plugin.hpp>

#include <string>

namespace grevy::models {

// MinUnits: the smallest hidden width that the architecture can have.
template <bool Normalize, int MinUnits>
struct EncoderOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = Normalize;

  static constexpr auto fields() {
    using Self = EncoderOptions;
    return grevy::fields(
        field("num_units", &Self::num_units, "Width of the hidden layers.")
            .at_least(MinUnits)
            .at_most(1 << 20),
        field("num_output", &Self::num_output, "Width of the embedding.")
            .at_least(1)
            .at_most(1 << 20),
        field("normalize", &Self::normalize, "Scale every embedding to Euclidean length 1."));
  }
};

class Encoder : public Model {
 public:
  ModelInfo info() const override { return info_; }

 protected:
  Encoder(ModelInfo info, const Context& context)
      : info_(info), device_(context.device), generator_(context.generator()) {
    if (info_.num_input < 1)
      throw Error(ErrorCode::invalid_value, "needs at least 1 input channel");
  }

  // Registers `name`.weight and `name`.bias, started as LibTorch starts them.
  Affine layer(const std::string& name, at::IntArrayRef shape) {
    const Affine initial = Affine::initial(shape, generator_);
    return {parameter(name + ".weight", initial.weight.to(device_)),
            parameter(name + ".bias", initial.bias.to(device_))};
  }

  // Axis 1 holds the features. A zero vector has no direction and gives NaN, as in the reference.
  at::Tensor finish(const at::Tensor& features) const {
    return info_.normalized ? features / features.norm(2, 1, true) : features;
  }

 private:
  ModelInfo info_;
  at::Device device_;
  at::Generator generator_;
};

}  // namespace grevy::models

#endif

// The built-in encoders: a sequence of layers, a table of architectures.
//
// Layers sit at positions of a container called "net", which names their parameters as the
// reference does ("net.2.module.0.weight"); weights are exchangeable with CEBRA in Python.
#ifndef GREVY_PLUGINS_MODELS_ENCODER_HPP
#define GREVY_PLUGINS_MODELS_ENCODER_HPP

#include "convolutions.hpp"

#include <grevy/plugin.hpp>
#include <grevy/stream.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace grevy::models {

// Rows of the option table that every encoder has. min_units: the smallest hidden width that the
// architecture can have.
template <class Options>
constexpr auto encoder_fields(int min_units) {
  return grevy::fields(
      field("num_units", &Options::num_units, "Width of the hidden layers.")
          .at_least(min_units)
          .at_most(1 << 20),
      field("num_output", &Options::num_output, "Width of the embedding.")
          .at_least(1)
          .at_most(1 << 20),
      field("normalize", &Options::normalize, "Scale every embedding to Euclidean length 1."));
}

template <bool Normalize, int MinUnits>
struct EncoderOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = Normalize;
  static constexpr auto fields() { return encoder_fields<EncoderOptions>(MinUnits); }
};

// How an encoder looks at the recording.
struct Shape {
  Offset offset;
  bool convolutional = false;
  std::int64_t resample_factor = 1;
};

class Encoder : public Model {
 public:
  ModelInfo info() const override { return info_; }

  // Layers, then normalisation over the features, then the time axis is dropped where it is 1.
  at::Tensor forward(const at::Tensor& windows) override;

  // Where all layers are convolutions.
  bool embeds_samples() const override;
  std::vector<std::vector<at::Tensor>> forward_samples(
      const at::Tensor& series, const std::vector<at::Tensor>& sets) override;

  // "grevy.stream/1", where all layers are convolutions.
  const void* extension(std::string_view id) const noexcept override;

 protected:
  Encoder(const Shape& shape, std::int64_t num_output, bool normalize, const Context& context);

  // Each takes the next position of the container; `width` is what the layer before gives.
  void conv(std::int64_t out, std::int64_t kernel, std::int64_t stride = 1);
  void mean_and_conv(std::int64_t out, std::int64_t kernel, std::int64_t stride);
  void linear(std::int64_t out);
  void padded_linear(std::int64_t out);  // pad_or_crop(x) + linear(x)
  void gelu();
  void tanh();
  void flatten();
  void dropout(double p);
  // crop(x) + gelu(conv(x)), kernel 3; with p: crop(x) + gelu(conv(dropout(x))).
  void residual_conv();
  void residual_conv(double p);
  // x + linear(x), or x + gelu(linear(x)).
  void residual_linear(bool activated);
  // The last `layers` positions again, with the same weights.
  void repeat(std::size_t layers);

  std::int64_t width() const { return width_; }
  // Registers NAME.weight and NAME.bias, started as LibTorch starts them.
  Affine layer(const std::string& name, at::IntArrayRef shape);

 private:
  using Step = std::function<at::Tensor(const at::Tensor&)>;
  void add(Step step);
  // A convolution belongs to the first ones as long as nothing else came before it.
  void add(const ConvLayer& layer, const Affine& affine);
  std::string here() const { return "net." + std::to_string(num_positions_); }
  Step drop_channels(double p);
  static grevy_stream_table stream_table(Encoder* encoder);

  ModelInfo info_;
  at::Device device_;
  at::Generator initial_;
  std::uint64_t seed_;
  std::int64_t width_;
  at::Tensor
      draws_;  // how often dropout has drawn: part of the state, so that a resumed run goes on
  std::size_t num_positions_ = 0;
  Convolutions convolutions_;
  std::vector<Step> steps_;  // after the convolutions
  grevy_stream_table stream_table_;
};

}  // namespace grevy::models

#endif

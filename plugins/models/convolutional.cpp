// Convolutional encoders: Conv1d(C, U, 2), GELU, a number of residual Conv1d(U, U, 3) + GELU
// blocks, Conv1d(U, D, last). Architecture: Schneider, Lee & Mathis 2023, Methods.
#include "encoder.hpp"

#include <vector>

namespace grevy::models {
namespace {

struct Shape {
  int blocks;       // residual blocks of kernel 3
  int last_kernel;  // kernel of the last convolution
  Offset offset;
};

ModelInfo describe(const Shape& shape, std::int64_t num_output, bool normalize,
                   const Context& context) {
  ModelInfo info;
  info.num_input = context.num_input;
  info.num_output = num_output;
  info.offset = shape.offset;
  info.convolutional = true;
  info.normalized = normalize;
  return info;
}

class ConvolutionalEncoder : public Encoder {
 public:
  at::Tensor forward(const at::Tensor& windows) override {
    at::Tensor x = at::gelu(at::conv1d(windows, first_.weight, first_.bias));
    for (const Affine& block : blocks_) {
      const at::Tensor kept = x.slice(2, 1, x.size(2) - 1);
      x = kept + at::gelu(at::conv1d(x, block.weight, block.bias));
    }
    x = finish(at::conv1d(x, last_.weight, last_.bias));
    return x.size(2) == 1 ? x.squeeze(2) : x;
  }

 protected:
  template <class Options>
  ConvolutionalEncoder(const Shape& shape, const Options& options, const Context& context)
      : Encoder(describe(shape, options.num_output, options.normalize, context), context) {
    const std::int64_t units = options.num_units;
    first_ = layer("net.0", {units, context.num_input, 2});
    for (int i = 0; i < shape.blocks; ++i)
      blocks_.push_back(layer("net." + std::to_string(2 + i) + ".module.0", {units, units, 3}));
    last_ = layer("net." + std::to_string(2 + shape.blocks),
                  {options.num_output, units, shape.last_kernel});
  }

 private:
  Affine first_, last_;
  std::vector<Affine> blocks_;
};

constexpr Shape offset10{3, 3, {5, 5}};

class Offset10 : public ConvolutionalEncoder {
 public:
  using Options = EncoderOptions<true, 1>;
  Offset10(const Options& options, const Context& context)
      : ConvolutionalEncoder(offset10, options, context) {}
};

class Offset10Mse : public ConvolutionalEncoder {
 public:
  using Options = EncoderOptions<false, 1>;
  Offset10Mse(const Options& options, const Context& context)
      : ConvolutionalEncoder(offset10, options, context) {}
};

}  // namespace
}  // namespace grevy::models

GREVY_REGISTER(grevy::models::Offset10, "offset10-model",
               "Convolutional encoder over 10 samples, normalised.")
GREVY_REGISTER(grevy::models::Offset10Mse, "offset10-model-mse",
               "Convolutional encoder over 10 samples for Euclidean losses.")

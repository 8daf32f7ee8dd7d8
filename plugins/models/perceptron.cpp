// Multilayer perceptrons on single samples: Linear layers with GELU between them. A name in braces
// is an option that the component's name fills in: offset1-model-mse-clip-5-10.
#include "encoder.hpp"

namespace grevy::models {
namespace {

constexpr Shape single_sample{{0, 1}};

class Perceptron : public Encoder {
 protected:
  template <class Options>
  Perceptron(const Options& options, const Context& context, const Shape& shape = single_sample)
      : Encoder(shape, options.num_output, options.normalize, context) {}

  void build(const std::vector<std::int64_t>& hidden, std::int64_t num_output) {
    for (const std::int64_t width : hidden) {
      linear(width);
      gelu();
    }
    linear(num_output);
  }
};

using UnitOptions = EncoderOptions<true, 2>;

class Offset1 : public Perceptron {
 public:
  using Options = UnitOptions;
  Offset1(const Options& o, const Context& context) : Perceptron(o, context) {
    flatten();
    build({o.num_units, o.num_units, o.num_units / 2}, o.num_output);
  }
};

class Offset1V2 : public Perceptron {
 public:
  using Options = UnitOptions;
  Offset1V2(const Options& o, const Context& context) : Perceptron(o, context) {
    flatten();
    build({o.num_units, o.num_units, o.num_units}, o.num_output);
  }
};

// Residual blocks: x + linear(x) followed by GELU, or x + gelu(linear(x)).
template <int Blocks, bool GeluInside>
class Offset1Residual : public Perceptron {
 public:
  using Options = UnitOptions;
  Offset1Residual(const Options& o, const Context& context) : Perceptron(o, context) {
    flatten();
    linear(o.num_units);
    gelu();
    for (int i = 0; i < Blocks; ++i) {
      residual_linear(GeluInside);
      if (!GeluInside) gelu();
    }
    linear(o.num_output);
  }
};
using Offset1V3 = Offset1Residual<2, false>;
using Offset1V4 = Offset1Residual<4, true>;
using Offset1V5 = Offset1Residual<4, false>;

// One output for two samples: a strided convolution over four, then a perceptron.
class Offset4Subsampled : public Perceptron {
 public:
  using Options = UnitOptions;
  Offset4Subsampled(const Options& o, const Context& context)
      : Perceptron(o, context, {{2, 2}, false, 2}) {
    mean_and_conv(o.num_units, 4, 2);
    flatten();
    build({o.num_units, o.num_units, o.num_units / 2}, o.num_output);
  }
};

// Hidden widths follow from num_output alone; num_units is accepted and has no effect.
template <bool Tanh>
class Offset1Mse : public Perceptron {
 public:
  using Options = EncoderOptions<false, 1>;
  template <class AnyOptions>
  Offset1Mse(const AnyOptions& o, const Context& context) : Perceptron(o, context) {
    flatten();
    build({30 * o.num_output, 30 * o.num_output, 10 * o.num_output}, o.num_output);
    if (Tanh) tanh();
  }
};

struct ClipOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = false;
  double clip_min = 5;
  double clip_max = 5;

  static constexpr auto fields() {
    return std::tuple_cat(
        encoder_fields<ClipOptions>(1),
        grevy::fields(
            field("clip_min", &ClipOptions::clip_min, "Outputs are at least minus this.")
                .at_least(0),
            field("clip_max", &ClipOptions::clip_max, "Outputs are at most this.").at_least(0)));
  }
};

// Clamped after everything else.
class Offset1MseClip : public Offset1Mse<false> {
 public:
  using Options = ClipOptions;
  Offset1MseClip(const Options& o, const Context& context)
      : Offset1Mse<false>(o, context), options_(o) {}
  at::Tensor forward(const at::Tensor& windows) override {
    return Offset1Mse<false>::forward(windows).clamp(-options_.clip_min, options_.clip_max);
  }

 private:
  Options options_;
};

// Wider families: C-U, m times U-U, U-U/2, U/2-D. In the reference, and under its names, the m
// layers are one layer applied m times; the untied ones are layers of their own.
template <bool Tanh>
struct DeepOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = false;
  std::int64_t n_intermediate_layers = 1;
  bool tanh = Tanh;

  static constexpr auto fields() {
    using Self = DeepOptions;
    return std::tuple_cat(encoder_fields<Self>(2),
                          grevy::fields(field("n_intermediate_layers", &Self::n_intermediate_layers,
                                              "Times the middle layer is applied.")
                                            .at_least(1)
                                            .at_most(1000),
                                        field("tanh", &Self::tanh, "A tanh at the end.")));
  }
};

enum class Weights { tied, untied };

template <bool Tanh, bool Residual, Weights weights>
class Deep : public Perceptron {
 public:
  using Options = DeepOptions<Tanh>;
  Deep(const Options& o, const Context& context) : Perceptron(o, context) {
    flatten();
    step(o.num_units);
    for (std::int64_t i = 0; i < o.n_intermediate_layers; ++i) {
      if (weights == Weights::tied && i > 0)
        repeat(2);
      else
        step(o.num_units);
    }
    step(o.num_units / 2);
    linear(o.num_output);
    if (o.tanh) tanh();
  }

 private:
  void step(std::int64_t out) {
    if (Residual)
      padded_linear(out);
    else
      linear(out);
    gelu();
  }
};

using DeepV2 = Deep<false, false, Weights::tied>;
using DeepV2Tanh = Deep<true, false, Weights::tied>;
using DeepV2Untied = Deep<false, false, Weights::untied>;
using DeepResnet = Deep<false, true, Weights::tied>;
using DeepResnetTanh = Deep<true, true, Weights::tied>;
using DeepResnetUntied = Deep<false, true, Weights::untied>;

}  // namespace
}  // namespace grevy::models

GREVY_REGISTER(grevy::models::Offset1, "offset1-model", "Perceptron on single samples, normalised.")
GREVY_REGISTER(grevy::models::Offset1V2, "offset1-model-v2",
               "Perceptron with three layers of full width.")
GREVY_REGISTER(grevy::models::Offset1V3, "offset1-model-v3", "Perceptron with two residual layers.")
GREVY_REGISTER(grevy::models::Offset1V4, "offset1-model-v4",
               "Perceptron with four residual layers, GELU inside.")
GREVY_REGISTER(grevy::models::Offset1V5, "offset1-model-v5",
               "Perceptron with four residual layers, GELU after.")
GREVY_REGISTER(grevy::models::Offset4Subsampled, "offset4-model-2x-subsample",
               "Perceptron over 4 samples, one output for every two.", "resample1-model")
GREVY_REGISTER(
    grevy::models::Offset1Mse<false>, "offset1-model-mse",
    "Perceptron on single samples for Euclidean losses; hidden widths follow num_output.")
GREVY_REGISTER(grevy::models::Offset1Mse<true>, "offset1-model-mse-tanh",
               "offset1-model-mse with a tanh at the end.")
GREVY_REGISTER(grevy::models::Offset1MseClip, "offset1-model-mse-clip-{clip_min}-{clip_max}",
               "offset1-model-mse with outputs between -clip_min and clip_max.")
GREVY_REGISTER(grevy::models::DeepV2, "offset1-model-mse-v2-{n_intermediate_layers}layers",
               "Perceptron whose middle layer is applied several times.")
GREVY_REGISTER(grevy::models::DeepV2Tanh, "offset1-model-mse-v2-{n_intermediate_layers}layers-tanh",
               "The same with a tanh at the end.")
GREVY_REGISTER(grevy::models::DeepV2Untied,
               "offset1-model-mse-v2-{n_intermediate_layers}layers-untied",
               "Perceptron with several middle layers, each with weights of its own.")
GREVY_REGISTER(grevy::models::DeepResnet, "offset1-model-mse-resnet-{n_intermediate_layers}layers",
               "Residual perceptron whose middle layer is applied several times.")
GREVY_REGISTER(grevy::models::DeepResnetTanh,
               "offset1-model-mse-resnet-{n_intermediate_layers}layers-tanh",
               "The same with a tanh at the end.")
GREVY_REGISTER(grevy::models::DeepResnetUntied,
               "offset1-model-mse-resnet-{n_intermediate_layers}layers-untied",
               "Residual perceptron with several middle layers, each with weights of its own.")
GREVY_PLUGIN("grevy.models", "0.1.0")

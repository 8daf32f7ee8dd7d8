// Convolutional encoders: Conv1d(C, U, 2), GELU, residual Conv1d(U, U, 3) + GELU blocks,
// Conv1d(U, D, last). Architecture: Schneider, Lee & Mathis 2023, Methods.
#include "encoder.hpp"

#include <type_traits>

namespace grevy::models {
namespace {

enum class Dropout { none, first, every };

struct Architecture {
  int blocks;       // residual blocks of kernel 3
  int last_kernel;  // kernel of the last convolution
  Offset offset;
  bool normalize = true;
  bool tanh = false;                // after the last convolution
  Dropout dropout = Dropout::none;  // after the first convolution, or before every one
  bool subsampled = false;          // a first stage that keeps every fourth sample
};

constexpr Architecture offset5{1, 2, {2, 3}};
constexpr Architecture offset10{3, 3, {5, 5}};
constexpr Architecture offset10_mse{3, 3, {5, 5}, false};
constexpr Architecture offset10_mse_tanh{3, 3, {5, 5}, false, true};
constexpr Architecture offset15{6, 2, {7, 8}};
constexpr Architecture offset20{8, 3, {10, 10}};
constexpr Architecture offset36{16, 3, {18, 18}};
constexpr Architecture offset36_dropout{16, 3, {18, 18}, true, false, Dropout::first};
constexpr Architecture offset36_more_dropout{16, 3, {18, 18}, true, false, Dropout::every};
constexpr Architecture offset40{18, 3, {20, 20}};
constexpr Architecture offset50{23, 3, {25, 25}};
constexpr Architecture offset40_subsampled{3, 3, {20, 20}, true, false, Dropout::none, true};
constexpr Architecture offset20_subsampled{1, 2, {10, 10}, true, false, Dropout::none, true};

struct DropoutOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = true;
  double dropout = 0.1;

  static constexpr auto fields() {
    return std::tuple_cat(encoder_fields<DropoutOptions>(1),
                          grevy::fields(field("dropout", &DropoutOptions::dropout,
                                              "Share of the channels dropped in training.")
                                            .at_least(0)
                                            .at_most(0.99)));
  }
};

template <const Architecture& a>
class Convolutional : public Encoder {
 public:
  using Options = std::conditional_t<a.dropout == Dropout::none, EncoderOptions<a.normalize, 1>,
                                     DropoutOptions>;

  Convolutional(const Options& options, const Context& context)
      : Encoder({a.offset, true, a.subsampled ? 4 : 1}, options.num_output, options.normalize,
                context) {
    double p = 0;
    if constexpr (a.dropout != Dropout::none) p = options.dropout;
    const std::int64_t units = options.num_units;
    if (a.subsampled) {
      mean_and_conv(units, 4, 2);
      conv(units, 3, 2);
    } else {
      conv(units, 2);
    }
    if (a.dropout != Dropout::none) dropout(p);
    gelu();
    for (int i = 0; i < a.blocks; ++i) {
      if (a.dropout == Dropout::every)
        residual_conv(p);
      else
        residual_conv();
    }
    conv(options.num_output, a.last_kernel);
    if (a.tanh) tanh();
  }
};

}  // namespace
}  // namespace grevy::models

#define GREVY_CONVOLUTIONAL(architecture, ...) \
  GREVY_REGISTER(grevy::models::Convolutional<grevy::models::architecture>, __VA_ARGS__)

GREVY_CONVOLUTIONAL(offset5, "offset5-model", "Convolutional encoder over 5 samples, normalised.")
GREVY_CONVOLUTIONAL(offset10, "offset10-model",
                    "Convolutional encoder over 10 samples, normalised.")
GREVY_CONVOLUTIONAL(offset10_mse, "offset10-model-mse",
                    "Convolutional encoder over 10 samples for Euclidean losses.")
GREVY_CONVOLUTIONAL(offset10_mse_tanh, "offset10-model-mse-tanh",
                    "offset10-model-mse with a tanh at the end.")
GREVY_CONVOLUTIONAL(offset15, "offset15-model",
                    "Convolutional encoder over 15 samples, normalised.")
GREVY_CONVOLUTIONAL(offset20, "offset20-model",
                    "Convolutional encoder over 20 samples, normalised.")
GREVY_CONVOLUTIONAL(offset36, "offset36-model",
                    "Convolutional encoder over 36 samples, normalised.")
GREVY_CONVOLUTIONAL(offset36_dropout, "offset36-model-dropout",
                    "offset36-model with dropout after the first layer.")
GREVY_CONVOLUTIONAL(offset36_more_dropout, "offset36-model-more-dropout",
                    "offset36-model with dropout before every convolution.")
GREVY_CONVOLUTIONAL(offset40, "offset40-model",
                    "Convolutional encoder over 40 samples, normalised.")
GREVY_CONVOLUTIONAL(offset50, "offset50-model",
                    "Convolutional encoder over 50 samples, normalised.")
GREVY_CONVOLUTIONAL(offset40_subsampled, "offset40-model-4x-subsample",
                    "Convolutional encoder over 40 samples, one output for every four.",
                    "resample-model")
GREVY_CONVOLUTIONAL(offset20_subsampled, "offset20-model-4x-subsample",
                    "Convolutional encoder over 20 samples, one output for every four.",
                    "resample5-model")

#include "conv_pass.hpp"

#include <algorithm>
#include <cmath>

namespace grevy::models {
namespace {

// First-layer rows of a block: few enough for the second-level cache, many enough for little to be
// computed again in the next one.
constexpr std::size_t rows_of_a_block = 216;

std::size_t padded(std::size_t width) {
  const std::size_t lanes = kernels::row_kernels().lanes;
  return (width + lanes - 1) / lanes * lanes;
}

}  // namespace

PackedLayer::PackedLayer(const ConvLayer& the_layer, std::size_t the_in_width, const float* weight,
                         const float* the_bias)
    : layer(the_layer),
      in_width(the_in_width),
      width(padded(the_layer.out)),
      back_width(padded(in_width)),
      weights(depth() * width),
      transposed(layer.kernel * width * back_width),
      bias(width) {
  for (std::size_t o = 0; o < layer.out; ++o)
    for (std::size_t i = 0; i < layer.in; ++i)
      for (std::size_t k = 0; k < layer.kernel; ++k) {
        const float w = weight[(o * layer.in + i) * layer.kernel + k];
        weights[(k * in_width + i) * width + o] = w;
        transposed[(k * width + o) * back_width + i] = w;
      }
  std::copy_n(the_bias, layer.out, bias.begin());
}

void PackedLayer::unpack(const std::vector<float>& packed, float* weight, float* the_bias) const {
  for (std::size_t o = 0; o < layer.out; ++o)
    for (std::size_t i = 0; i < layer.in; ++i)
      for (std::size_t k = 0; k < layer.kernel; ++k)
        weight[(o * layer.in + i) * layer.kernel + k] += packed[(k * in_width + i) * width + o];
  for (std::size_t o = 0; o < layer.out; ++o) the_bias[o] += packed[depth() * width + o];
}

float normalize(float* row, std::size_t width) {
  float squares = 0;
  for (std::size_t d = 0; d < width; ++d) squares += row[d] * row[d];
  const float length = std::sqrt(squares);
  for (std::size_t d = 0; d < width; ++d) row[d] /= length;
  return length;
}

ConvStack::ConvStack(const std::vector<ConvLayer>& layers, const std::vector<const float*>& weights,
                     const std::vector<const float*>& biases, bool normalized)
    : normalized_(normalized), kernels_(kernels::row_kernels()) {
  layers_.reserve(layers.size());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    layers_.emplace_back(layers[l], l == 0 ? layers[l].in : layers_.back().width, weights[l],
                         biases[l]);
    reach_ += layers[l].kernel - 1;
  }
}

// ---- blocks ----

// How many rows of a layer's output one window needs.
std::size_t ConvStack::rows_of_layer(std::size_t layer) const {
  std::size_t rows = 1;
  for (std::size_t l = layers_.size() - 1; l > layer; --l) rows += layers_[l].layer.kernel - 1;
  return rows;
}

// A window adds those rows that the one before it does not need.
ConvStack::Plan ConvStack::plan(const Input& input, bool twice) const {
  const std::size_t first_rows = rows_of_layer(0), arrays = twice ? 3 : 2;
  Plan plan;
  plan.twice = twice;
  std::size_t rows = 0;
  for (std::size_t w = 0; w < input.count; ++w) {
    std::size_t gap = w == 0 ? 0 : static_cast<std::size_t>(input.starts[w] - input.starts[w - 1]);
    if (w == 0 || rows + std::min(gap, first_rows) > rows_of_a_block) {
      plan.blocks.push_back({w, w, plan.saved_size, plan.kept_size});
      rows = 0;
      gap = first_rows;
    }
    plan.blocks.back().end = w + 1;
    rows += std::min(gap, first_rows);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const std::size_t size = std::min(gap, rows_of_layer(l)) * layers_[l].width;
      plan.kept_size += size;
      if (l + 1 < layers_.size()) plan.saved_size += arrays * size;
    }
  }
  return plan;
}

// ---- shares ----

template <class Work>
void ConvStack::for_blocks(const Input& input, const Share& share, const Output& output,
                           Work&& work) const {
  Pass pass(*this, input, share.plan, output);
  for (std::size_t b = share.begin; b < share.end; ++b) work(pass, share.plan.blocks[b]);
}

void ConvStack::forward(const Input& input, const Share& share, const Output& output) const {
  for_blocks(input, share, output, [&](Pass& pass, const Block& block) {
    const bool is_last = &block == &share.plan.blocks[share.end - 1];
    pass.forward(block, is_last ? nullptr : &block + 1);
  });
}

void ConvStack::backward(const Input& input, const Share& share, const Output& output,
                         const Gradient& gradient, const Wanted& wanted) const {
  for_blocks(input, share, output,
             [&](Pass& pass, const Block& block) { pass.backward(block, gradient, wanted); });
}

void ConvStack::second_gradient(const Input& input, const Share& share, const Output& output,
                                const Second& second, Sums& sums) const {
  for_blocks(input, share, output,
             [&](Pass& pass, const Block& block) { pass.second_gradient(block, second, sums); });
}

ConvStack::Sums ConvStack::zero_gradients() const {
  Sums gradients;
  for (const PackedLayer& layer : layers_) gradients.emplace_back(layer.gradient_size());
  return gradients;
}

}  // namespace grevy::models

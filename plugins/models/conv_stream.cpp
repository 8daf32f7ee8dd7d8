#include "conv_stream.hpp"

#include <algorithm>

namespace grevy::models {

ConvStream::ConvStream(std::shared_ptr<const ConvStack> stack) : stack_(std::move(stack)) {
  std::size_t widest = 0;
  for (const PackedLayer& layer : stack_->layers()) {
    History history;
    history.length = layer.layer.kernel;
    history.width = layer.in_width;
    history.rows.resize(2 * history.length * history.width);
    inputs_.push_back(std::move(history));
    widest = std::max(widest, layer.width);
  }
  row_.resize(widest);
}

void ConvStream::reset() {
  for (History& history : inputs_) history.next = history.count = 0;
}

void ConvStream::History::push(const float* row) {
  std::copy_n(row, width, rows.data() + next * width);
  std::copy_n(row, width, rows.data() + (next + length) * width);
  next = (next + 1) % length;
  count = std::min(count + 1, length);
}

const float* ConvStream::push(const float* row) {
  const kernels::RowKernels& kernels = kernels::row_kernels();
  for (std::size_t l = 0; l < inputs_.size(); ++l) {
    const PackedLayer& layer = stack_->layers()[l];
    History& input = inputs_[l];
    input.push(row);
    if (!input.is_full()) return nullptr;
    kernels.multiply_row(input.oldest(), row_.data(), layer.weights.data(), layer.depth(),
                         layer.width, layer.bias.data());
    if (layer.layer.activated) kernels.gelu(row_.data(), nullptr, layer.width);
    if (layer.layer.residual)
      kernels.add(row_.data(), input.oldest() + layer.in_width, layer.width);
    row = row_.data();
  }
  if (stack_->is_normalized()) normalize(row_.data(), stack_->layers().back().layer.out);
  return row;
}

}  // namespace grevy::models

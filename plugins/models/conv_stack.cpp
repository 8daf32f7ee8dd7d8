#include "conv_stack.hpp"

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
      weights(depth() * width),
      transposed(layer.kernel * width * in_width),
      bias(width) {
  for (std::size_t o = 0; o < layer.out; ++o)
    for (std::size_t i = 0; i < layer.in; ++i)
      for (std::size_t k = 0; k < layer.kernel; ++k) {
        const float w = weight[(o * layer.in + i) * layer.kernel + k];
        weights[(k * in_width + i) * width + o] = w;
        transposed[(k * width + o) * in_width + i] = w;
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
ConvStack::Plan ConvStack::plan(const Input& input) const {
  const std::size_t last = layers_.size() - 1, first_rows = rows_of_layer(0);
  Plan plan;
  std::size_t rows = 0;
  for (std::size_t w = 0; w < input.count; ++w) {
    std::size_t gap = w == 0 ? 0 : static_cast<std::size_t>(input.starts[w] - input.starts[w - 1]);
    if (w == 0 || rows + std::min(gap, first_rows) > rows_of_a_block) {
      plan.blocks.push_back({w, w, plan.saved_size});
      rows = 0;
      gap = first_rows;
    }
    plan.blocks.back().end = w + 1;
    rows += std::min(gap, first_rows);
    for (std::size_t l = 0; l < last; ++l)
      plan.saved_size += 2 * std::min(gap, rows_of_layer(l)) * layers_[l].width;
  }
  return plan;
}

// One block after the other, layer by layer.
class ConvStack::Pass {
 public:
  Pass(const ConvStack& stack, const Input& input, const Output& output)
      : stack_(stack), kernels_(stack.kernels_), input_(input), output_(output) {
    layers_.resize(stack.layers_.size());
  }

  void forward(const Block& block) {
    start(block);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const PackedLayer& layer = stack_.layers_[l];
      point_to_inputs(l);
      point_to_rows(out_, layers_[l].values, num_rows(l), layer.width);
      fill_up(layer);
      kernels_.multiply(in_.data(), out_.data(), out_.size(), layer.weights.data(), layer.depth(),
                        layer.width, layer.bias.data());
      if (l < last()) activate(l);
    }
    write(block);
  }

  void backward(const Block& block, const float* gradient,
                std::vector<std::vector<float>>& gradients) {
    start(block);
    read(block, gradient);
    for (std::size_t l = last();; --l) {
      const PackedLayer& layer = stack_.layers_[l];
      point_to_inputs(l);
      point_to_rows(out_, raw_.data(), num_rows(l), layer.width);
      kernels_.outer(in_.data(), out_.data(), out_.size(), gradients[l].data(), layer.depth(),
                     layer.width);
      float* bias = gradients[l].data() + layer.depth() * layer.width;
      for (const float* row : out_) kernels_.add(bias, row, layer.width);
      if (l == 0) return;
      pass_on(l);
    }
  }

 private:
  struct Layer {
    // For each row of output the first row of its input: among those of the layer before, for the
    // first layer in memory.
    std::vector<std::int64_t> inputs;
    float* values = nullptr;  // output
    float* slopes = nullptr;  // of the GELU; null: not wanted
  };
  std::size_t last() const { return layers_.size() - 1; }
  std::size_t num_rows(std::size_t l) const { return layers_[l].inputs.size(); }

  void start(const Block& block) {
    collect_rows(block);
    std::size_t size = 0;
    for (std::size_t l = 0; l < last(); ++l) size += 2 * num_rows(l) * stack_.layers_[l].width;
    if (output_.saved == nullptr) scratch_.resize(size);
    float* next = output_.saved == nullptr ? scratch_.data() : output_.saved + block.saved;
    for (std::size_t l = 0; l < last(); ++l) {
      const std::size_t values = num_rows(l) * stack_.layers_[l].width;
      layers_[l].values = next;
      layers_[l].slopes = output_.saved == nullptr ? nullptr : next + values;
      next += 2 * values;
    }
    embedding_.resize(num_rows(last()) * stack_.layers_.back().width);
    layers_.back().values = embedding_.data();
  }

  // The rows that a layer must give are those that the next one reads, each once. They ascend, so
  // the newest are those of the row at hand.
  void collect_rows(const Block& block) {
    rows_.assign(input_.starts + block.begin, input_.starts + block.end);
    for (std::size_t l = last(); l > 0; --l) {
      const auto kernel = static_cast<std::int64_t>(stack_.layers_[l].layer.kernel);
      std::vector<std::int64_t>& inputs = layers_[l].inputs;
      inputs.clear();
      before_rows_.clear();
      for (const std::int64_t row : rows_) {
        std::int64_t next = before_rows_.empty() ? row : std::max(row, before_rows_.back() + 1);
        for (; next < row + kernel; ++next) before_rows_.push_back(next);
        inputs.push_back(static_cast<std::int64_t>(before_rows_.size()) - kernel);
      }
      rows_.swap(before_rows_);
    }
    layers_.front().inputs = rows_;
  }

  const float* input_row(std::size_t l, std::size_t row) const {
    const float* rows = l == 0 ? input_.rows : layers_[l - 1].values;
    return rows + static_cast<std::size_t>(layers_[l].inputs[row]) * stack_.layers_[l].in_width;
  }
  void point_to_inputs(std::size_t l) {
    in_.clear();
    for (std::size_t r = 0; r < num_rows(l); ++r) in_.push_back(input_row(l, r));
  }
  template <class Pointers, class Float>
  static void point_to_rows(Pointers& pointers, Float* rows, std::size_t count, std::size_t width) {
    pointers.clear();
    for (std::size_t r = 0; r < count; ++r) pointers.push_back(rows + r * width);
  }
  // Whole blocks of rows: the rest is the last row again, into a row that nobody reads.
  void fill_up(const PackedLayer& layer) {
    spare_.resize(std::max(spare_.size(), std::max(layer.width, layer.in_width)));
    while (in_.size() % kernels_.rows_at_once != 0) {
      in_.push_back(in_.back());
      out_.push_back(spare_.data());
    }
  }
  // visit(first row, count): stretches of output rows whose input rows follow each other.
  template <class Visit>
  void for_stretches(std::size_t l, Visit&& visit) const {
    const std::vector<std::int64_t>& inputs = layers_[l].inputs;
    for (std::size_t begin = 0, end = 0; begin < inputs.size(); begin = end) {
      for (end = begin + 1; end < inputs.size() && inputs[end] == inputs[end - 1] + 1;) ++end;
      visit(begin, end - begin);
    }
  }

  void activate(std::size_t l) {
    const PackedLayer& layer = stack_.layers_[l];
    float* values = layers_[l].values;
    kernels_.gelu(values, layers_[l].slopes, num_rows(l) * layer.width);
    if (!layer.layer.residual) return;
    for_stretches(l, [&](std::size_t begin, std::size_t count) {
      kernels_.add(values + begin * layer.width, input_row(l, begin) + layer.in_width,
                   count * layer.width);
    });
  }

  // From `raw_`, gradients of what the kernel of layer l gave, to those of the layer before it.
  void pass_on(std::size_t l) {
    const PackedLayer& layer = stack_.layers_[l];
    before_.assign(num_rows(l - 1) * layer.in_width, 0.0F);
    const auto target = [&](std::size_t row, std::size_t k) {
      return before_.data() +
             (static_cast<std::size_t>(layers_[l].inputs[row]) + k) * layer.in_width;
    };
    if (layer.layer.residual)
      for_stretches(l, [&](std::size_t begin, std::size_t count) {
        std::copy_n(after_.data() + begin * layer.width, count * layer.width, target(begin, 1));
      });
    for (std::size_t k = 0; k < layer.layer.kernel; ++k) {
      point_to_rows(in_, static_cast<const float*>(raw_.data()), num_rows(l), layer.width);
      out_.clear();
      for (std::size_t r = 0; r < num_rows(l); ++r) out_.push_back(target(r, k));
      fill_up(layer);
      kernels_.multiply(in_.data(), out_.data(), out_.size(),
                        layer.transposed.data() + k * layer.width * layer.in_width, layer.width,
                        layer.in_width, nullptr);
    }
    after_.swap(before_);
    raw_.resize(after_.size());
    kernels_.product(after_.data(), layers_[l - 1].slopes, raw_.data(), raw_.size());
  }

  void write(const Block& block) {
    const PackedLayer& layer = stack_.layers_.back();
    const std::size_t n = layer.layer.out;
    for (std::size_t w = block.begin; w < block.end; ++w) {
      float* row = embedding_.data() + (w - block.begin) * layer.width;
      const float length = stack_.normalized_ ? normalize(row, n) : 1;
      if (output_.lengths != nullptr) output_.lengths[w] = length;
      std::copy_n(row, n, output_.rows + w * n);
    }
  }

  // Gradients of the last layer's output. Of y = x / |x|: (g - y (y . g)) / |x|.
  void read(const Block& block, const float* gradient) {
    const PackedLayer& layer = stack_.layers_.back();
    const std::size_t n = layer.layer.out;
    raw_.assign(num_rows(last()) * layer.width, 0.0F);
    for (std::size_t w = block.begin; w < block.end; ++w) {
      float* row = raw_.data() + (w - block.begin) * layer.width;
      const float* g = gradient + w * n;
      std::copy_n(g, n, row);
      if (!stack_.normalized_) continue;
      const float* y = output_.rows + w * n;
      float along = 0;
      for (std::size_t d = 0; d < n; ++d) along += y[d] * g[d];
      for (std::size_t d = 0; d < n; ++d) row[d] = (g[d] - y[d] * along) / output_.lengths[w];
    }
  }

  const ConvStack& stack_;
  const kernels::RowKernels& kernels_;
  const Input& input_;
  const Output& output_;
  std::vector<Layer> layers_;
  std::vector<std::int64_t> rows_, before_rows_;
  std::vector<const float*> in_;
  std::vector<float*> out_;
  std::vector<float> scratch_, embedding_, spare_;
  std::vector<float> after_, before_, raw_;  // gradients
};

void ConvStack::forward(const Input& input, const Share& share, const Output& output) const {
  Pass pass(*this, input, output);
  for (std::size_t b = share.begin; b < share.end; ++b) pass.forward(share.plan.blocks[b]);
}

void ConvStack::backward(const Input& input, const Share& share, const Output& output,
                         const float* gradient, std::vector<std::vector<float>>& gradients) const {
  Pass pass(*this, input, output);
  for (std::size_t b = share.begin; b < share.end; ++b)
    pass.backward(share.plan.blocks[b], gradient, gradients);
}

std::vector<std::vector<float>> ConvStack::zero_gradients() const {
  std::vector<std::vector<float>> gradients;
  for (const PackedLayer& layer : layers_) gradients.emplace_back(layer.gradient_size());
  return gradients;
}

}  // namespace grevy::models

#include "conv_stack.hpp"

#include <algorithm>
#include <cmath>

namespace grevy::models {
namespace {

// Long windows are cut, so that a piece's rows stay in the second-level cache.
constexpr std::size_t longest_piece = 64;
// Rows of the first layer that are worked on together.
constexpr std::size_t rows_of_a_group = 108;

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

// ---- pieces ----

std::size_t ConvStack::pieces_per_window(const Input& input) const {
  return (input.length - reach_ + longest_piece - 1) / longest_piece;
}

std::size_t ConvStack::num_pieces(const Input& input) const {
  return input.count * pieces_per_window(input);
}

std::size_t ConvStack::rows_of_layer(std::size_t layer, std::size_t out_rows) const {
  for (std::size_t l = layers_.size() - 1; l > layer; --l) out_rows += layers_[l].layer.kernel - 1;
  return out_rows;
}

std::size_t ConvStack::saved_size(std::size_t out_rows) const {
  std::size_t size = 0;
  for (std::size_t l = 0; l + 1 < layers_.size(); ++l)
    size += 2 * rows_of_layer(l, out_rows) * layers_[l].width;
  return size;
}

std::size_t ConvStack::saved_size(const Input& input) const {
  const std::size_t rows = input.length - reach_, whole = rows / longest_piece,
                    rest = rows % longest_piece;
  return input.count * (whole * saved_size(longest_piece) + (rest == 0 ? 0 : saved_size(rest)));
}

ConvStack::Piece ConvStack::piece(const Input& input, std::size_t number) const {
  const std::size_t per_window = pieces_per_window(input), window = number / per_window,
                    part = number % per_window, rows = input.length - reach_;
  Piece p{};
  p.rows = std::min(longest_piece, rows - part * longest_piece);
  p.first_row = window * rows + part * longest_piece;
  p.in = input.rows + (window * input.length + part * longest_piece) * layers_.front().in_width;
  p.saved = window * saved_size(Input{nullptr, 1, input.length}) + part * saved_size(longest_piece);
  return p;
}

// ---- groups: pieces of the same length, worked on layer by layer ----

class ConvStack::Group {
 public:
  explicit Group(const ConvStack& stack) : stack_(stack), kernels_(stack.kernels_) {}

  void start(std::size_t out_rows) {
    pieces_.clear();
    out_rows_ = out_rows;
  }
  void add(const Piece& piece) { pieces_.push_back(piece); }
  std::size_t out_rows() const { return out_rows_; }

  void forward(const Output& output) {
    const std::size_t last = stack_.layers_.size() - 1;
    place(output.saved);
    for (std::size_t l = 0; l <= last; ++l) {
      const PackedLayer& layer = stack_.layers_[l];
      const std::size_t rows = stack_.rows_of_layer(l, out_rows_);
      if (l == last) {
        last_.resize(pieces_.size() * rows * layer.width);
        point(
            out_, [&](std::size_t p) { return last_.data() + p * rows * layer.width; }, rows,
            layer.width);
      } else {
        point(
            out_, [&](std::size_t p) { return values_[p] + offset(l); }, rows, layer.width);
      }
      point(
          in_, [&](std::size_t p) { return input_of(l, p); }, rows, layer.in_width);
      fill_up(layer);
      kernels_.multiply(in_.data(), out_.data(), out_.size(), layer.weights.data(), layer.depth(),
                        layer.width, layer.bias.data());
      if (l < last) activate(l, rows, output.saved != nullptr);
    }
    write(output);
  }

  void backward(const Output& output, const float* gradient,
                std::vector<std::vector<float>>& gradients) {
    const std::size_t last = stack_.layers_.size() - 1;
    place(output.saved);
    read(output, gradient);
    for (std::size_t l = last;; --l) {
      const PackedLayer& layer = stack_.layers_[l];
      const std::size_t rows = stack_.rows_of_layer(l, out_rows_), size = rows * layer.width;
      point(
          in_, [&](std::size_t p) { return input_of(l, p); }, rows, layer.in_width);
      point(
          out_, [&](std::size_t p) { return raw_.data() + p * size; }, rows, layer.width);
      kernels_.outer(in_.data(), out_.data(), out_.size(), gradients[l].data(), layer.depth(),
                     layer.width);
      float* bias = gradients[l].data() + layer.depth() * layer.width;
      for (const float* row : out_) kernels_.add(bias, row, layer.width);
      if (l == 0) return;
      pass_on(l, rows);
    }
  }

 private:
  // Where layer l's output lies inside a piece's saved part: values, then slopes.
  std::size_t offset(std::size_t layer) const {
    std::size_t before = 0;
    for (std::size_t l = 0; l < layer; ++l)
      before += 2 * stack_.rows_of_layer(l, out_rows_) * stack_.layers_[l].width;
    return before;
  }
  const float* input_of(std::size_t layer, std::size_t p) const {
    return layer == 0 ? pieces_[p].in : values_[p] + offset(layer - 1);
  }
  // Parts of `saved`, or of a buffer of the group's own.
  void place(float* saved) {
    const std::size_t size = stack_.saved_size(out_rows_);
    if (saved == nullptr) scratch_.resize(pieces_.size() * size);
    values_.clear();
    for (std::size_t p = 0; p < pieces_.size(); ++p)
      values_.push_back(saved == nullptr ? scratch_.data() + p * size : saved + pieces_[p].saved);
  }
  template <class Pointers, class Begin>
  void point(Pointers& pointers, Begin&& begin, std::size_t rows, std::size_t width) const {
    pointers.clear();
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      auto* row = begin(p);
      for (std::size_t t = 0; t < rows; ++t) pointers.push_back(row + t * width);
    }
  }
  // Whole blocks of rows: the rest is the last row again, into a row that nobody reads.
  void fill_up(const PackedLayer& layer) {
    spare_.resize(std::max(spare_.size(), std::max(layer.width, layer.in_width)));
    while (in_.size() % kernels_.rows_at_once != 0) {
      in_.push_back(in_.back());
      out_.push_back(spare_.data());
    }
  }
  void activate(std::size_t l, std::size_t rows, bool with_slopes) {
    const PackedLayer& layer = stack_.layers_[l];
    const std::size_t size = rows * layer.width;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      float* values = values_[p] + offset(l);
      kernels_.gelu(values, with_slopes ? values + size : nullptr, size);
      if (layer.layer.residual) kernels_.add(values, input_of(l, p) + layer.in_width, size);
    }
  }
  // From `raw_`, gradients of what the kernel of layer l gave, to those of the layer before it.
  void pass_on(std::size_t l, std::size_t rows) {
    const PackedLayer& layer = stack_.layers_[l];
    const std::size_t in_rows = rows + layer.layer.kernel - 1, in_size = in_rows * layer.in_width,
                      size = rows * layer.width;
    before_.assign(pieces_.size() * in_size, 0.0F);
    if (layer.layer.residual)
      for (std::size_t p = 0; p < pieces_.size(); ++p)
        std::copy_n(after_.data() + p * size, size, before_.data() + p * in_size + layer.in_width);
    for (std::size_t k = 0; k < layer.layer.kernel; ++k) {
      point(
          in_, [&](std::size_t p) -> const float* { return raw_.data() + p * size; }, rows,
          layer.width);
      point(
          out_, [&](std::size_t p) { return before_.data() + p * in_size + k * layer.in_width; },
          rows, layer.in_width);
      fill_up(layer);
      kernels_.multiply(in_.data(), out_.data(), out_.size(),
                        layer.transposed.data() + k * layer.width * layer.in_width, layer.width,
                        layer.in_width, nullptr);
    }
    after_.swap(before_);
    raw_.resize(after_.size());
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      const float* slope = values_[p] + offset(l - 1) + in_size;
      kernels_.product(after_.data() + p * in_size, slope, raw_.data() + p * in_size, in_size);
    }
  }
  // visit(row of `padded`, its number among all output rows)
  template <class Visit>
  void for_out_rows(std::vector<float>& padded, Visit&& visit) const {
    const std::size_t width = stack_.layers_.back().width;
    for (std::size_t p = 0; p < pieces_.size(); ++p)
      for (std::size_t t = 0; t < out_rows_; ++t)
        visit(padded.data() + (p * out_rows_ + t) * width, pieces_[p].first_row + t);
  }
  void write(const Output& output) {
    const std::size_t n = stack_.layers_.back().layer.out;
    for_out_rows(last_, [&](float* row, std::size_t number) {
      const float length = stack_.normalized_ ? normalize(row, n) : 1;
      if (output.lengths != nullptr) output.lengths[number] = length;
      std::copy_n(row, n, output.rows + number * n);
    });
  }
  // Gradients of the last layer's output. Of y = x / |x|: (g - y (y . g)) / |x|.
  void read(const Output& output, const float* gradient) {
    const PackedLayer& layer = stack_.layers_.back();
    const std::size_t n = layer.layer.out;
    raw_.assign(pieces_.size() * out_rows_ * layer.width, 0.0F);
    for_out_rows(raw_, [&](float* row, std::size_t number) {
      const float* g = gradient + number * n;
      std::copy_n(g, n, row);
      if (!stack_.normalized_) return;
      const float* y = output.rows + number * n;
      float along = 0;
      for (std::size_t d = 0; d < n; ++d) along += y[d] * g[d];
      for (std::size_t d = 0; d < n; ++d) row[d] = (g[d] - y[d] * along) / output.lengths[number];
    });
  }

  const ConvStack& stack_;
  const kernels::RowKernels& kernels_;
  std::vector<Piece> pieces_;
  std::size_t out_rows_ = 0;
  std::vector<float*> values_;  // of each piece
  std::vector<const float*> in_;
  std::vector<float*> out_;
  std::vector<float> scratch_, last_, spare_;
  std::vector<float> after_, before_, raw_;  // gradients
};

std::size_t ConvStack::group_size(std::size_t out_rows) const {
  return std::max<std::size_t>(1, rows_of_a_group / rows_of_layer(0, out_rows));
}

template <class Work>
void ConvStack::for_groups(const Input& input, std::size_t begin, std::size_t end,
                           Work&& work) const {
  Group group(*this);
  for (std::size_t next = begin; next < end;) {
    group.start(piece(input, next).rows);
    const std::size_t most = std::min(end, next + group_size(group.out_rows()));
    for (; next < most; ++next) {
      const Piece p = piece(input, next);
      if (p.rows != group.out_rows()) break;
      group.add(p);
    }
    work(group);
  }
}

void ConvStack::forward(const Input& input, std::size_t begin, std::size_t end,
                        const Output& output) const {
  for_groups(input, begin, end, [&](Group& group) { group.forward(output); });
}

void ConvStack::backward(const Input& input, std::size_t begin, std::size_t end,
                         const Output& output, const float* gradient,
                         std::vector<std::vector<float>>& gradients) const {
  for_groups(input, begin, end, [&](Group& group) { group.backward(output, gradient, gradients); });
}

std::vector<std::vector<float>> ConvStack::zero_gradients() const {
  std::vector<std::vector<float>> gradients;
  for (const PackedLayer& layer : layers_) gradients.emplace_back(layer.gradient_size());
  return gradients;
}

}  // namespace grevy::models

#include "conv_pass.hpp"

#include <algorithm>

namespace grevy::models {

ConvStack::Pass::Pass(const ConvStack& stack, const Input& input, const Plan& plan,
                      const Output& output)
    : stack_(stack),
      kernels_(stack.kernels_),
      input_(input),
      plan_(plan),
      output_(output),
      layers_(stack.layers_.size()) {
  std::size_t widest = 0;
  for (const PackedLayer& layer : stack.layers_)
    widest = std::max({widest, layer.width, layer.back_width});
  spare_.resize(widest);
  zeros_.resize(widest);
}

void ConvStack::Pass::forward(const Block& block, const Block* next) {
  start(block);
  if (next != nullptr) fetch(*next);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    point_to_inputs(l);
    apply(l, stack_.layers_[l].bias.data(), layers_[l].values);
    if (l < last()) activate(l);
  }
  write(block);
}

void ConvStack::Pass::backward(const Block& block, const Gradient& gradient, const Wanted& wanted) {
  start(block);
  fetch(block);
  read(block, gradient.rows);
  const auto keep = [&](std::size_t l, const std::vector<float>& of_output) {
    if (wanted.kept != nullptr)
      std::copy_n(of_output.data(), size(l), wanted.kept + block.kept + layers_[l].kept);
  };
  keep(last(), raw_);
  for (std::size_t l = last();; --l) {
    if (wanted.sums != nullptr) add_gradients(l, *wanted.sums);
    if (l == 0) break;
    pull_back(l);
    const std::size_t below = l - 1;
    keep(below, after_);
    kernels_.product(after_.data(), layers_[below].slopes, raw_.data(), size(below));
    if (gradient.bent != nullptr)
      kernels_.add(raw_.data(), gradient.bent + block.kept + layers_[below].kept, size(below));
  }
  if (wanted.rows == nullptr) return;
  pull_back(0);
  write_input(wanted.rows);
}

// The gradient of the windows is linear in that of the embedding: a chain of transposed layers,
// each scaled by s. Its product with the cotangent is differentiated by pushing the cotangent up
// that chain, which gives the weights' part and, by way of s, the gradient of u.
void ConvStack::Pass::second_gradient(const Block& block, const Second& second, Sums& sums) {
  start(block);
  for (std::size_t l = 0; l < layers_.size(); ++l) push_tangent(l, block, second, sums);
  const PackedLayer& layer = stack_.layers_.back();
  for (std::size_t w = block.begin; w < block.end; ++w)
    std::copy_n(layers_.back().tangent.data() + (w - block.begin) * layer.width, layer.layer.out,
                second.of_gradient + w * layer.layer.out);
}

// ---- memory ahead ----

void ConvStack::Pass::fetch(const Block& block) {
  fetched_window_ = block.begin;
  last_fetched_ = block.end;
  fetched_row_ = input_.starts[block.begin];
}

void ConvStack::Pass::fetch_some() {
  constexpr std::size_t rows_at_a_time = 6, floats_of_a_line = 16;
  const std::size_t width = stack_.layers_.front().in_width;
  for (std::size_t i = 0; i < rows_at_a_time && fetched_window_ < last_fetched_; ++i) {
    const float* row = input_.rows + static_cast<std::size_t>(fetched_row_) * width;
    for (std::size_t at = 0; at < width; at += floats_of_a_line) __builtin_prefetch(row + at, 0, 2);
    const std::int64_t end =
        input_.starts[fetched_window_] + static_cast<std::int64_t>(stack_.reach_) + 1;
    if (++fetched_row_ < end) continue;
    if (++fetched_window_ < last_fetched_)
      fetched_row_ = std::max(fetched_row_, input_.starts[fetched_window_]);
  }
}

// ---- where things lie ----

void ConvStack::Pass::start(const Block& block) {
  first_row_ = input_.starts[block.begin];
  end_row_ = input_.starts[block.end - 1] + static_cast<std::int64_t>(stack_.reach_) + 1;
  collect_rows(block);
  place(block);
}

// The rows that a layer must give are those that the next one reads, each once. They ascend, so the
// newest are those of the row at hand.
void ConvStack::Pass::collect_rows(const Block& block) {
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

// Parts of what is saved, or of a buffer of this pass.
void ConvStack::Pass::place(const Block& block) {
  std::size_t total = 0, kept = 0;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].kept = kept;
    kept += size(l);
    if (l < last()) total += size(l);
  }
  const bool saves = output_.saved != nullptr;
  if (!saves) scratch_.resize(total);
  float* next = saves ? output_.saved + block.saved : scratch_.data();
  const auto take = [&](std::size_t l, bool wanted) {
    float* part = next;
    if (wanted) next += size(l);
    return wanted ? part : nullptr;
  };
  for (std::size_t l = 0; l < last(); ++l) {
    layers_[l].values = take(l, true);
    layers_[l].slopes = take(l, saves);
    layers_[l].curvatures = take(l, saves && plan_.twice);
  }
  embedding_.resize(size(last()));
  layers_.back().values = embedding_.data();
}

// ---- pointers for the kernels ----

// rows: what layer l reads, `width` floats apart.
void ConvStack::Pass::point_to_inputs(std::size_t l, const float* rows, std::size_t width) {
  in_.clear();
  for (const std::int64_t row : layers_[l].inputs)
    in_.push_back(rows + static_cast<std::size_t>(row) * width);
}

void ConvStack::Pass::point_to_inputs(std::size_t l) {
  point_to_inputs(l, l == 0 ? input_.rows : layers_[l - 1].values, stack_.layers_[l].in_width);
}

// rows: layer l's output, or gradients of it.
template <class Pointers, class Float>
void ConvStack::Pass::point_to_rows(Pointers& pointers, std::size_t l, Float* rows) const {
  pointers.clear();
  for (std::size_t r = 0; r < num_rows(l); ++r)
    pointers.push_back(rows + r * stack_.layers_[l].width);
}

// Whole blocks of rows: the rest is the last row again, into a row that nobody reads.
void ConvStack::Pass::multiply(const float* weights, std::size_t depth, std::size_t width,
                               const float* bias) {
  const std::size_t rows = kernels_.rows_at_once;
  while (in_.size() % rows != 0) {
    in_.push_back(in_.back());
    out_.push_back(spare_.data());
  }
  for (std::size_t r = 0; r < in_.size(); r += rows) {
    kernels_.multiply(in_.data() + r, out_.data() + r, rows, weights, depth, width, bias);
    fetch_some();
  }
}

// visit(first row, count): stretches of output rows whose input rows follow each other.
template <class Visit>
void ConvStack::Pass::for_stretches(std::size_t l, Visit&& visit) const {
  const std::vector<std::int64_t>& inputs = layers_[l].inputs;
  for (std::size_t begin = 0, end = 0; begin < inputs.size(); begin = end) {
    for (end = begin + 1; end < inputs.size() && inputs[end] == inputs[end - 1] + 1;) ++end;
    visit(begin, end - begin);
  }
}

// What a residual layer adds. input: what it reads; never the first layer, so in_width = width.
void ConvStack::Pass::add_middle(std::size_t l, const float* input, float* rows) const {
  const PackedLayer& layer = stack_.layers_[l];
  if (!layer.layer.residual) return;
  for_stretches(l, [&](std::size_t begin, std::size_t count) {
    const auto middle = static_cast<std::size_t>(layers_[l].inputs[begin]) + 1;
    kernels_.add(rows + begin * layer.width, input + middle * layer.in_width, count * layer.width);
  });
}

// ---- forward ----

// The kernel of layer l on what in_ points to.
void ConvStack::Pass::apply(std::size_t l, const float* bias, float* rows) {
  const PackedLayer& layer = stack_.layers_[l];
  point_to_rows(out_, l, rows);
  multiply(layer.weights.data(), layer.depth(), layer.width, bias);
}

void ConvStack::Pass::activate(std::size_t l) {
  const Layer& at = layers_[l];
  if (at.curvatures != nullptr) kernels_.gelu_curvature(at.values, at.curvatures, size(l));
  kernels_.gelu(at.values, at.slopes, size(l));
  if (l > 0) add_middle(l, layers_[l - 1].values, at.values);
}

void ConvStack::Pass::write(const Block& block) {
  const PackedLayer& layer = stack_.layers_.back();
  const std::size_t n = layer.layer.out;
  for (std::size_t w = block.begin; w < block.end; ++w) {
    float* row = embedding_.data() + (w - block.begin) * layer.width;
    const float length = stack_.normalized_ ? normalize(row, n) : 1;
    if (output_.lengths != nullptr) output_.lengths[w] = length;
    std::copy_n(row, n, output_.rows + w * n);
  }
}

// ---- backward ----

// raw_ of the last layer. Of y = x / |x|: (g - y (y . g)) / |x|.
void ConvStack::Pass::read(const Block& block, const float* gradient) {
  const PackedLayer& layer = stack_.layers_.back();
  const std::size_t n = layer.layer.out;
  raw_.assign(size(last()), 0.0F);
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

// Of weights and bias, from raw_.
void ConvStack::Pass::add_gradients(std::size_t l, Sums& sums) {
  const PackedLayer& layer = stack_.layers_[l];
  point_to_inputs(l);
  point_to_rows(out_, l, raw_.data());
  kernels_.outer(in_.data(), out_.data(), out_.size(), sums[l].data(), layer.depth(), layer.width);
  float* bias = sums[l].data() + layer.depth() * layer.width;
  for (const float* row : out_) kernels_.add(bias, row, layer.width);
}

std::size_t ConvStack::Pass::num_input_rows(std::size_t l) const {
  return l > 0 ? num_rows(l - 1) : static_cast<std::size_t>(end_row_ - first_row_);
}

// From raw_ and, where it is residual, after_ of layer l to after_ of the layer before it, or of
// the block's rows, back_width floats apart. raw_ is made as long.
void ConvStack::Pass::pull_back(std::size_t l) {
  const PackedLayer& layer = stack_.layers_[l];
  before_.assign(num_input_rows(l) * layer.back_width, 0.0F);
  const auto target = [&](std::int64_t input, std::size_t k) {
    const auto row = static_cast<std::size_t>(l > 0 ? input : input - first_row_);
    return before_.data() + (row + k) * layer.back_width;
  };
  if (layer.layer.residual)
    for_stretches(l, [&](std::size_t begin, std::size_t count) {
      std::copy_n(after_.data() + begin * layer.width, count * layer.width,
                  target(layers_[l].inputs[begin], 1));
    });
  for (std::size_t k = 0; k < layer.layer.kernel; ++k) {
    point_to_rows(in_, l, static_cast<const float*>(raw_.data()));
    out_.clear();
    for (const std::int64_t input : layers_[l].inputs) out_.push_back(target(input, k));
    multiply(layer.transposed.data() + k * layer.width * layer.back_width, layer.width,
             layer.back_width, nullptr);
  }
  after_.swap(before_);
  raw_.resize(after_.size());
}

// after_ of the block's rows.
void ConvStack::Pass::write_input(float* rows) const {
  const PackedLayer& layer = stack_.layers_.front();
  for (std::int64_t row = first_row_; row < end_row_; ++row)
    std::copy_n(after_.data() + static_cast<std::size_t>(row - first_row_) * layer.back_width,
                layer.in_width, rows + static_cast<std::size_t>(row) * layer.in_width);
}

// ---- second gradients ----

// With the tangent t of layer l's input and the gradient c of its output: p = W t; the weights'
// gradient is t (c s), that of u is c p k, and the tangent of the output p s, plus the middle of t.
void ConvStack::Pass::push_tangent(std::size_t l, const Block& block, const Second& second,
                                   Sums& sums) {
  const PackedLayer& layer = stack_.layers_[l];
  Layer& at = layers_[l];
  const float* before = l == 0 ? second.cotangent : layers_[l - 1].tangent.data();
  const float* of_output = second.kept + block.kept + at.kept;
  at.tangent.resize(size(l));
  raw_.assign(of_output, of_output + size(l));
  if (l < last()) kernels_.product(raw_.data(), at.slopes, raw_.data(), size(l));
  point_to_inputs(l, before, layer.in_width);
  point_to_rows(out_, l, raw_.data());
  kernels_.outer(in_.data(), out_.data(), out_.size(), sums[l].data(), layer.depth(), layer.width);
  apply(l, zeros_.data(), at.tangent.data());
  if (l == last()) return;
  float* bent = second.bent + block.kept + at.kept;
  kernels_.product(of_output, at.tangent.data(), bent, size(l));
  kernels_.product(bent, at.curvatures, bent, size(l));
  kernels_.product(at.tangent.data(), at.slopes, at.tangent.data(), size(l));
  add_middle(l, before, at.tangent.data());
}

}  // namespace grevy::models

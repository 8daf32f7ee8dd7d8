// A stack of convolutions over windows of rows (one time, all channels) that lie one after the
// other in memory: Conv + GELU, residual blocks x[1..-1] + GELU(Conv(x)), a last Conv, rows scaled
// to length 1 perhaps. Forward and backward with respect to the weights; nothing is copied or
// rearranged, and what windows share is computed once. float32, CPU.
#ifndef GREVY_PLUGINS_MODELS_CONV_STACK_HPP
#define GREVY_PLUGINS_MODELS_CONV_STACK_HPP

#include "kernels/row_kernels.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grevy::models {

struct ConvLayer {
  std::size_t in = 0, out = 0, kernel = 0;
  bool activated = false;  // GELU after it
  bool residual = false;   // the middle of the input is added; kernel 3, in = out
};

// Weights as the row kernels want them: (kernel * in, out), and per position of the kernel
// (out, in) for gradients; widths padded with zeros to whole vectors.
class PackedLayer {
 public:
  // weight: (out, in, kernel); bias: (out). in_width: floats from one input row to the next.
  PackedLayer(const ConvLayer& layer, std::size_t in_width, const float* weight, const float* bias);

  // Adds what was gathered in the packed layout to gradients in the layers' own.
  void unpack(const std::vector<float>& packed, float* weight, float* bias) const;

  ConvLayer layer;
  std::size_t in_width, width;    // row strides of input and output
  std::size_t back_width;         // row stride of gradients of the input: in_width, padded
  std::vector<float> weights;     // (kernel * in_width, width)
  std::vector<float> transposed;  // (kernel, width, back_width)
  std::vector<float> bias;        // (width)
  std::size_t depth() const { return layer.kernel * in_width; }
  std::size_t gradient_size() const { return (depth() + 1) * width; }  // weights, then bias
};

// Scales a row to length 1 and returns its length before. A zero row becomes NaN.
float normalize(float* row, std::size_t width);

class ConvStack {
 public:
  // Gradients of the weights, one per layer, packed: PackedLayer::gradient_size() floats each.
  using Sums = std::vector<std::vector<float>>;

  // Pointers: one per layer. normalized: every output row is scaled to Euclidean length 1.
  ConvStack(const std::vector<ConvLayer>& layers, const std::vector<const float*>& weights,
            const std::vector<const float*>& biases, bool normalized);
  bool is_normalized() const { return normalized_; }

  // Windows of reach() + 1 rows each, in one stretch of rows; each gives one row of output.
  struct Input {
    const float* rows = nullptr;
    const std::int64_t* starts = nullptr;  // first row of each window, ascending, each once
    std::size_t count = 0;
  };
  std::size_t reach() const { return reach_; }

  // Windows that are worked on together, and where their part of Output::saved, and of what
  // backward() keeps, begins.
  struct Block {
    std::size_t begin = 0, end = 0, saved = 0, kept = 0;
  };
  struct Plan {
    std::vector<Block> blocks;
    std::size_t saved_size = 0, kept_size = 0;  // floats
    bool twice = false;
  };
  // twice: second_gradient() will be asked for.
  Plan plan(const Input& input, bool twice) const;

  // What forward() gives, and backward() needs again.
  struct Output {
    float* rows = nullptr;     // (count, num_output)
    float* lengths = nullptr;  // of each row before it was scaled; not needed where nothing is
    float* saved = nullptr;  // of all layers but the last the outputs, and slopes (and curvatures)
                             // of their GELUs: Plan::saved_size; null: no backward()
  };
  // A share of the work: blocks [begin, end) of the plan. Shares may run at the same time.
  struct Share {
    const Plan& plan;
    std::size_t begin = 0, end = 0;
  };
  void forward(const Input& input, const Share& share, const Output& output) const;

  // What a backward pass begins with, and what it is to give.
  struct Gradient {
    const float* rows = nullptr;  // of the embedding, like Output::rows
    const float* bent = nullptr;  // of what the GELUs are given, from second_gradient(); or null
  };
  struct Wanted {
    Sums* sums = nullptr;   // added to; null: not wanted, and so the others
    float* rows = nullptr;  // gradient of the windows, like Input::rows; they must not share rows
    float* kept = nullptr;  // for second_gradient(): Plan::kept_size
  };
  void backward(const Input& input, const Share& share, const Output& output,
                const Gradient& gradient, const Wanted& wanted) const;

  // The gradient of Wanted::rows . cotangent, of a stack that does not normalise: its direct part,
  // added to `sums`, and what a further backward() makes the rest of.
  struct Second {
    const float* cotangent = nullptr;  // like Input::rows
    const float* kept = nullptr;
    float* of_gradient = nullptr;  // with respect to Gradient::rows
    float* bent = nullptr;         // Plan::kept_size
  };
  void second_gradient(const Input& input, const Share& share, const Output& output,
                       const Second& second, Sums& sums) const;
  Sums zero_gradients() const;
  const std::vector<PackedLayer>& layers() const { return layers_; }

 private:
  class Pass;
  std::size_t rows_of_layer(std::size_t layer) const;
  template <class Work>
  void for_blocks(const Input& input, const Share& share, const Output& output, Work&& work) const;

  std::vector<PackedLayer> layers_;
  std::size_t reach_ = 0;
  bool normalized_;
  const kernels::RowKernels& kernels_;
};

}  // namespace grevy::models

#endif

// A stack of convolutions over windows whose rows (one time, all channels) lie one after the other:
// Conv + GELU, residual blocks x[1..-1] + GELU(Conv(x)), a last Conv, rows scaled to length 1
// perhaps. Forward and backward with respect to the weights; nothing is copied or rearranged.
// float32, CPU.
#ifndef GREVY_PLUGINS_MODELS_CONV_STACK_HPP
#define GREVY_PLUGINS_MODELS_CONV_STACK_HPP

#include "kernels/row_kernels.hpp"

#include <cstddef>
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
  std::vector<float> weights;     // (kernel * in_width, width)
  std::vector<float> transposed;  // (kernel, width, in_width)
  std::vector<float> bias;        // (width)
  std::size_t depth() const { return layer.kernel * in_width; }
  std::size_t gradient_size() const { return (depth() + 1) * width; }  // weights, then bias
};

// Scales a row to length 1 and returns its length before. A zero row becomes NaN.
float normalize(float* row, std::size_t width);

class ConvStack {
 public:
  // Pointers: one per layer. normalized: every output row is scaled to Euclidean length 1.
  ConvStack(const std::vector<ConvLayer>& layers, const std::vector<const float*>& weights,
            const std::vector<const float*>& biases, bool normalized);
  bool is_normalized() const { return normalized_; }

  // Windows of `length` rows each, one after the other; every one gives length - reach() rows.
  struct Input {
    const float* rows = nullptr;
    std::size_t count = 0, length = 0;
  };
  std::size_t reach() const { return reach_; }

  // What backward() needs: the outputs of all layers but the last and the slopes of their GELUs.
  std::size_t saved_size(const Input& input) const;

  // A share of the work: pieces [begin, end) of num_pieces(input), which may run at the same time.
  std::size_t num_pieces(const Input& input) const;
  // What forward() gives, and backward() needs again.
  struct Output {
    float* rows = nullptr;     // (count, length - reach, num_output)
    float* lengths = nullptr;  // of each row before it was scaled; not needed where nothing is
    float* saved = nullptr;    // saved_size(input); null: no backward()
  };
  void forward(const Input& input, std::size_t begin, std::size_t end, const Output& output) const;
  // gradient: like Output::rows. Adds to `gradients`, one per layer, packed, gradient_size() floats
  // each.
  void backward(const Input& input, std::size_t begin, std::size_t end, const Output& output,
                const float* gradient, std::vector<std::vector<float>>& gradients) const;
  std::vector<std::vector<float>> zero_gradients() const;
  const std::vector<PackedLayer>& layers() const { return layers_; }

 private:
  // Consecutive output rows of a window.
  struct Piece {
    const float* in;
    std::size_t rows;       // of output
    std::size_t first_row;  // of all output rows
    std::size_t saved;      // where its part of `saved` begins
  };
  std::size_t pieces_per_window(const Input& input) const;
  Piece piece(const Input& input, std::size_t number) const;
  std::size_t rows_of_layer(std::size_t layer, std::size_t out_rows) const;
  std::size_t saved_size(std::size_t out_rows) const;
  std::size_t group_size(std::size_t out_rows) const;
  class Group;
  template <class Work>
  void for_groups(const Input& input, std::size_t begin, std::size_t end, Work&& work) const;

  std::vector<PackedLayer> layers_;
  std::size_t reach_ = 0;
  bool normalized_;
  const kernels::RowKernels& kernels_;
};

}  // namespace grevy::models

#endif

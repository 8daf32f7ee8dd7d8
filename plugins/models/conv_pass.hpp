// The arithmetic of a ConvStack: one block of windows after the other, layer by layer.
//
// a is a layer's output, u what its kernel gives, s and k are first and second derivative of the
// GELU at u: a = gelu(u), plus the middle of its input where it is residual. "Gradient of x": of
// the scalar that is differentiated, with respect to x.
#ifndef GREVY_PLUGINS_MODELS_CONV_PASS_HPP
#define GREVY_PLUGINS_MODELS_CONV_PASS_HPP

#include "conv_stack.hpp"

namespace grevy::models {

class ConvStack::Pass {
 public:
  Pass(const ConvStack& stack, const Input& input, const Plan& plan, const Output& output);

  // next: the block after it, or null.
  void forward(const Block& block, const Block* next);
  void backward(const Block& block, const Gradient& gradient, const Wanted& wanted);
  void second_gradient(const Block& block, const Second& second, Sums& sums);

 private:
  struct Layer {
    // For each row of output the first row of its input: among those of the layer before, for the
    // first layer in memory.
    std::vector<std::int64_t> inputs;
    float* values = nullptr;      // a
    float* slopes = nullptr;      // s; null: not wanted
    float* curvatures = nullptr;  // k; null: not wanted
    std::size_t kept = 0;         // where its part of what is kept begins
    std::vector<float> tangent;   // second_gradient(): of a
  };
  std::size_t last() const { return layers_.size() - 1; }
  std::size_t num_rows(std::size_t l) const { return layers_[l].inputs.size(); }
  std::size_t size(std::size_t l) const { return num_rows(l) * stack_.layers_[l].width; }

  // Windows lie anywhere in memory, where no processor expects them: their rows are asked for
  // ahead, a little at a time between other work.
  void fetch(const Block& block);
  void fetch_some();

  void start(const Block& block);
  void collect_rows(const Block& block);
  void place(const Block& block);

  void point_to_inputs(std::size_t l, const float* rows, std::size_t width);
  void point_to_inputs(std::size_t l);
  template <class Pointers, class Float>
  void point_to_rows(Pointers& pointers, std::size_t l, Float* rows) const;
  void multiply(const float* weights, std::size_t depth, std::size_t width, const float* bias);
  template <class Visit>
  void for_stretches(std::size_t l, Visit&& visit) const;
  void add_middle(std::size_t l, const float* input, float* rows) const;

  void apply(std::size_t l, const float* bias, float* rows);
  void activate(std::size_t l);
  void write(const Block& block);
  void read(const Block& block, const float* gradient);
  void add_gradients(std::size_t l, Sums& sums);
  std::size_t num_input_rows(std::size_t l) const;
  void pull_back(std::size_t l);
  void write_input(float* rows) const;
  void push_tangent(std::size_t l, const Block& block, const Second& second, Sums& sums);

  const ConvStack& stack_;
  const kernels::RowKernels& kernels_;
  const Input& input_;
  const Plan& plan_;
  const Output& output_;
  std::vector<Layer> layers_;
  std::int64_t first_row_ = 0, end_row_ = 0;  // of the block, in memory
  std::size_t fetched_window_ = 0, last_fetched_ = 0;
  std::int64_t fetched_row_ = 0;
  std::vector<std::int64_t> rows_, before_rows_;
  std::vector<const float*> in_;
  std::vector<float*> out_;
  std::vector<float> scratch_, embedding_, spare_, zeros_;
  std::vector<float> raw_, after_, before_;  // gradients of u, of a, of the layer's input
};

}  // namespace grevy::models

#endif

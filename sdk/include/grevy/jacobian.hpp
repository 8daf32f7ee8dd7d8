// grevy/jacobian.hpp: the Jacobian regulariser (Hoffman, Roberts & Yaida 2019, arXiv:1908.02729;
// Schneider et al. 2025, arXiv:2502.12977): half the mean squared Frobenius norm of
// d embedding / d input.
//
// The functions keep no state: call them from any thread, with gradients switched on. Beside those
// below there is backward_for(tensors, loss): gradients for these tensors alone, not for the
// windows that a penalty was differentiated with respect to, whose own gradient nobody wants. For
// Solver::backward().
#ifndef GREVY_JACOBIAN_HPP
#define GREVY_JACOBIAN_HPP

#include <grevy/detail/derivative.hpp>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace grevy {

namespace detail {

// Its gradient is one pass where square() takes three.
class SumOfSquares : public torch::autograd::Function<SumOfSquares> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    const at::Tensor flat = flattened(x);
    return at::matmul(flat, flat);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {context->get_saved_variables()[0] * (2 * gradients[0])};
  }
};

// Sum of squares of d (embedding . direction) / d input, with its graph.
inline at::Tensor squared_derivative(const at::Tensor& input, const at::Tensor& embedding,
                                     const at::Tensor& direction) {
  const auto gradients =
      torch::autograd::grad({embedding}, {input}, {direction}, /*retain_graph=*/true,
                            /*create_graph=*/true);
  return SumOfSquares::apply(gradients[0]);
}

}  // namespace detail

// input: what the embedding was computed from, requiring gradients, (B, ...). embedding: (B, D).
// Returns a scalar with its graph: 1 / (2 B) * sum over samples, outputs and inputs of the squared
// derivatives. D backward passes. Samples must not influence one another's embeddings.
inline at::Tensor exact_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding) {
  const std::int64_t batch = embedding.size(0), width = embedding.size(1);
  at::Tensor sum = at::zeros({}, embedding.options());
  for (std::int64_t d = 0; d < width; ++d) {
    at::Tensor direction = at::zeros_like(embedding);
    direction.select(1, d).fill_(1);
    sum = sum + detail::squared_derivative(input, embedding, direction);
  }
  return sum / static_cast<double>(2 * batch);
}

// An unbiased estimate of the same from directions (K, B, D) whose rows have length 1: K backward
// passes.
inline at::Tensor projected_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding,
                                             const at::Tensor& directions) {
  const std::int64_t count = directions.size(0), batch = embedding.size(0),
                     width = embedding.size(1);
  at::Tensor sum = at::zeros({}, embedding.options());
  for (std::int64_t k = 0; k < count; ++k)
    sum = sum + detail::squared_derivative(input, embedding, directions[k].to(embedding.options()));
  return sum * (static_cast<double>(width) / static_cast<double>(2 * count * batch));
}

// Independent Gaussian directions of length 1, float32 (K, B, D), drawn on the CPU from a generator
// of the CPU; count = K, embedding_shape = (B, D). D = 1: ones, which is exact.
inline at::Tensor random_directions(std::int64_t count, at::IntArrayRef embedding_shape,
                                    at::Generator generator) {
  const at::Tensor directions =
      at::empty({count, embedding_shape[0], embedding_shape[1]}, at::kFloat)
          .normal_(0, 1, std::move(generator));
  if (embedding_shape[1] == 1) return at::ones_like(directions);
  return directions / directions.norm(2, 2, true);
}

}  // namespace grevy

#endif

// Jacobian regulariser (Hoffman, Roberts & Yaida 2019, arXiv:1908.02729; Schneider et al. 2025,
// arXiv:2502.12977): half the mean squared Frobenius norm of d embedding / d input.
#ifndef GREVY_PLUGINS_SOLVERS_JACOBIAN_HPP
#define GREVY_PLUGINS_SOLVERS_JACOBIAN_HPP

#include <torch/types.h>

#include <vector>

namespace grevy::solvers {

// input: what the embedding was computed from, requiring gradients, (B, ...). embedding: (B, D).
// Returns a scalar with its graph: 1 / (2 B) * sum over samples, outputs and inputs of the squared
// derivatives. D backward passes.
at::Tensor exact_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding);

// An unbiased estimate of the same from directions (K, B, D) whose rows have length 1: K backward
// passes.
at::Tensor projected_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding,
                                      const at::Tensor& directions);

// Independent Gaussian directions of length 1, float32 (K, B, D), drawn on the CPU. D = 1: ones.
at::Tensor random_directions(std::int64_t count, at::IntArrayRef embedding_shape,
                             at::Generator generator);

}  // namespace grevy::solvers

#endif

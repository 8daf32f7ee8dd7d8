#include "jacobian.hpp"

#include <torch/csrc/autograd/autograd.h>

namespace grevy::solvers {
namespace {

// Sum of squares of d (embedding . direction) / d input, with its graph.
at::Tensor squared_norm(const at::Tensor& input, const at::Tensor& embedding,
                        const at::Tensor& direction) {
  const auto gradients =
      torch::autograd::grad({embedding}, {input}, {direction}, /*retain_graph=*/true,
                            /*create_graph=*/true);
  return gradients[0].square().sum();
}

}  // namespace

at::Tensor exact_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding) {
  const std::int64_t batch = embedding.size(0), width = embedding.size(1);
  at::Tensor sum = at::zeros({}, embedding.options());
  for (std::int64_t d = 0; d < width; ++d) {
    at::Tensor direction = at::zeros_like(embedding);
    direction.select(1, d).fill_(1);
    sum = sum + squared_norm(input, embedding, direction);
  }
  return sum / static_cast<double>(2 * batch);
}

at::Tensor projected_jacobian_penalty(const at::Tensor& input, const at::Tensor& embedding,
                                      const at::Tensor& directions) {
  const std::int64_t count = directions.size(0), batch = embedding.size(0),
                     width = embedding.size(1);
  at::Tensor sum = at::zeros({}, embedding.options());
  for (std::int64_t k = 0; k < count; ++k)
    sum = sum + squared_norm(input, embedding, directions[k].to(embedding.options()));
  return sum * (static_cast<double>(width) / static_cast<double>(2 * count * batch));
}

at::Tensor random_directions(std::int64_t count, at::IntArrayRef embedding_shape,
                             at::Generator generator) {
  const at::Tensor directions =
      at::empty({count, embedding_shape[0], embedding_shape[1]}, at::kFloat)
          .normal_(0, 1, std::move(generator));
  if (embedding_shape[1] == 1) return at::ones_like(directions);
  return directions / directions.norm(2, 2, true);
}

}  // namespace grevy::solvers

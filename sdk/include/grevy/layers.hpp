// grevy/layers.hpp: weights as LibTorch's own layers start them, from an explicit generator.
#ifndef GREVY_LAYERS_HPP
#define GREVY_LAYERS_HPP

#include <torch/types.h>

#include <cmath>

namespace grevy {

// A weight of the given shape and its bias of shape[0] values, both uniform on
// [-1/sqrt(fan_in), 1/sqrt(fan_in)], fan_in = product of shape[1..]: the default of torch.nn.Linear
// and torch.nn.Conv1d (Kaiming-uniform with a = sqrt 5; He et al. 2015). float32, on the CPU.
// Weight before bias; layers in order of construction.
struct Affine {
  at::Tensor weight, bias;  // of the shape asked for, and (shape[0])

  // shape: (outputs, inputs) of a linear map, (outputs, inputs, taps) of a convolution. The
  // generator is one of the CPU; move the tensors to Context::device.
  static Affine initial(at::IntArrayRef shape, const at::Generator& generator) {
    double fan_in = 1;
    for (const std::int64_t size : shape.slice(1)) fan_in *= static_cast<double>(size);
    const double bound = 1 / std::sqrt(fan_in);
    const auto draw = [&](at::IntArrayRef sizes) {
      return at::empty(sizes, at::kFloat).uniform_(-bound, bound, generator);
    };
    at::Tensor weight = draw(shape);
    return {weight, draw(shape.slice(0, 1))};
  }
};

}  // namespace grevy

#endif

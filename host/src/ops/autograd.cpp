// Recording, gradients, and functions of plugins that bring their own.
#include "ops/boundary.hpp"
#include "ops/functions.hpp"
#include "ops/node.hpp"

#include <torch/csrc/autograd/autograd.h>

#include <sstream>

namespace grevy::host {
namespace {

using Tensors = std::vector<at::Tensor>;

std::uint32_t set_recording(std::uint32_t recording) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(recording != 0);
  return before;
}

std::int32_t require_gradient(grevy_tensor* handle, std::uint32_t required,
                              const grevy_error_sink* errors) {
  return answer("require_gradient", errors, [&] {
    const at::Tensor tensor = needed(handle, "the tensor");
    if (required != 0 && !tensor.is_floating_point())
      throw Error(ErrorCode::invalid_type, "only floating-point tensors have gradients");
    if (!tensor.is_leaf())
      throw Error(ErrorCode::invalid_value,
                  "the tensor has a history and requires gradients by it");
    tensor.requires_grad_(required != 0);
  });
}

std::int32_t gradient(grevy_tensor* handle, grevy_tensor** out, const grevy_error_sink* errors) {
  return answer("gradient", errors, [&] {
    const at::Tensor tensor = needed(handle, "the tensor");
    if (!tensor.is_leaf())
      throw Error(ErrorCode::invalid_value, "the tensor has a history; gradients add up at leaves");
    needed_room(out, "the gradient");
    *out = give(tensor.grad());
  });
}

// LibTorch would add up a gradient that is larger.
void check_gradient(const at::Tensor& gradient, const at::Tensor& of) {
  if (gradient.sizes() == of.sizes()) return;
  std::ostringstream text;
  text << "found a gradient of the shape " << gradient.sizes() << "; must be " << of.sizes();
  throw Error(ErrorCode::invalid_value, text.str());
}

std::int32_t backward(grevy_tensor* handle, grevy_tensor* gradient,
                      const grevy_error_sink* errors) {
  return answer("backward", errors, [&] {
    const at::Tensor tensor = needed(handle, "the tensor"), from = borrow(gradient);
    if (from.defined()) check_gradient(from, tensor);
    tensor.backward(from);
  });
}

std::int32_t differentiate(grevy_tensor* const* outputs, grevy_tensor* const* gradients,
                           std::uint64_t output_count, grevy_tensor* const* inputs,
                           std::uint64_t input_count, std::uint32_t create_graph,
                           grevy_tensor** results, const grevy_error_sink* errors) {
  return answer("differentiate", errors, [&] {
    needed_room(results, "the results");
    const Tensors of = needed(outputs, output_count, "the outputs");
    const Tensors by = needed(inputs, input_count, "the inputs");
    Tensors from;
    if (gradients != nullptr) from = needed(gradients, output_count, "the gradients");
    for (std::size_t i = 0; i < from.size(); ++i) check_gradient(from[i], of[i]);
    give_all(torch::autograd::grad(of, by, from, /*retain_graph=*/true, create_graph != 0,
                                   /*allow_unused=*/true),
             results);
  });
}

// A grevy_function; the context ends with it.
class PluginFunction : public Backward {
 public:
  PluginFunction(Adopted<grevy_function> function)
      : Backward(Origin::of(*function)), function_(std::move(function)) {
    if (function_->backward == nullptr)
      throw Error(ErrorCode::invalid_value, "a function needs a backward");
  }

  bool is_recorded() const override { return (function_->flags & GREVY_FUNCTION_TWICE) != 0; }

  Tensors run(const Tensors& saved, const Tensors& gradients,
              const std::vector<bool>& wanted) override {
    const std::vector<grevy_tensor*> kept = lent(saved), given = lent(gradients);
    const std::vector<std::uint32_t> flags(wanted.begin(), wanted.end());
    std::vector<grevy_tensor*> results(wanted.size(), nullptr);
    const auto call = [&](auto* errors) {
      return function_->backward(function_->context, kept.data(), kept.size(), given.data(),
                                 given.size(), flags.data(), results.data(), results.size(),
                                 errors);
    };
    Tensors taken;
    const auto take_all = [&] {
      for (grevy_tensor* result : results) taken.push_back(take(result));
    };
    try {
      origin().call("backward", call);
    } catch (...) {
      take_all();
      throw;
    }
    take_all();
    return taken;
  }

 private:
  static std::vector<grevy_tensor*> lent(const Tensors& tensors) {
    std::vector<grevy_tensor*> handles;
    for (const at::Tensor& tensor : tensors) handles.push_back(lend(tensor));
    return handles;
  }
  Adopted<grevy_function> function_;
};

std::int32_t attach_function(const grevy_function* function, grevy_tensor* const* inputs,
                             std::uint64_t input_count, grevy_tensor* const* saved,
                             std::uint64_t saved_count, grevy_tensor* const* values,
                             grevy_tensor** outputs, std::uint64_t output_count,
                             const grevy_error_sink* errors) {
  return answer("attach_function", errors, [&] {
    GREVY_NEEDS(grevy_function, function, destroy);
    auto plugin = std::make_unique<PluginFunction>(Adopted<grevy_function>(*function));
    needed_room(outputs, "the outputs", output_count);
    const Tensors kept = needed(saved, saved_count, "the saved tensors");
    give_all(attach(std::move(plugin), needed(inputs, input_count, "the inputs"), kept,
                    needed(values, output_count, "the values")),
             outputs);
  });
}

}  // namespace

void ops::fill_autograd(grevy_ops& table) {
  table.set_recording = set_recording;
  table.require_gradient = require_gradient;
  table.gradient = gradient;
  table.backward = backward;
  table.differentiate = differentiate;
  table.attach_function = attach_function;
}

}  // namespace grevy::host

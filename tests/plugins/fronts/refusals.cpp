// Functions and kernels that are used wrongly.
#include <grevy/jacobian.hpp>
#include <grevy/kernel.hpp>
#include <grevy/plugin.hpp>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>
#include <stdexcept>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Squares x; its gradient is wrong in the way that `how` says.
class Wrong : public torch::autograd::Function<Wrong> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, std::int64_t how) {
    context->save_for_backward({x});
    context->saved_data["how"] = how;
    return x.square();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor along = 2 * context->get_saved_variables()[0] * gradients[0];
    const std::int64_t how = context->saved_data["how"].toInt();
    if (how == 0) return {along};
    if (how == 1) return {along, along};
    if (how == 16) return {along, at::Tensor(), along};
    if (how == 2) throw std::runtime_error("the function's own words");
    if (how == 3) return {along.sum(), at::Tensor()};
    return {along * context->saved_data["how"].toDouble(), at::Tensor()};
  }
};

// Squares x by plain numbers.
class Plain : public torch::autograd::Function<Plain> {
 public:
  static constexpr bool once_differentiable = true;
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return x.square();
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {2 * context->get_saved_variables()[0].detach() * gradients[0].detach()};
  }
};

// Copies x, or takes it for whole numbers.
class Copy : public grevy::Kernel {
 public:
  explicit Copy(bool fails) : fails_(fails) {}
  void forward(const grevy::KernelViews& views) const override {
    if (fails_) views.input(0).read<std::int64_t>();
    const auto x = views.input(0);
    for (std::int64_t i = 0; i < x.count(); ++i)
      views.output(0).fill<float>()[i] = x.read<float>()[i];
  }

 private:
  bool fails_;
};
class Gradual : public Copy {
 public:
  Gradual() : Copy(false) {}
  void backward(const grevy::KernelViews& views) const override {
    const auto to = views.input_gradient(0);
    for (std::int64_t i = 0; i < to.count(); ++i)
      to.fill<float>()[i] = views.output_gradient(0).read<float>()[i];
    if (views.input_count() == 1) views.output_gradient(0).size(2);
  }
};

class Refusals : public grevy::ContrastiveCriterion {
 public:
  struct Options {
    std::int64_t how = 0;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("how", &Options::how, "Which mistake is made.").at_least(0));
    }
  };
  Refusals(const Options& options, const grevy::Context& context)
      : how_(options.how), kernels_(context) {}

  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor loss = mistake(p.reference, p.positive).sum();
    return {loss, loss, loss};
  }

 private:
  at::Tensor mistake(const at::Tensor& x, const at::Tensor& other) const {
    if (how_ < 5 || how_ == 16) return Wrong::apply(x, how_);
    if (how_ == 5) return slope(Plain::apply(x).sum(), x);
    if (how_ == 6) return slope(x.sum(), other);
    if (how_ == 7) return kernel(std::make_unique<Copy>(false), {x});
    if (how_ == 8) return kernel(std::make_unique<Copy>(true), {x});
    if (how_ == 9) return kernel(std::make_unique<Gradual>(), {x});
    if (how_ == 10) return slope((x * kernel(std::make_unique<Gradual>(), {x, other})).sum(), x);
    if (how_ == 11) return torch::autograd::grad({x.sum()}, {x}, {x.sum(), x.sum()})[0];
    if (how_ == 12) return differentiated({}, x.detach());
    if (how_ == 15) return kernel(nullptr, {x});
    return differentiated({x}, how_ == 13 ? other : x);
  }
  // The loss of tensors that backward_for() was called for.
  static at::Tensor differentiated(const std::vector<at::Tensor>& tensors, const at::Tensor& loss) {
    grevy::backward_for(tensors, loss.sum());
    return loss;
  }
  static at::Tensor slope(const at::Tensor& y, const at::Tensor& x) {
    return torch::autograd::grad({y}, {x}, {}, true, true)[0];
  }
  at::Tensor kernel(std::unique_ptr<grevy::Kernel> kernel,
                    const std::vector<at::Tensor>& inputs) const {
    return kernels_.run("copy", std::move(kernel), inputs,
                        {{at::kFloat, inputs[0].sizes().vec()}})[0];
  }

  std::int64_t how_;
  grevy::Kernels kernels_;
};

}  // namespace

GREVY_REGISTER(Refusals, FRONT "-refusals", "Functions and kernels that are used wrongly.")
GREVY_PLUGIN("refusals." FRONT, "1.0.0")

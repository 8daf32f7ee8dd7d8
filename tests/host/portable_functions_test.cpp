// The functions of the portable front: those of LibTorch by the same names.
#include "host/both_fronts.hpp"

#include <grevy/portable/autograd.hpp>

#include <ATen/CPUGeneratorImpl.h>

#include <optional>
#include <vector>

using namespace grevy;
using namespace grevy::tests;

namespace {

// The same of x and y, float64 (2, 3): x is 0.25 to 1.5, y is 0.75.
#define SAME_OF(...)                                                                            \
  check_same(#__VA_ARGS__, as_libtorch([] {                                                     \
               namespace front = ::grevy::portable;                                             \
               const front::Tensor x = front::arange(1, 7, front::kDouble).reshape({2, 3}) / 4; \
               [[maybe_unused]] const front::Tensor y = front::full_like(x, 0.75);              \
               return __VA_ARGS__;                                                              \
             }()),                                                                              \
             as_libtorch([] {                                                                   \
               namespace front = ::at;                                                          \
               const front::Tensor x = front::arange(1, 7, front::kDouble).reshape({2, 3}) / 4; \
               [[maybe_unused]] const front::Tensor y = front::full_like(x, 0.75);              \
               return __VA_ARGS__;                                                              \
             }()))

}  // namespace

// In no namespace, as its name in errors is that of a class. x / 2 * factor + shift.
struct Halves : portable::autograd::Function<Halves> {
  static constexpr bool once_differentiable = true;
  static portable::Tensor forward(portable::autograd::AutogradContext* context,
                                  const portable::Tensor& x,
                                  const std::optional<portable::Tensor>& factor,
                                  const portable::Tensor& shift) {
    context->saved_data["has_factor"] = factor && factor->defined();
    context->save_for_backward({factor.value_or(portable::Tensor())});
    const portable::Tensor half = x / 2;
    const portable::Tensor product = factor && factor->defined() ? half * *factor : half;
    return shift.defined() ? product + shift : product;
  }
  // More than there are arguments, as LibTorch lets it be.
  static portable::autograd::variable_list backward(
      portable::autograd::AutogradContext* context,
      const portable::autograd::variable_list& gradients) {
    const portable::Tensor half = gradients[0] / 2;
    const bool has_factor = context->saved_data["has_factor"].toBool();
    const bool has_shift = context->needs_input_grad(has_factor ? 2 : 1);
    return {has_factor ? half * context->get_saved_variables()[0] : half, portable::Tensor(),
            has_shift ? gradients[0] : portable::Tensor(), portable::Tensor()};
  }
};

TEST_CASE("operators and functions of two tensors are LibTorch's") {
  enter();
  SAME_OF(x != y);
  SAME_OF(x < y);
  SAME_OF(x <= y);
  SAME_OF(x <= 0.75);
  SAME_OF(x > y);
  SAME_OF(x >= y);
  SAME_OF(front::pow(x, y));
  SAME_OF(front::pow(x, 3));
  SAME_OF(front::pow(2, x));
  SAME_OF(front::minimum(x, y));
  SAME_OF(front::maximum(x, y));
  SAME_OF(front::logical_and(x > 0.5, x < y));
  SAME_OF(front::logical_or(x > y, x < 0.5));
  SAME_OF(front::where(x > y, x, y));
  SAME_OF(front::where(x > y, x, 7.0));
  SAME_OF(front::mm(x, y.t()));
  SAME_OF(front::einsum("ij,kj->ik", {x, y}));
  SAME_OF(front::linear(x, y));
  SAME_OF(front::linear(x, y, front::ones({2}, front::kDouble)));
  SAME_OF(front::cat({x, y}));
  SAME_OF(front::cat({x, y}, 1));
  SAME_OF(front::stack({x, y}, 1));
}

TEST_CASE("functions of one tensor are LibTorch's") {
  enter();
  SAME_OF(front::abs(-x));
  SAME_OF(front::sign(x - y));
  SAME_OF(front::log(x));
  SAME_OF(front::log1p(x));
  SAME_OF(front::sqrt(x));
  SAME_OF(front::rsqrt(x));
  SAME_OF(front::square(x));
  SAME_OF(front::sin(x));
  SAME_OF(front::cos(x));
  SAME_OF(front::floor(x));
  SAME_OF(front::relu(x - y));
  SAME_OF(front::tanh(x));
  SAME_OF(front::sigmoid(x));
  SAME_OF(front::softplus(x));
  SAME_OF(front::softmax(x, 1));
  SAME_OF(front::log_softmax(x, 0));
  SAME_OF(front::norm(x, 3, {1}, true));
  SAME_OF(front::empty_like(x).fill_(2));
}

TEST_CASE("methods of elements and sums are LibTorch's") {
  enter();
  SAME_OF((-x).abs());
  SAME_OF(x.exp());
  SAME_OF(x.log());
  SAME_OF(x.log1p());
  SAME_OF(x.sqrt());
  SAME_OF(x.rsqrt());
  SAME_OF(x.reciprocal());
  SAME_OF(x.floor());
  SAME_OF((x - y).relu());
  SAME_OF(x.tanh());
  SAME_OF(x.sigmoid());
  SAME_OF((y / (x - y)).isfinite());
  SAME_OF((x > y).logical_not());
  SAME_OF(x.pow(2));
  SAME_OF(x.clamp(0.5, 1));
  SAME_OF(x.clamp_min(0.5));
  SAME_OF(x.clamp_max(0.5));
  SAME_OF((x - y).floor_divide(0.5));
  SAME_OF(front::arange(-3, 7).floor_divide(2));
  SAME_OF(x.amax());
  SAME_OF(x.amax({1}));
  SAME_OF(x.amin({0}, true));
  SAME_OF(x.argmax(1));
  SAME_OF(x.argmax(0, true));
  SAME_OF(x.softmax(0));
  SAME_OF(x.log_softmax(1));
  SAME_OF(x.cumsum(1));
  SAME_OF(x.to(front::kFloat));
  SAME_OF(x.clone().zero_());
  SAME_OF(x.clone().bernoulli_(1, front::make_generator<front::CPUGeneratorImpl>(7)));
}

TEST_CASE("methods of shape are LibTorch's") {
  enter();
  SAME_OF(x.view({3, 2}));
  SAME_OF(x.flatten());
  SAME_OF(x.t().contiguous());
  SAME_OF(x.narrow(1, 1, 2));
  SAME_OF(x.narrow(1, -2, 1));
  SAME_OF(x.slice(1, 1));
  SAME_OF(x.permute({1, 0}));
  SAME_OF(x.flip({0}));
  SAME_OF(x.unfold(1, 2, 1));
  SAME_OF(x.index_select(1, front::tensor(std::vector<std::int64_t>{2, 0})));
  SAME_OF(x.gather(1, front::tensor(std::vector<std::int64_t>{2, 0}).unsqueeze(1)));
  const portable::Tensor x = portable::ones({2, 3}), turned = x.t();
  CHECK((turned.strides() == std::vector<std::int64_t>{1, 3}));
  CHECK((turned.sizes() != x.sizes()));
  CHECK(x.is_contiguous());
  CHECK_FALSE(turned.is_contiguous());
  CHECK(x.size(-1) == 3);
  CHECK_FALSE(x.to(portable::kLong).is_floating_point());
  CHECK(catch_error([&] { x.size(2); }).code == ErrorCode::out_of_range);
  CHECK(catch_error([&] { x.size(-3); }).code == ErrorCode::out_of_range);
  CHECK(catch_error([&] {
          x.narrow(1, 2, 2);
        }).says("narrow: found start 2 and length 2; the axis has 3"));
  CHECK(catch_error([&] { x.narrow(1, 0, -1); }).code == ErrorCode::out_of_range);
  CHECK(catch_error([&] { x.narrow(1, -4, 1); }).code == ErrorCode::out_of_range);
}

TEST_CASE("dropout of the portable front keeps the mean") {
  enter();
  const auto generator = portable::make_generator<portable::CPUGeneratorImpl>(3);
  CHECK(generator.defined());
  CHECK_FALSE(portable::Generator().defined());
  const at::Tensor dropped =
      as_libtorch(portable::dropout(portable::ones({40, 50}), 0.75, generator));
  CHECK(dropped.eq(0).logical_or(dropped.eq(4)).all().item<bool>());
  CHECK(std::abs(dropped.mean().item<double>() - 1) < 0.2);
}

TEST_CASE("gradients are recorded where the thread says so") {
  enter();
  const portable::Tensor x = portable::ones({2}).requires_grad_();
  portable::GradMode::set_enabled(false);
  CHECK_FALSE((x * 2).requires_grad());
  portable::GradMode::set_enabled(true);
  (x * 2).sum().backward();
  CHECK(at::equal(as_libtorch(x.grad()), at::full({2}, 2.f)));
}

TEST_CASE("a function of the portable front takes tensors that may be missing") {
  enter();
  using portable::Tensor;
  const auto gradient = [](const std::optional<Tensor>& factor, const Tensor& shift) {
    const Tensor x = portable::ones({2}).requires_grad_();
    Halves::apply(x, factor, shift).sum().backward();
    return as_libtorch(x.grad());
  };
  const Tensor three = portable::full({2}, 3.0), shift = portable::ones({2}).requires_grad_();
  CHECK(at::equal(gradient(std::nullopt, {}), at::full({2}, 0.5f)));
  CHECK(at::equal(gradient(Tensor(), {}), at::full({2}, 0.5f)));
  CHECK(at::equal(gradient(three, {}), at::full({2}, 1.5f)));
  CHECK(at::equal(gradient(three, shift), at::full({2}, 1.5f)));
  CHECK(at::equal(as_libtorch(shift.grad()), at::ones({2})));
  const Tensor x = portable::ones({2}).requires_grad_();
  const Tensor half = Halves::apply(x, std::optional<Tensor>(), Tensor());
  const Tensor y = (half * half).sum();
  CHECK(catch_error([&] {
          const auto first = portable::autograd::grad({y}, {x}, {}, true, true);
          portable::autograd::grad({first[0].sum()}, {x});
        }).says("Halves (unknown plugin) backward: has no second derivative"));
}

TEST_CASE("a saved value is of the kind that it was") {
  enter();
  using portable::autograd::AutogradContext;
  AutogradContext context;
  CHECK(context.saved_data["nothing"].isNone());
  context.saved_data["text"] = std::string("a");
  context.saved_data["numbers"] = std::vector<double>{0.5, 2};
  context.saved_data["tensor"] = portable::full({1}, 3.0);
  CHECK(context.saved_data["text"].toStringRef() == "a");
  CHECK(context.saved_data["numbers"].toDoubleVector() == std::vector<double>{0.5, 2});
  CHECK(context.saved_data["tensor"].toTensor().item<double>() == 3);
  CHECK_FALSE(context.saved_data["tensor"].isNone());
  const Caught caught = catch_error([&] { context.saved_data["text"].toTensor(); });
  CHECK(caught.code == ErrorCode::invalid_type);
  CHECK(caught.says("the saved value is no tensor"));
}

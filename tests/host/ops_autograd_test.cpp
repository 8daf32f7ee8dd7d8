// Gradients, functions and kernels of plugins through the extensions of the host.
#include "host/ops_support.hpp"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

using namespace grevy;
using namespace grevy::tests;

namespace {

at::Tensor variable(at::IntArrayRef sizes) {
  return at::arange(1, 1 + c10::multiply_integers(sizes), at::kDouble)
      .view(sizes)
      .div(10)
      .requires_grad_(true);
}

int destroyed = 0;
void count_end(void*) { ++destroyed; }

std::int32_t report(const grevy_error_sink* errors, const char* message) {
  return grevy::detail::report(errors, ErrorCode::invalid_state, message, {});
}

// y = x^2 by the plugin; saved: x. The gradient is computed with operations of the table.
std::int32_t square_backward(void* context, grevy_tensor* const* saved, std::uint64_t saved_count,
                             grevy_tensor* const* gradients, std::uint64_t gradient_count,
                             const std::uint32_t* wanted, grevy_tensor** results,
                             std::uint64_t count, const grevy_error_sink* errors) {
  if (context != nullptr) return report(errors, "the plugin's own words");
  if (saved_count != 1 || gradient_count != 1 || count != 1 || wanted[0] != 1)
    return report(errors, "wrong counts");
  const at::Tensor x = borrow(saved[0]), g = borrow(gradients[0]);
  results[0] = give(run(GREVY_OP_MULTIPLY, {run(GREVY_OP_MULTIPLY, {x, g})}, {number(2)}));
  return GREVY_OK;
}

grevy_function square_function(std::uint32_t flags = 0) {
  return {sizeof(grevy_function),
          flags,
          grevy::detail::text_of("my-square"),
          nullptr,
          square_backward,
          count_end,
          {},
          {}};
}

at::Tensor attach(const grevy_function& function, const Tensors& inputs, const Tensors& saved,
                  const at::Tensor& value) {
  const auto in = lend_all(inputs), kept = lend_all(saved), values = lend_all({value});
  grevy_tensor* output = nullptr;
  checked([&](auto* errors) {
    return ops().attach_function(&function, in.data(), in.size(), kept.data(), kept.size(),
                                 values.data(), &output, 1, errors);
  });
  return take(output);
}

at::Tensor unrecorded_square(const at::Tensor& x) {
  const std::uint32_t before = ops().set_recording(0);
  const at::Tensor value = run(GREVY_OP_SQUARE, {x});
  ops().set_recording(before);
  CHECK(!value.requires_grad());
  return value;
}

at::Tensor my_square(const at::Tensor& x, std::uint32_t flags = 0) {
  return attach(square_function(flags), {x}, {x}, unrecorded_square(x));
}

// Gradients of whole numbers.
std::int32_t integer_backward(void*, grevy_tensor* const*, std::uint64_t, grevy_tensor* const*,
                              std::uint64_t, const std::uint32_t*, grevy_tensor** results,
                              std::uint64_t, const grevy_error_sink*) {
  results[0] = give(at::ones({2}, at::kLong));
  return GREVY_OK;
}

// Of three outputs the second one has a gradient; those of the others are zeros of their types.
std::int32_t second_of_three(void*, grevy_tensor* const* saved, std::uint64_t,
                             grevy_tensor* const* gradients, std::uint64_t count,
                             const std::uint32_t*, grevy_tensor** results, std::uint64_t,
                             const grevy_error_sink* errors) {
  if (count != 3 || borrow(gradients[0]).scalar_type() != at::kLong ||
      borrow(gradients[2]).scalar_type() != at::kBool)
    return report(errors, "other gradients than expected");
  results[0] = give(2 * borrow(saved[0]) * borrow(gradients[1]));
  return GREVY_OK;
}

std::int32_t note_wanted(void* context, grevy_tensor* const*, std::uint64_t,
                         grevy_tensor* const* gradients, std::uint64_t, const std::uint32_t* wanted,
                         grevy_tensor** results, std::uint64_t count, const grevy_error_sink*) {
  static_cast<std::vector<std::uint32_t>*>(context)->assign(wanted, wanted + count);
  for (std::uint64_t i = 0; i < count; ++i)
    if (wanted[i] != 0) results[i] = give(borrow(gradients[0]).clone());
  return GREVY_OK;
}

// Whether something ends: what hangs is left behind after a time that is ample.
template <class Body>
bool finishes(Body body) {
  auto done = std::make_shared<std::promise<void>>();
  std::thread([done, body] {
    body();
    done->set_value();
  }).detach();
  return done->get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready;
}

// ---- A kernel: exp, its output saved by the host; kept: the number of elements
// --------------------

std::int32_t exp_forward(void* context, const grevy_kernel_views* views,
                         const grevy_error_sink* errors) {
  if (context != nullptr) return report(errors, "will not");
  const grevy_view& x = views->inputs[0];
  const auto* from = static_cast<const double*>(x.data);
  auto* to = static_cast<double*>(views->outputs[0].data);
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < x.dims; ++i) count *= x.shape[i];
  for (std::int64_t i = 0; i < count; ++i) to[i] = std::exp(from[i]);
  static_cast<std::int64_t*>(views->kept[0].data)[0] = count;
  return GREVY_OK;
}

std::int32_t exp_backward(void*, const grevy_kernel_views* views, const grevy_error_sink*) {
  const std::int64_t count = static_cast<const std::int64_t*>(views->kept[0].data)[0];
  const auto* y = static_cast<const double*>(views->outputs[0].data);
  const auto* g = static_cast<const double*>(views->output_gradients[0].data);
  auto* to = static_cast<double*>(views->input_gradients[0].data);
  for (std::int64_t i = 0; i < count; ++i) to[i] = y[i] * g[i];
  return GREVY_OK;
}

grevy_kernel exp_kernel() {
  return {sizeof(grevy_kernel),
          0,
          grevy::detail::text_of("my-exp"),
          nullptr,
          exp_forward,
          exp_backward,
          count_end,
          {},
          {}};
}

at::Tensor run_kernel(const grevy_kernel& kernel, const Tensors& inputs, at::IntArrayRef sizes) {
  const grevy_buffer output = {GREVY_FLOAT64, 0, sizes.data(), sizes.size()};
  const grevy_buffer kept = {GREVY_INT64, 0, nullptr, 0};
  const auto in = lend_all(inputs);
  grevy_tensor* result = nullptr;
  checked([&](auto* errors) {
    return kernels().run(&kernel, in.data(), in.size(), &output, 1, &kept, 1, &result, errors);
  });
  return take(result);
}

}  // namespace

TEST_CASE("gradients are asked for, added up and read through the table") {
  const at::Tensor x = at::ones({2});
  checked([&](auto* e) { return ops().require_gradient(lend(x), 1, e); });
  CHECK(x.requires_grad());
  grevy_tensor* gradient = nullptr;
  checked([&](auto* e) { return ops().gradient(lend(x), &gradient, e); });
  CHECK(gradient == nullptr);
  const at::Tensor y = (x * x * x).sum();
  checked([&](auto* e) { return ops().backward(lend(y), nullptr, e); });
  checked([&](auto* e) { return ops().gradient(lend(x), &gradient, e); });
  CHECK(at::equal(take(gradient), at::full({2}, 3.0f)));

  const auto error = [](auto&& call) { return catch_error([&] { checked(call); }); };
  CHECK(error([&](auto* e) { return ops().backward(lend(y), nullptr, e); }).says("backward: "));
  CHECK(error([&](auto* e) { return ops().backward(nullptr, nullptr, e); }).says("found NULL"));
  CHECK(error([&](auto* e) { return ops().gradient(lend(y), &gradient, e); }).says("a history"));
  CHECK(error([&](auto* e) { return ops().require_gradient(lend(y), 0, e); }).code ==
        ErrorCode::invalid_value);
  const at::Tensor whole = at::ones({2}, at::kLong);
  CHECK(error([&](auto* e) { return ops().require_gradient(lend(whole), 1, e); }).code ==
        ErrorCode::invalid_type);
}

TEST_CASE("differentiate gives gradients that can be differentiated") {
  const at::Tensor x = variable({3}), unused = variable({2});
  const at::Tensor y = x.pow(3).sum();
  const auto of = lend_all({y}), by = lend_all({x, unused});
  grevy_tensor* results[2] = {};
  checked([&](auto* errors) {
    return ops().differentiate(of.data(), nullptr, 1, by.data(), 2, 1, results, errors);
  });
  const at::Tensor first = take(results[0]);
  CHECK(results[1] == nullptr);
  CHECK(at::allclose(first, 3 * x * x));
  first.sum().backward();
  CHECK(at::allclose(x.grad(), 6 * x));
}

TEST_CASE("a function's own gradient") {
  const at::Tensor x = variable({2, 3});
  destroyed = 0;
  {
    const at::Tensor y = my_square(x);
    CHECK(at::equal(y, x.square()));
    CHECK(y.grad_fn()->name() == "my-square");
    (y * at::arange(6, at::kDouble).view({2, 3})).sum().backward();
    CHECK(at::allclose(x.grad(), 2 * x * at::arange(6, at::kDouble).view({2, 3})));
    CHECK_THROWS_WITH(y.sum().backward(), doctest::Contains("a second time"));
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a function without an input that requires gradients has no history") {
  destroyed = 0;
  const at::Tensor y = my_square(variable({2}).detach());
  CHECK(!y.requires_grad());
  CHECK(destroyed == 1);
}

TEST_CASE("a second derivative works where the function says so, and is refused by name") {
  const auto second = [](std::uint32_t flags) {
    const at::Tensor x = variable({3});
    const at::Tensor y = my_square(x, flags).sum();
    const at::Tensor first = torch::autograd::grad({y}, {x}, {}, true, true)[0];
    CHECK(at::allclose(first, 2 * x));
    (first * x).sum().backward();  // 2 x^2: 4 x
    CHECK(at::allclose(x.grad(), 4 * x));
  };
  second(GREVY_FUNCTION_TWICE);
  const Caught error = catch_error([&] { second(0); });
  CHECK(error.code == ErrorCode::unimplemented);
  CHECK(error.says("my-square (unknown plugin) backward: has no second derivative"));

  // Also where what was saved does not tell that it depends on x.
  const at::Tensor x = variable({3});
  const at::Tensor y = attach(square_function(), {x}, {x.detach()}, unrecorded_square(x)).sum();
  const at::Tensor first = torch::autograd::grad({y}, {x}, {}, true, true)[0];
  CHECK(catch_error([&] { (first * x).sum().backward(); }).says("has no second derivative"));
}

TEST_CASE("what a function does wrong is an error with its name") {
  const at::Tensor x = variable({2});
  grevy_function function = square_function();
  function.context = &destroyed;
  destroyed = 0;
  {
    const at::Tensor y = attach(function, {x}, {x}, x.detach());
    const Caught error = catch_error([&] { y.sum().backward(); });
    CHECK(error.says("the plugin's own words"));
    CHECK(error.component == "my-square");
    CHECK(error.operation == "backward");
  }
  CHECK(destroyed == 1);

  function = square_function();
  const at::Tensor wrong = attach(function, {x}, {variable({5})}, x.detach()[0]);
  CHECK(catch_error([&] { wrong.backward(); })
            .says("my-square (unknown plugin) backward: the gradient of input 0 has the shape [5]; "
                  "must be [2]"));

  // The error of a component that the function has called.
  function.backward = [](void*, grevy_tensor* const*, std::uint64_t, grevy_tensor* const*,
                         std::uint64_t, const std::uint32_t*, grevy_tensor**, std::uint64_t,
                         const grevy_error_sink* errors) {
    return grevy::detail::report(errors, ErrorCode::io, "cannot", {"others", "inner", "forward"});
  };
  const at::Tensor nested = attach(function, {x}, {x}, x.detach());
  CHECK(catch_error([&] { nested.sum().backward(); }).text == "inner (others) forward: cannot");

  function = square_function();
  const at::Tensor changed = x.detach().clone();
  const at::Tensor y = attach(function, {x}, {changed}, x.detach());
  changed.add_(1);
  CHECK_THROWS_WITH(y.sum().backward(), doctest::Contains("modified by an inplace operation"));

  destroyed = 0;
  function.name = {};
  CHECK(catch_error([&] { attach(function, {x}, {x}, x); }).says("a function needs a name"));
  CHECK(catch_error([&] { attach(square_function(), {{}}, {x}, x); }).says("NULL for the inputs"));
  CHECK(destroyed == 2);
  function.struct_size = 8;
  CHECK(catch_error([&] { attach(function, {x}, {x}, x); }).code == ErrorCode::incompatible);
}

TEST_CASE("a kernel computes in plain memory") {
  const at::Tensor x = variable({2, 3});
  destroyed = 0;
  {
    const at::Tensor y = run_kernel(exp_kernel(), {x.t()}, {3, 2});
    CHECK(at::allclose(y, x.t().exp()));
    (y * y).sum().backward();
    CHECK(at::allclose(x.grad(), 2 * (2 * x).exp()));
  }
  CHECK(destroyed == 1);
}

TEST_CASE("a view is laid out as DLPack's DLTensor") {
  static_assert(sizeof(grevy_view) == 48);
  static_assert(offsetof(grevy_view, device_type) == 8 && offsetof(grevy_view, dims) == 16);
  static_assert(offsetof(grevy_view, type_code) == 20 && offsetof(grevy_view, type_lanes) == 22);
  static_assert(offsetof(grevy_view, shape) == 24 && offsetof(grevy_view, byte_offset) == 40);
  grevy_kernel kernel = exp_kernel();
  kernel.forward = [](void*, const grevy_kernel_views* views, const grevy_error_sink* errors) {
    const grevy_view &x = views->inputs[0], &y = views->outputs[0], &kept = views->kept[0];
    const bool fits = x.dims == 2 && x.shape[0] == 3 && x.shape[1] == 2 && x.strides[0] == 2 &&
                      x.strides[1] == 1 && x.type_code == 2 && x.type_bits == 32 &&
                      x.type_lanes == 1 && x.device_type == 1 && y.type_bits == 64 &&
                      kept.dims == 0 && kept.type_code == 0 && views->input_gradients == nullptr;
    return fits ? std::int32_t{GREVY_OK} : report(errors, "not as described");
  };
  run_kernel(kernel, {at::ones({2, 3}).t()}, {1});
}

TEST_CASE("what a kernel does wrong is an error with its name") {
  const at::Tensor x = variable({2});
  grevy_kernel kernel = exp_kernel();
  kernel.context = &kernel;
  const Caught refused = catch_error([&] { run_kernel(kernel, {x}, {2}); });
  CHECK(refused.says("will not"));
  CHECK(refused.component == "my-exp");
  kernel = exp_kernel();
  kernel.backward = nullptr;
  const at::Tensor without = run_kernel(kernel, {x}, {2});
  CHECK(catch_error([&] {
          without.sum().backward();
        }).says("my-exp (unknown plugin) backward: has no gradient"));
  const at::Tensor y = run_kernel(exp_kernel(), {x}, {2});
  const at::Tensor first = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
  CHECK(catch_error([&] {
          first.sum().backward();
        }).says("my-exp (unknown plugin) backward: has no second"));

  CHECK(catch_error([&] { run_kernel(exp_kernel(), {}, {2}); }).says("run: needs an input"));
  CHECK(catch_error([&] { run_kernel(exp_kernel(), {x}, {-1}); }).says("a size of -1"));
  CHECK(catch_error([&] { run_kernel(exp_kernel(), {x.to(at::kHalf)}, {2}); }).says("type Half"));
  CHECK(catch_error([&] { run_kernel(exp_kernel(), {x, {}}, {2}); }).says("NULL for the inputs"));
}

TEST_CASE("an error of a backward pass says plugin, component and function") {
  const at::Tensor x = variable({2});
  grevy_function function = square_function();
  function.plugin = grevy::detail::text_of("my.plugin");
  function.component = grevy::detail::text_of("my-loss");
  function.context = &destroyed;
  const auto check = [](const Caught& error, const char* text) {
    check_place(error, "my.plugin", "my-loss", "backward");
    CHECK_MESSAGE(error.says(text), error.text);
  };
  check(catch_error([&] { attach(function, {x}, {x}, x.detach()).sum().backward(); }),
        "my-loss (my.plugin) backward: my-square: the plugin's own words");
  // Through the table as well.
  const at::Tensor y = attach(function, {x}, {x}, x.detach()).sum();
  check(catch_error([&] {
          checked([&](auto* errors) { return ops().backward(lend(y), nullptr, errors); });
        }),
        "my-loss (my.plugin) backward: my-square: the plugin's own words");
  function.context = nullptr;
  check(catch_error([&] { attach(function, {x}, {variable({5})}, x.detach()[0]).backward(); }),
        "my-square: the gradient of input 0 has the shape [5]; must be [2]");
  function.backward = integer_backward;
  check(catch_error([&] { attach(function, {x}, {x}, x.detach()).sum().backward(); }),
        "my-square: the gradient of input 0 has the type Long; must be floating-point");
  function.backward = square_backward;
  const at::Tensor changed = x.detach().clone();
  const at::Tensor stale = attach(function, {x}, {changed}, x.detach()).sum();
  changed.add_(1);
  check(catch_error([&] { stale.backward(); }), "my-square: one of the variables needed");
  const at::Tensor z = attach(function, {x}, {x}, unrecorded_square(x)).sum();
  const at::Tensor first = torch::autograd::grad({z}, {x}, {}, true, true)[0];
  check(catch_error([&] { first.sum().backward(); }), "my-square: has no second derivative");

  grevy_kernel kernel = exp_kernel();
  kernel.plugin = function.plugin;
  kernel.component = function.component;
  kernel.backward = nullptr;
  check(catch_error([&] { run_kernel(kernel, {x}, {2}).sum().backward(); }),
        "my-exp: has no gradient");
  kernel.context = &kernel;
  const Caught refused = catch_error([&] { run_kernel(kernel, {x}, {2}); });
  check_place(refused, "my.plugin", "my-loss", "forward");
  CHECK(refused.says("my-exp: will not"));
}

TEST_CASE("outputs of types without gradients are no results of the history") {
  const at::Tensor x = variable({3});
  const auto in = lend_all({x}), saved = lend_all({x});
  const at::Tensor order = at::arange(3), square = unrecorded_square(x), mask = x.detach().gt(0.1);
  const auto values = lend_all({order, square, mask});
  grevy_function function = square_function();
  function.backward = second_of_three;
  grevy_tensor* outputs[3] = {};
  checked([&](auto* errors) {
    return ops().attach_function(&function, in.data(), 1, saved.data(), 1, values.data(), outputs,
                                 3, errors);
  });
  const at::Tensor first = take(outputs[0]), y = take(outputs[1]), last = take(outputs[2]);
  CHECK(at::equal(first, order));
  CHECK(at::equal(last, mask));
  CHECK_FALSE(first.requires_grad());
  CHECK_FALSE(last.requires_grad());
  y.sum().backward();
  CHECK(at::allclose(x.grad(), 2 * x));

  const at::Tensor sum = attach(square_function(), {x}, {x}, at::arange(3));
  CHECK_FALSE(sum.requires_grad());

  const std::int64_t sizes[] = {3};
  const grevy_buffer both[] = {{GREVY_FLOAT64, 0, sizes, 1}, {GREVY_INT64, 0, sizes, 1}};
  const grevy_buffer kept = {GREVY_INT64, 0, nullptr, 0};
  const grevy_kernel kernel = exp_kernel();
  grevy_tensor* results[2] = {};
  checked([&](auto* errors) {
    return kernels().run(&kernel, in.data(), 1, both, 2, &kept, 1, results, errors);
  });
  const at::Tensor exp = take(results[0]), whole = take(results[1]);
  CHECK_FALSE(whole.requires_grad());
  const at::Tensor gradient = torch::autograd::grad({exp.sum()}, {x})[0];
  CHECK(at::allclose(gradient, x.exp()));
}

TEST_CASE("a saved tensor that is an input and a value is the input") {
  const at::Tensor x = variable({3});
  const at::Tensor y = attach(square_function(GREVY_FUNCTION_TWICE), {x}, {x}, x);
  const at::Tensor first = torch::autograd::grad({y.sum()}, {x}, {}, true, true)[0];
  CHECK(at::allclose(first, 2 * x));
  // 2 x by x, not by y once more.
  const at::Tensor second = torch::autograd::grad({first.sum()}, {x})[0];
  CHECK(at::allclose(second, at::full({3}, 2.0, at::kDouble)));
}

TEST_CASE("only the gradients that a backward pass uses are asked for") {
  const at::Tensor a = variable({2}), b = variable({2});
  std::vector<std::uint32_t> asked;
  grevy_function function = square_function();
  function.context = &asked;
  function.backward = note_wanted;
  const at::Tensor y = attach(function, {a, b, a.detach()}, {}, a.detach()).sum();
  const auto wanted = [&](const Tensors& inputs) {
    torch::autograd::grad({y}, inputs, {}, /*retain_graph=*/true);
    return asked;
  };
  using Flags = std::vector<std::uint32_t>;
  CHECK(wanted({a}) == Flags{1, 0, 0});
  CHECK(wanted({b}) == Flags{0, 1, 0});
  CHECK(wanted({b, a}) == Flags{1, 1, 0});
  y.backward();
  CHECK(asked == Flags{1, 1, 0});
}

TEST_CASE("a backward that differentiates through its own step comes back") {
  struct Again {
    at::Tensor x, y;
    int depth = 0;
  };
  const auto again = std::make_shared<Again>();
  again->x = variable({2});
  grevy_function function = square_function();
  function.context = again.get();
  function.destroy = nullptr;
  function.backward = [](void* context, grevy_tensor* const*, std::uint64_t, grevy_tensor* const* g,
                         std::uint64_t, const std::uint32_t*, grevy_tensor** results, std::uint64_t,
                         const grevy_error_sink* errors) -> std::int32_t {
    auto& state = *static_cast<Again*>(context);
    if (state.depth++ > 0) {
      results[0] = give(2 * state.x.detach() * borrow(g[0]));
      return GREVY_OK;
    }
    const auto of = lend_all({state.y}), by = lend_all({state.x}), from = lend_all({borrow(g[0])});
    return ops().differentiate(of.data(), from.data(), 1, by.data(), 1, 0, results, errors);
  };
  again->y = attach(function, {again->x}, {again->x}, unrecorded_square(again->x));
  CHECK(finishes([again] {
    again->y.sum().backward();
    again->y.reset();
  }));
  CHECK(again->depth == 2);
  CHECK(at::allclose(again->x.grad(), 2 * again->x));
}

TEST_CASE("several threads differentiate one graph at a time") {
  struct Meeting {
    std::mutex mutex;
    std::condition_variable both;
    int here = 0;
  };
  const auto meeting = std::make_shared<Meeting>();
  const at::Tensor x = variable({2});
  grevy_function function = square_function();
  function.context = meeting.get();
  function.destroy = nullptr;
  // Goes on when the other thread is here as well.
  function.backward = [](void* context, grevy_tensor* const* saved, std::uint64_t,
                         grevy_tensor* const* g, std::uint64_t, const std::uint32_t*,
                         grevy_tensor** results, std::uint64_t,
                         const grevy_error_sink*) -> std::int32_t {
    auto& met = *static_cast<Meeting*>(context);
    std::unique_lock<std::mutex> lock(met.mutex);
    ++met.here;
    met.both.notify_all();
    met.both.wait(lock, [&] { return met.here >= 2; });
    results[0] = give(2 * borrow(saved[0]) * borrow(g[0]));
    return GREVY_OK;
  };
  const at::Tensor y = attach(function, {x}, {x}, unrecorded_square(x)).sum();
  CHECK(finishes([meeting, x, y] {
    Tensors found(2);
    const auto differentiate = [&](std::size_t i) {
      found[i] = torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true)[0];
    };
    std::thread other(differentiate, 1);
    differentiate(0);
    other.join();
    for (const at::Tensor& gradient : found) CHECK(at::allclose(gradient, 2 * x));
  }));
}

// Calls through the host's tables with numbers and pointers that the SDK would never give.
#include "host/ops_support.hpp"

#include <grevy/options.h>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <limits>

using namespace grevy;
using namespace grevy::tests;

namespace {

template <class Call>
Caught error_of(Call&& call) {
  return catch_error([&] { checked(std::forward<Call>(call)); });
}

void check_error(const Caught& error, ErrorCode code, const std::string& part) {
  INFO(error.text);
  CHECK(error.code == code);
  CHECK(error.says(part));
}

Caught called(std::uint32_t op, const Tensors& inputs,
              const std::vector<grevy_attribute>& attributes) {
  const auto handles = lend_all(inputs);
  return error_of([&](auto* errors) {
    grevy_tensor* output = nullptr;
    const std::int32_t code = ops().call(op, handles.data(), handles.size(), attributes.data(),
                                         attributes.size(), &output, 1, errors);
    take(output);
    return code;
  });
}

// y = a + 2 b by a plugin that gives, for each input, what `gives` has: a gradient, none, or one
// that nobody wants.
std::int32_t sum_backward(void* context, grevy_tensor* const*, std::uint64_t,
                          grevy_tensor* const* gradients, std::uint64_t, const std::uint32_t*,
                          grevy_tensor** results, std::uint64_t count, const grevy_error_sink*) {
  const auto& gives = *static_cast<std::vector<bool>*>(context);
  for (std::uint64_t i = 0; i < count; ++i)
    if (gives[i]) results[i] = give(borrow(gradients[0]) * (1.0 + static_cast<double>(i)));
  return GREVY_OK;
}

grevy_function sum_function(std::vector<bool>& gives) {
  grevy_function function{};
  function.struct_size = sizeof(function);
  function.name = grevy::detail::text_of("my-sum");
  function.context = &gives;
  function.backward = sum_backward;
  return function;
}

std::int32_t attach(const grevy_function& function, const Tensors& inputs, at::Tensor& result,
                    const grevy_error_sink* errors) {
  const at::Tensor value = inputs[0].detach() + 1;
  const auto in = lend_all(inputs), values = lend_all({value});
  grevy_tensor* output = nullptr;
  const std::int32_t code = ops().attach_function(&function, in.data(), in.size(), nullptr, 0,
                                                  values.data(), &output, 1, errors);
  result = take(output);
  return code;
}

at::Tensor attached(const grevy_function& function, const Tensors& inputs) {
  at::Tensor result;
  checked([&](auto* errors) { return attach(function, inputs, result, errors); });
  return result;
}

// The reading of options is in the table for components in C.
Caught read_options(const char* json, const std::vector<grevy_number_option>& rows) {
  const grevy_host& host = plugin_host();
  const auto* table = static_cast<const grevy_options*>(
      host.extension(&host, grevy::detail::text_of(GREVY_OPTIONS_EXTENSION)));
  return error_of([&](auto* errors) {
    return table->read_numbers(grevy::detail::text_of(json), rows.data(), rows.size(), errors);
  });
}

constexpr auto value_error = ErrorCode::invalid_value, type_error = ErrorCode::invalid_type;

}  // namespace

TEST_CASE("lists of inputs, attributes and outputs that are too long or missing") {
  const at::Tensor x = at::ones({2});
  grevy_tensor *const input = lend(x), *output = nullptr;
  const grevy_attribute nothing{};
  const auto call = [&](std::uint64_t inputs, const grevy_attribute* attributes,
                        std::uint64_t attribute_count, grevy_tensor** outputs,
                        std::uint64_t output_count) {
    return error_of([&](auto* errors) {
      return ops().call(GREVY_OP_EXP, &input, inputs, attributes, attribute_count, outputs,
                        output_count, errors);
    });
  };
  check_error(call(4097, nullptr, 0, &output, 1), value_error, "found 4097 inputs");
  check_error(call(1, &nothing, 9, &output, 1), value_error, "found 9 attributes");
  check_error(call(1, nullptr, 1, &output, 1), value_error, "found 1 attribute;");
  check_error(call(1, nullptr, 0, &output, 2), value_error, "found room for 2 outputs; it gives 1");
  check_error(call(1, nullptr, 0, nullptr, 1), value_error, "found room for 1 outputs");
}

TEST_CASE("attributes of another kind, without data or too long") {
  const at::Tensor x = at::ones({2, 3});
  const std::vector<std::int64_t> numbers(65, 1);
  const std::string letters(4097, 'a');
  const auto of = [](std::uint32_t kind, const void* data, std::uint64_t count) {
    return grevy_attribute{kind, 0, 0, 0, data, count};
  };
  const auto check_kind = [&](std::uint32_t op, const Tensors& inputs,
                              const std::vector<grevy_attribute>& attributes, const char* name) {
    CAPTURE(name);
    check_error(called(op, inputs, attributes), type_error,
                "another kind of attribute for \"" + std::string(name) + "\"");
  };
  const grevy_attribute one = integer(1).c, list = of(GREVY_ATTRIBUTE_INTEGERS, numbers.data(), 2);
  check_kind(GREVY_OP_RESHAPE, {x}, {one}, "sizes");
  check_kind(GREVY_OP_RESHAPE, {x}, {of(GREVY_ATTRIBUTE_INTEGERS, nullptr, 2)}, "sizes");
  check_kind(GREVY_OP_SOFTMAX, {x}, {list}, "dim");
  check_kind(GREVY_OP_SOFTMAX, {x}, {of(GREVY_ATTRIBUTE_TEXT, "a", 1)}, "dim");
  check_kind(GREVY_OP_SOFTMAX, {x}, {of(GREVY_ATTRIBUTE_GENERATOR, seeded(1), 1)}, "dim");
  check_kind(GREVY_OP_SOFTMAX, {x}, {of(99, nullptr, 0)}, "dim");
  check_kind(GREVY_OP_EINSUM, {x}, {of(GREVY_ATTRIBUTE_TEXT, nullptr, 2)}, "equation");
  check_kind(GREVY_OP_EINSUM, {x}, {of(GREVY_ATTRIBUTE_TEXT, letters.data(), 4097)}, "equation");
  check_kind(GREVY_OP_UNIFORM, {}, {list, of(GREVY_ATTRIBUTE_GENERATOR, nullptr, 1)}, "generator");
  check_error(called(GREVY_OP_BERNOULLI, {}, {list, generator(seeded(1)).c, number(-0.5).c}),
              value_error, "found a probability of -0.5");
}

TEST_CASE("tensors of no size, many axes, and devices that are none of ours") {
  const std::vector<std::int64_t> sizes(65, 1), huge = {std::int64_t{1} << 33}, empty = {0, 3};
  const float seven = 7;
  grevy_tensor* made = nullptr;
  const auto from_data = [&](const std::int64_t* shape, std::uint64_t dims, const void* data) {
    return error_of([&](auto* errors) {
      return ops().from_data(GREVY_FLOAT32, shape, dims, data, &made, errors);
    });
  };
  check_error(from_data(sizes.data(), 65, &seven), value_error, "found 65 axes; at most 64");
  check_error(from_data(huge.data(), 1, &seven), value_error, "more than 2^32 elements");
  CHECK(from_data(nullptr, 0, &seven).text.empty());
  CHECK(take(made).item<float>() == 7);
  CHECK(from_data(empty.data(), 2, nullptr).text.empty());
  const at::Tensor nothing = take(made);
  CHECK(nothing.sizes().vec() == empty);
  checked([&](auto* errors) {
    return ops().to_data(lend(nothing), GREVY_FLOAT32, nullptr, 0, errors);
  });
  const at::Tensor x = at::ones({2});
  CHECK((run(GREVY_OP_TO, {x}, {integer(GREVY_INT64)}).scalar_type() == at::kLong));
  const at::Tensor meta = at::empty({2}, at::kMeta);
  grevy_tensor_info info{};
  info.struct_size = sizeof(info);
  checked([&](auto* errors) { return ops().inspect(lend(meta), &info, errors); });
  CHECK(info.device_type == GREVY_OTHER_DEVICE);
}

TEST_CASE("gradients that are given, and lists of them that are not") {
  const at::Tensor x = at::ones({2}, at::kDouble).requires_grad_(true), y = x * x;
  const at::Tensor threes = at::full({2}, 3.0, at::kDouble);
  const auto of = lend_all({y}), by = lend_all({x}), from = lend_all({threes});
  grevy_tensor* result = nullptr;
  const auto differentiate = [&](grevy_tensor* const* outputs, std::uint64_t count) {
    return error_of([&](auto* errors) {
      return ops().differentiate(outputs, from.data(), count, by.data(), 1, 0, &result, errors);
    });
  };
  CHECK(differentiate(of.data(), 1).text.empty());
  CHECK(at::equal(take(result), at::full({2}, 6.0, at::kDouble)));
  check_error(differentiate(of.data(), 4097), value_error,
              "found 4097 of the outputs; allowed: 4096");
  check_error(differentiate(nullptr, 1), value_error, "found 1 of the outputs");
}

TEST_CASE("a function that gives gradients that nobody wants, or none that somebody wants") {
  const at::Tensor a = at::ones({2}, at::kDouble).requires_grad_(true);
  const at::Tensor b = at::ones({2}, at::kDouble),
                   c = at::ones({2}, at::kDouble).requires_grad_(true);
  std::vector<bool> gives = {true, true, false};
  const grevy_function function = sum_function(gives);
  attached(function, {a, b, c}).sum().backward();
  CHECK(at::equal(a.grad(), at::ones({2}, at::kDouble)));
  CHECK_FALSE(b.grad().defined());
  CHECK_FALSE(c.grad().defined());

  const auto results = torch::autograd::grad({attached(function, {a, b, c}).sum()}, {a, c}, {},
                                             true, true, /*allow_unused=*/true);
  CHECK(results[0].grad_fn()->name() == "my-sum");
  CHECK_FALSE(results[1].defined());
  {
    const at::NoGradGuard unrecorded;
    CHECK_FALSE(attached(function, {a, b, c}).requires_grad());
  }
  grevy_function without = function;
  without.backward = nullptr;
  check_error(catch_error([&] { attached(without, {a}); }), value_error,
              "a function needs a backward");
}

TEST_CASE("a kernel without a forward, buffers that are missing, inputs on other devices") {
  const at::Tensor x = at::ones({2}, at::kDouble),
                   other = at::ones({2}, at::kDouble).requires_grad_(true);
  grevy_kernel kernel{};
  kernel.struct_size = sizeof(kernel);
  kernel.name = grevy::detail::text_of("my-kernel");
  kernel.forward = [](void*, const grevy_kernel_views*, const grevy_error_sink*) {
    return std::int32_t{GREVY_OK};
  };
  kernel.backward = [](void*, const grevy_kernel_views* views, const grevy_error_sink*) {
    // Nobody wants a gradient of input 0.
    return std::int32_t{views->input_gradients[0].data == nullptr ? GREVY_OK
                                                                  : GREVY_ERROR_INTERNAL};
  };
  const std::int64_t two = 2;
  const grevy_buffer buffer = {GREVY_FLOAT64, 0, &two, 1};
  at::Tensor result;
  const auto run_kernel = [&](const Tensors& inputs, const grevy_buffer* buffers,
                              std::uint64_t count) {
    const auto in = lend_all(inputs);
    return error_of([&](auto* errors) {
      grevy_tensor* output = nullptr;
      const std::int32_t code =
          kernels().run(&kernel, in.data(), in.size(), buffers, count, nullptr, 0, &output, errors);
      result = take(output);
      return code;
    });
  };
  CHECK(run_kernel({x, other}, &buffer, 1).text.empty());
  result.sum().backward();
  CHECK(other.grad().defined());
  const at::Tensor meta = at::empty({2}, at::TensorOptions(at::kMeta).dtype(at::kDouble));
  const std::string wanted = "inputs must be on one device, CPU or CUDA; found ";
  check_error(run_kernel({meta}, &buffer, 1), value_error, wanted + "meta and meta");
  check_error(run_kernel({x, meta}, &buffer, 1), value_error, wanted + "cpu and meta");
  check_error(run_kernel({x}, &buffer, 4097), value_error, "found 4097 buffers");
  check_error(run_kernel({x}, nullptr, 1), value_error, "found 1 buffers");
  kernel.forward = nullptr;
  check_error(run_kernel({x}, &buffer, 1), value_error, "a kernel needs a forward");
}

TEST_CASE("options in C: none at all, switches, and numbers that are none") {
  double number = 0, flag = 7;
  const double all = std::numeric_limits<double>::infinity();
  const std::vector<grevy_number_option> rows = {
      {grevy::detail::text_of("number"), &number, -all, all, 0, 0},
      {grevy::detail::text_of("flag"), &flag, 0, 1, GREVY_OPTION_BOOLEAN, 0}};
  check_error(read_options(R"({"x":1})", {}), value_error, "unknown option \"x\"; known: none");
  CHECK(read_options(R"({"flag":false})", rows).text.empty());
  CHECK(flag == 0);
  CHECK(read_options("", rows).text.empty());
  CHECK(read_options(R"({"number":-2})", rows).text.empty());
  CHECK(number == -2);
}

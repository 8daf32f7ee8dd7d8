// Wrong arguments for every slot of the tables in grevy/ops.h and grevy/kernel.h: NULL, negative,
// huge, none at all. Each is an error that says so, or has a result that can be used.
#include "host/ops_support.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace grevy;
using namespace grevy::tests;

namespace {

constexpr std::int32_t refused = GREVY_ERROR_INVALID_VALUE;
constexpr std::int64_t far = std::int64_t{1} << 40;
constexpr std::int64_t integers[] = {INT64_MIN, INT64_MIN + 1, -far,          -3,       -2, -1, 0,
                                     2,         far,           INT64_MAX - 1, INT64_MAX};
constexpr double inf = std::numeric_limits<double>::infinity();

std::vector<Attribute> wrong_attributes() {
  std::vector<Attribute> all = {none, boolean(true), generator(nullptr), generator(seeded(2))};
  for (const std::int64_t value : integers) all.push_back(integer(value));
  for (const double value : {0.0, -0.5, 1e-300, 1e300, inf, -inf, std::nan("")})
    all.push_back(number(value));
  for (const std::int64_t value : integers) {
    all.push_back(list({value}));
    all.push_back(list({value, value}));
    all.push_back(list({2, value, 3}));
  }
  all.push_back(list({}));
  all.push_back(list(std::vector<std::int64_t>(64, 1)));
  all.push_back(list(std::vector<std::int64_t>(65, 1)));
  for (const char* value :
       {"", "->", "ab->ba", "zz,zz->z", "cpu", "meta", "cuda:99", "a...", "..."})
    all.push_back(text(value));
  all.push_back(text(std::string(5000, 'a')));
  all.push_back(text(std::string("cpu\0", 4)));
  return all;
}

std::vector<at::Tensor> inputs() {
  const auto leaf = [](const at::Tensor& x) { return x.clone().requires_grad_(true); };
  return {leaf(at::arange(6, at::kDouble).view({2, 3})),
          leaf(at::ones({1, 1, 4})),
          leaf(at::scalar_tensor(2)),
          leaf(at::ones({0, 3})),
          at::arange(3),
          at::ones({2, 3}, at::kBool)};
}

grevy_op_info info_of(std::uint32_t op) {
  grevy_op_info info{};
  info.struct_size = sizeof(info);
  checked([&](auto* errors) { return ops().describe(op, &info, errors); });
  return info;
}

// Calls an operation; a result must bear to be read and differentiated.
void try_call(std::uint32_t op, const std::string& name, const Tensors& tensors,
              const std::vector<Attribute>& attributes) {
  at::Tensor result;
  const Caught error = catch_error([&] { result = run(op, tensors, attributes); });
  if (error.code != ErrorCode{}) {
    const bool is_said =
        error.code == ErrorCode::invalid_value || error.code == ErrorCode::invalid_type;
    CHECK_MESSAGE(is_said, error.text);
    CHECK_MESSAGE(error.says(name + ": "), error.text);
    CHECK_MESSAGE(error.says("; it takes ("), error.text);
    return;
  }
  REQUIRE(result.defined());
  if (result.numel() > 4096) return;
  std::vector<double> values(static_cast<std::size_t>(result.numel()));
  CHECK(ops().to_data(lend(result), GREVY_FLOAT64, values.data(), values.size(), nullptr) ==
        GREVY_OK);
  if (!result.requires_grad() || !result.is_floating_point()) return;
  const at::Tensor total = result.sum();
  const std::int32_t code = ops().backward(lend(total), nullptr, nullptr);
  CHECK((code == GREVY_OK || code == refused));
}

}  // namespace

TEST_CASE("operations with attributes that are wrong in one place or another") {
  const std::vector<Attribute> wrong = wrong_attributes();
  for (std::uint32_t op = 0; op < GREVY_OP_COUNT; ++op) {
    const grevy_op_info info = info_of(op);
    const std::string name(grevy::detail::view(info.name)), takes(grevy::detail::view(info.takes));
    CAPTURE(name);
    const std::string tensors_taken = takes.substr(0, takes.find(')'));
    const auto most =
        static_cast<std::size_t>(std::count(tensors_taken.begin(), tensors_taken.end(), ',') + 1);
    const bool has_attributes = takes.find('[') != std::string::npos;
    for (const at::Tensor& x : inputs()) {
      for (std::size_t count = 0; count <= 4; ++count) try_call(op, name, Tensors(count, x), {});
      const Tensors tensors(most, x);
      for (const Attribute& attribute : wrong) {
        try_call(op, name, tensors, {attribute});
        if (!has_attributes) break;
        try_call(op, name, tensors, {integer(0), attribute});
        try_call(op, name, tensors, {list({2}), attribute, integer(1)});
        try_call(op, name, tensors, {integer(1), integer(1), attribute, attribute});
        try_call(op, name, tensors, {list({2}), generator(seeded(2)), attribute, attribute});
      }
    }
  }
}

TEST_CASE("windows, steps and places beyond an axis") {
  const at::Tensor x = at::arange(6, at::kDouble).requires_grad_(true);
  const at::Tensor first =
      run(GREVY_OP_SLICE, {x}, {integer(0), integer(1), none, integer(INT64_MAX)});
  CHECK(at::equal(first, x.slice(0, 1, 2)));
  CHECK(run(GREVY_OP_SLICE, {x}, {integer(0), integer(INT64_MIN), integer(INT64_MAX)}).numel() ==
        6);
  CHECK(run(GREVY_OP_SLICE, {x}, {integer(0), integer(INT64_MAX), integer(INT64_MIN)}).numel() ==
        0);
  const at::Tensor window = run(GREVY_OP_UNFOLD, {x}, {integer(0), integer(4), integer(INT64_MAX)});
  CHECK(at::equal(window, x.unfold(0, 4, 6)));
  window.sum().backward();
  CHECK(at::equal(x.grad(), at::cat({at::ones({4}, at::kDouble), at::zeros({2}, at::kDouble)})));
  for (const std::int64_t index :
       {INT64_MIN, INT64_MIN + 1, std::int64_t{-7}, std::int64_t{6}, INT64_MAX})
    CHECK(catch_error([&] {
            run(GREVY_OP_SELECT, {x}, {integer(0), integer(index)});
          }).says("select/1: found the index " + std::to_string(index) + "; the axis has 6"));
  CHECK(catch_error([&] { run(GREVY_OP_EXPAND, {x[0]}, {list({far})}); }).says("more than 2^32"));
  CHECK(catch_error([&] {
          run(GREVY_OP_CONV1D, {at::ones({1, 1, 4}), at::ones({1, 1, 2})}, {none, integer(-1)});
        }).says("found -1; must be 0 or more, below 2^31"));
  CHECK(catch_error([&] {
          run(GREVY_OP_CONV1D, {at::ones({1, 1, 4}), at::ones({1, 1, 2})},
              {none, none, integer(INT64_MAX)});
        }).says("must be 1 or more, below 2^31"));
  CHECK(catch_error([&] {
          run(GREVY_OP_ARANGE, {}, {integer(INT64_MIN), integer(INT64_MAX), integer(INT64_MAX)});
        }).says("found whole bounds beyond 2^61"));
  CHECK(catch_error([&] {
          run(GREVY_OP_TO, {x}, {none, text("meta")});
        }).says("must be cpu, cuda"));
}

TEST_CASE("lists of inputs and attributes that are NULL or too long") {
  const at::Tensor x = at::ones({2});
  grevy_tensor* const one[] = {lend(x)};
  grevy_tensor* result = nullptr;
  for (std::uint32_t op = 0; op < GREVY_OP_COUNT; ++op) {
    CAPTURE(op);
    for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{4097}, UINT64_MAX}) {
      CHECK(ops().call(op, nullptr, count, nullptr, 0, &result, 1, nullptr) == refused);
      CHECK(ops().call(op, one, 1, nullptr, count, &result, 1, nullptr) == refused);
    }
    CHECK(ops().call(op, one, 1, nullptr, 0, nullptr, 1, nullptr) == refused);
    CHECK(ops().call(op, one, 1, nullptr, 0, &result, 0, nullptr) == refused);
    CHECK(ops().call(op, one, 1, nullptr, 0, &result, 2, nullptr) == refused);
    grevy_attribute attribute{};
    constexpr std::uint32_t kinds[] = {GREVY_ATTRIBUTE_INTEGERS, GREVY_ATTRIBUTE_TEXT,
                                       GREVY_ATTRIBUTE_GENERATOR, UINT32_MAX};
    for (const std::uint32_t kind : kinds) {
      attribute.kind = kind;
      attribute.count = 3;
      CHECK(ops().call(op, one, 1, &attribute, 1, &result, 1, nullptr) != GREVY_OK);
    }
  }
  CHECK(ops().call(UINT32_MAX, one, 1, nullptr, 0, &result, 1, nullptr) ==
        GREVY_ERROR_UNIMPLEMENTED);
  CHECK(result == nullptr);
}

TEST_CASE("tensors in and out with NULL and sizes that are none") {
  const grevy_ops& t = ops();
  const at::Tensor x = at::ones({2});
  const std::int64_t sizes[] = {2};
  const std::int64_t negative[] = {-2}, huge[] = {INT64_MAX, INT64_MAX};
  const float data[2] = {1, 2};
  float out[2] = {};
  grevy_tensor* made = nullptr;
  grevy_generator* generator = nullptr;
  CHECK(t.from_data(GREVY_FLOAT32, nullptr, 1, data, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, nullptr, UINT64_MAX, data, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, sizes, UINT64_MAX, data, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, negative, 1, data, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, huge, 2, data, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, sizes, 1, nullptr, &made, nullptr) == refused);
  CHECK(t.from_data(GREVY_FLOAT32, sizes, 1, data, nullptr, nullptr) == refused);
  CHECK(t.from_data(UINT32_MAX, sizes, 1, data, &made, nullptr) == GREVY_ERROR_INVALID_TYPE);
  CHECK(made == nullptr);
  CHECK(t.from_data(GREVY_FLOAT32, nullptr, 0, data, &made, nullptr) == GREVY_OK);
  CHECK(take(made).dim() == 0);

  CHECK(t.to_data(nullptr, GREVY_FLOAT32, out, 2, nullptr) == refused);
  CHECK(t.to_data(lend(x), GREVY_FLOAT32, nullptr, 2, nullptr) == refused);
  CHECK(t.to_data(lend(x), GREVY_FLOAT32, out, UINT64_MAX, nullptr) == refused);
  CHECK(t.to_data(lend(x), 6, out, 2, nullptr) == GREVY_ERROR_INVALID_TYPE);
  CHECK(t.assign(nullptr, lend(x), nullptr) == refused);
  CHECK(t.assign(lend(x), nullptr, nullptr) == refused);
  CHECK(t.inspect(lend(x), nullptr, nullptr) == GREVY_ERROR_INCOMPATIBLE);
  CHECK(t.describe(0, nullptr, nullptr) == GREVY_ERROR_INCOMPATIBLE);
  CHECK(t.find({nullptr, 5}) == UINT32_MAX);
  CHECK(t.find({nullptr, UINT64_MAX}) == UINT32_MAX);
  CHECK(t.make_generator(1, nullptr, nullptr) == refused);
  CHECK(t.make_generator(UINT64_MAX, &generator, nullptr) == GREVY_OK);
  t.release_generator(generator);
  t.release_generator(nullptr);
  t.retain(nullptr);
  t.release(nullptr);
}

TEST_CASE("gradients of NULL, into NULL and of too many") {
  const grevy_ops& t = ops();
  const at::Tensor x = at::ones({2}).requires_grad_(true), y = (x * x).sum();
  grevy_tensor *const of[] = {lend(y)}, *const by[] = {lend(x)}, *const nothing[] = {nullptr};
  grevy_tensor* result = nullptr;
  CHECK(t.require_gradient(nullptr, 1, nullptr) == refused);
  CHECK(t.gradient(nullptr, &result, nullptr) == refused);
  CHECK(t.gradient(lend(x), nullptr, nullptr) == refused);
  CHECK(t.backward(nullptr, nullptr, nullptr) == refused);
  CHECK(t.backward(lend(y), lend(x), nullptr) == refused);
  CHECK(t.differentiate(nullptr, nullptr, 1, by, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(nothing, nullptr, 1, by, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nothing, 1, by, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, by, 1, by, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nullptr, UINT64_MAX, by, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nullptr, 1, nullptr, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nullptr, 1, nothing, 1, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nullptr, 1, by, UINT64_MAX, 0, &result, nullptr) == refused);
  CHECK(t.differentiate(of, nullptr, 1, by, 1, 0, nullptr, nullptr) == refused);
  CHECK(t.differentiate(nullptr, nullptr, 0, by, 1, 0, &result, nullptr) == GREVY_OK);
  CHECK(t.differentiate(by, nullptr, 1, by, 1, 0, &result, nullptr) == refused);
  CHECK(result == nullptr);
}

namespace {

int ended = 0;
void count_end(void*) { ++ended; }
std::int32_t no_backward(void*, grevy_tensor* const*, std::uint64_t, grevy_tensor* const*,
                         std::uint64_t, const std::uint32_t*, grevy_tensor**, std::uint64_t,
                         const grevy_error_sink*) {
  return GREVY_OK;
}
std::int32_t no_forward(void*, const grevy_kernel_views*, const grevy_error_sink*) {
  return GREVY_OK;
}

}  // namespace

TEST_CASE("functions and kernels with NULL and counts that are none; the context always ends") {
  const at::Tensor x = at::ones({2}).requires_grad_(true);
  grevy_tensor *const one[] = {lend(x)}, *const nothing[] = {nullptr};
  grevy_tensor* result = nullptr;
  grevy_function function = {sizeof(grevy_function),
                             0,
                             grevy::detail::text_of("f"),
                             nullptr,
                             no_backward,
                             count_end,
                             {},
                             {}};
  ended = 0;
  int calls = 0;
  const auto attach = [&](grevy_tensor* const* in, std::uint64_t in_count,
                          grevy_tensor* const* saved, std::uint64_t saved_count,
                          grevy_tensor* const* values, grevy_tensor** out, std::uint64_t count) {
    ++calls;
    return ops().attach_function(&function, in, in_count, saved, saved_count, values, out, count,
                                 nullptr);
  };
  CHECK(attach(nullptr, 1, one, 1, one, &result, 1) == refused);
  CHECK(attach(nothing, 1, one, 1, one, &result, 1) == refused);
  CHECK(attach(one, UINT64_MAX, one, 1, one, &result, 1) == refused);
  CHECK(attach(one, 1, nullptr, 1, one, &result, 1) == refused);
  CHECK(attach(one, 1, nothing, 1, one, &result, 1) == refused);
  CHECK(attach(one, 1, one, UINT64_MAX, one, &result, 1) == refused);
  CHECK(attach(one, 1, one, 1, nullptr, &result, 1) == refused);
  CHECK(attach(one, 1, one, 1, nothing, &result, 1) == refused);
  CHECK(attach(one, 1, one, 1, one, nullptr, 1) == refused);
  CHECK(attach(one, 1, one, 1, one, &result, UINT64_MAX) == refused);
  function.backward = nullptr;
  CHECK(attach(one, 1, one, 1, one, &result, 1) == refused);
  function.backward = no_backward;
  function.name = {nullptr, UINT64_MAX};
  CHECK(attach(one, 1, one, 1, one, &result, 1) == refused);
  CHECK(ops().attach_function(nullptr, one, 1, one, 1, one, &result, 1, nullptr) ==
        GREVY_ERROR_INCOMPATIBLE);
  CHECK(ended == calls);

  const std::int64_t negative[] = {-1}, sizes[] = {2};
  const grevy_buffer good = {GREVY_FLOAT32, 0, sizes, 1};
  grevy_kernel kernel = {sizeof(grevy_kernel),
                         0,
                         grevy::detail::text_of("k"),
                         nullptr,
                         no_forward,
                         nullptr,
                         count_end,
                         {},
                         {}};
  ended = calls = 0;
  const auto run_kernel = [&](grevy_tensor* const* in, std::uint64_t in_count,
                              const grevy_buffer* out, std::uint64_t out_count,
                              const grevy_buffer* kept, std::uint64_t kept_count,
                              grevy_tensor** results) {
    ++calls;
    return kernels().run(&kernel, in, in_count, out, out_count, kept, kept_count, results, nullptr);
  };
  CHECK(run_kernel(nullptr, 1, &good, 1, nullptr, 0, &result) == refused);
  CHECK(run_kernel(nullptr, 0, &good, 1, nullptr, 0, &result) == refused);
  CHECK(run_kernel(nothing, 1, &good, 1, nullptr, 0, &result) == refused);
  CHECK(run_kernel(one, UINT64_MAX, &good, 1, nullptr, 0, &result) == refused);
  CHECK(run_kernel(one, 1, nullptr, 1, nullptr, 0, &result) == refused);
  CHECK(run_kernel(one, 1, &good, UINT64_MAX, nullptr, 0, &result) == refused);
  CHECK(run_kernel(one, 1, &good, 1, nullptr, 1, &result) == refused);
  CHECK(run_kernel(one, 1, &good, 1, &good, UINT64_MAX, &result) == refused);
  CHECK(run_kernel(one, 1, &good, 1, nullptr, 0, nullptr) == refused);
  for (const grevy_buffer& bad : {grevy_buffer{GREVY_FLOAT32, 0, nullptr, 1},
                                  grevy_buffer{GREVY_FLOAT32, 0, nullptr, UINT64_MAX},
                                  grevy_buffer{GREVY_FLOAT32, 0, sizes, UINT64_MAX},
                                  grevy_buffer{GREVY_FLOAT32, 0, negative, 1}}) {
    CHECK(run_kernel(one, 1, &bad, 1, nullptr, 0, &result) == refused);
    CHECK(run_kernel(one, 1, &good, 1, &bad, 1, &result) == refused);
  }
  const grevy_buffer typeless = {UINT32_MAX, 0, sizes, 1};
  CHECK(run_kernel(one, 1, &typeless, 1, nullptr, 0, &result) == GREVY_ERROR_INVALID_TYPE);
  kernel.forward = nullptr;
  CHECK(run_kernel(one, 1, &good, 1, nullptr, 0, &result) == refused);
  kernel.forward = no_forward;
  kernel.name = {};
  CHECK(run_kernel(one, 1, &good, 1, nullptr, 0, &result) == refused);
  CHECK(kernels().run(nullptr, one, 1, &good, 1, nullptr, 0, &result, nullptr) ==
        GREVY_ERROR_INCOMPATIBLE);
  CHECK(ended == calls);
  CHECK(result == nullptr);
}

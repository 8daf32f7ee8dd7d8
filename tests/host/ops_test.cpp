// Each operation of grevy/ops.h against LibTorch's own, values and gradients, bit for bit.
#include "host/ops_support.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <functional>
#include <set>

using namespace grevy;
using namespace grevy::tests;

namespace {

using Direct = std::function<at::Tensor(const Tensors&)>;

struct Row {
  std::uint32_t op;
  std::string name;
  Tensors inputs;
  std::vector<Attribute> attributes;
  Direct direct;
};

at::Tensor sample(at::IntArrayRef sizes, std::uint64_t seed = 1) {
  return at::empty(sizes, at::kDouble)
      .uniform_(0.1, 0.9, at::make_generator<at::CPUGeneratorImpl>(seed));
}

at::Generator same(std::uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

// Gradients of a sum with unequal weights, so that no element is like another.
Tensors gradients(const at::Tensor& output, const Tensors& inputs) {
  if (!output.requires_grad()) return {};
  const at::Tensor weights = at::arange(1, output.numel() + 1, output.options()).view_as(output);
  (output * weights.detach()).sum().backward();
  Tensors result;
  for (const at::Tensor& input : inputs) {
    result.push_back(input.grad().defined() ? input.grad().clone() : at::Tensor());
    at::Tensor(input).mutable_grad().reset();
  }
  return result;
}

const at::Tensor a = sample({2, 3, 4}), b = sample({2, 3, 4}, 2), m = sample({4, 3}, 3);
const at::Tensor mask = sample({2, 3, 4}, 4) > 0.5;
const at::Tensor weight = sample({6, 3, 2}, 5), bias = sample({6}, 6);
const at::Tensor index = at::tensor(at::IntArrayRef{2, 0, 2});
const at::Tensor places =
    at::tensor(at::IntArrayRef{0, 2, 1}).view({1, 3}).expand({2, 3}).unsqueeze(2);
const at::Tensor like = at::empty({1}, at::kDouble);

std::vector<Row> unary_rows() {
  const std::tuple<std::uint32_t, const char*, at::Tensor (*)(const at::Tensor&)> ops[] = {
      {GREVY_OP_LOGICAL_NOT, "logical_not/1", at::logical_not},
      {GREVY_OP_IS_FINITE, "is_finite/1", at::isfinite},
      {GREVY_OP_NEGATE, "negate/1", at::neg},
      {GREVY_OP_ABSOLUTE, "absolute/1", at::abs},
      {GREVY_OP_SIGN, "sign/1", at::sign},
      {GREVY_OP_EXP, "exp/1", at::exp},
      {GREVY_OP_LOG, "log/1", at::log},
      {GREVY_OP_LOG1P, "log1p/1", at::log1p},
      {GREVY_OP_SQRT, "sqrt/1", at::sqrt},
      {GREVY_OP_RSQRT, "rsqrt/1", at::rsqrt},
      {GREVY_OP_SQUARE, "square/1", at::square},
      {GREVY_OP_RECIPROCAL, "reciprocal/1", at::reciprocal},
      {GREVY_OP_SIN, "sin/1", at::sin},
      {GREVY_OP_COS, "cos/1", at::cos},
      {GREVY_OP_FLOOR, "floor/1", at::floor},
      {GREVY_OP_RELU, "relu/1", at::relu},
      {GREVY_OP_TANH, "tanh/1", at::tanh},
      {GREVY_OP_SIGMOID, "sigmoid/1", at::sigmoid},
  };
  std::vector<Row> rows;
  for (const auto& [op, name, f] : ops)
    rows.push_back({op, name, {a}, {}, [f = f](const Tensors& x) { return f(x[0]); }});
  rows.push_back({GREVY_OP_GELU, "gelu/1", {a - 0.5}, {}, [](auto& x) { return at::gelu(x[0]); }});
  rows.push_back(
      {GREVY_OP_SOFTPLUS, "softplus/1", {a}, {}, [](auto& x) { return at::softplus(x[0]); }});
  return rows;
}

std::vector<Row> binary_rows() {
  using Op = at::Tensor (*)(const at::Tensor&, const at::Tensor&);
  const std::tuple<std::uint32_t, const char*, Op> ops[] = {
      {GREVY_OP_ADD, "add/1", [](auto& x, auto& y) { return x + y; }},
      {GREVY_OP_SUBTRACT, "subtract/1", [](auto& x, auto& y) { return x - y; }},
      {GREVY_OP_MULTIPLY, "multiply/1", [](auto& x, auto& y) { return x * y; }},
      {GREVY_OP_DIVIDE, "divide/1", [](auto& x, auto& y) { return x / y; }},
      {GREVY_OP_POWER, "power/1", [](auto& x, auto& y) { return at::pow(x, y); }},
      {GREVY_OP_MINIMUM, "minimum/1", [](auto& x, auto& y) { return at::minimum(x, y); }},
      {GREVY_OP_MAXIMUM, "maximum/1", [](auto& x, auto& y) { return at::maximum(x, y); }},
      {GREVY_OP_EQUAL, "equal/1", [](auto& x, auto& y) { return x == y; }},
      {GREVY_OP_NOT_EQUAL, "not_equal/1", [](auto& x, auto& y) { return x != y; }},
      {GREVY_OP_LESS, "less/1", [](auto& x, auto& y) { return x < y; }},
      {GREVY_OP_LESS_EQUAL, "less_equal/1", [](auto& x, auto& y) { return x <= y; }},
      {GREVY_OP_GREATER, "greater/1", [](auto& x, auto& y) { return x > y; }},
      {GREVY_OP_GREATER_EQUAL, "greater_equal/1", [](auto& x, auto& y) { return x >= y; }},
      {GREVY_OP_LOGICAL_AND, "logical_and/1",
       [](auto& x, auto& y) { return at::logical_and(x, y); }},
      {GREVY_OP_LOGICAL_OR, "logical_or/1", [](auto& x, auto& y) { return at::logical_or(x, y); }},
  };
  std::vector<Row> rows;
  const at::Tensor half = at::scalar_tensor(0.5, at::kDouble);
  for (const auto& [op, name, f] : ops) {
    rows.push_back({op, name, {a, b[0]}, {}, [f = f](auto& x) { return f(x[0], x[1]); }});
    rows.push_back(
        {op, name, {a}, {number(0.5)}, [f = f, half](auto& x) { return f(x[0], half); }});
    rows.push_back(
        {op, name, {{}, a}, {number(0.5)}, [f = f, half](auto& x) { return f(half, x[1]); }});
  }
  return rows;
}

std::vector<Row> reduction_rows() {
  return {
      {GREVY_OP_SUM, "sum/1", {a}, {}, [](auto& x) { return x[0].sum(); }},
      {GREVY_OP_SUM,
       "sum/1",
       {a},
       {list({0, -1}), integer(1)},
       [](auto& x) {
         return at::sum(x[0], at::IntArrayRef{0, 2}, true);
       }},
      {GREVY_OP_MEAN, "mean/1", {a}, {list({1})}, [](auto& x) { return x[0].mean(1); }},
      {GREVY_OP_VARIANCE,
       "variance/1",
       {a},
       {list({2})},
       [](auto& x) { return x[0].var(at::IntArrayRef{2}, true, false); }},
      {GREVY_OP_VARIANCE,
       "variance/1",
       {a},
       {none, none, integer(0)},
       [](auto& x) {
         return x[0].var(at::IntArrayRef{0, 1, 2}, false, false);
       }},
      {GREVY_OP_LARGEST,
       "largest/1",
       {a},
       {list({1}), integer(1)},
       [](auto& x) { return x[0].amax(1, true); }},
      {GREVY_OP_SMALLEST, "smallest/1", {a}, {}, [](auto& x) { return x[0].amin(); }},
      {GREVY_OP_ARGMAX, "argmax/1", {a}, {integer(1)}, [](auto& x) { return x[0].argmax(1); }},
      {GREVY_OP_NORM,
       "norm/1",
       {a},
       {none, list({1}), integer(1)},
       [](auto& x) { return at::norm(x[0], 2, {1}, true); }},
      {GREVY_OP_NORM,
       "norm/1",
       {a},
       {integer(1)},
       [](auto& x) {
         return at::norm(x[0], 1, {0, 1, 2}, false);
       }},
      {GREVY_OP_LOGSUMEXP,
       "logsumexp/1",
       {a},
       {list({1})},
       [](auto& x) { return x[0].logsumexp(1); }},
      {GREVY_OP_SOFTMAX, "softmax/1", {a}, {integer(1)}, [](auto& x) { return x[0].softmax(1); }},
      {GREVY_OP_LOG_SOFTMAX,
       "log_softmax/1",
       {a},
       {integer(-1)},
       [](auto& x) { return x[0].log_softmax(-1); }},
      {GREVY_OP_CUMSUM, "cumsum/1", {a}, {integer(1)}, [](auto& x) { return x[0].cumsum(1); }},
      {GREVY_OP_CLAMP,
       "clamp/1",
       {a},
       {number(0.3), number(0.7)},
       [](auto& x) { return x[0].clamp(0.3, 0.7); }},
      {GREVY_OP_CLAMP,
       "clamp/1",
       {a},
       {none, number(0.7)},
       [](auto& x) { return x[0].clamp_max(0.7); }},
      {GREVY_OP_WHERE,
       "where/1",
       {mask, a, b},
       {},
       [](auto& x) { return at::where(x[0], x[1], x[2]); }},
      {GREVY_OP_WHERE,
       "where/1",
       {mask, a},
       {integer(0)},
       [](auto& x) { return x[1] * x[0].to(at::kDouble); }},
  };
}

std::vector<Row> shape_rows() {
  return {
      {GREVY_OP_MATMUL, "matmul/1", {a, m}, {}, [](auto& x) { return at::matmul(x[0], x[1]); }},
      {GREVY_OP_EINSUM,
       "einsum/1",
       {a, m},
       {text("nct,tk->nck")},
       [](auto& x) {
         return at::einsum("nct,tk->nck", {x[0], x[1]});
       }},
      {GREVY_OP_LINEAR,
       "linear/1",
       {a, m.t().contiguous(), bias.slice(0, 0, 3)},
       {},
       [](auto& x) { return at::linear(x[0], x[1], x[2]); }},
      {GREVY_OP_LINEAR,
       "linear/1",
       {a, m.t().contiguous()},
       {},
       [](auto& x) { return at::linear(x[0], x[1]); }},
      {GREVY_OP_CONV1D,
       "conv1d/1",
       {a, weight, bias},
       {},
       [](auto& x) { return at::conv1d(x[0], x[1], x[2]); }},
      {GREVY_OP_CONV1D,
       "conv1d/1",
       {a, weight.slice(1, 0, 1)},
       {integer(2), integer(1), integer(2), integer(3)},
       [](auto& x) { return at::conv1d(x[0], x[1], {}, 2, 1, 2, 3); }},
      {GREVY_OP_RESHAPE,
       "reshape/1",
       {a},
       {list({6, -1})},
       [](auto& x) {
         return x[0].reshape({6, -1});
       }},
      {GREVY_OP_TRANSPOSE,
       "transpose/1",
       {a},
       {integer(1), integer(2)},
       [](auto& x) { return x[0].transpose(1, 2); }},
      {GREVY_OP_PERMUTE,
       "permute/1",
       {a},
       {list({2, 0, 1})},
       [](auto& x) {
         return x[0].permute({2, 0, 1});
       }},
      {GREVY_OP_UNSQUEEZE,
       "unsqueeze/1",
       {a},
       {integer(-1)},
       [](auto& x) { return x[0].unsqueeze(-1); }},
      {GREVY_OP_SQUEEZE,
       "squeeze/1",
       {sample({2, 1, 3})},
       {integer(1)},
       [](auto& x) { return x[0].squeeze(1); }},
      {GREVY_OP_EXPAND,
       "expand/1",
       {sample({1, 3})},
       {list({4, -1})},
       [](auto& x) {
         return x[0].expand({4, -1});
       }},
      {GREVY_OP_SELECT,
       "select/1",
       {a},
       {integer(1), integer(-1)},
       [](auto& x) { return x[0].select(1, -1); }},
      {GREVY_OP_SLICE,
       "slice/1",
       {a},
       {integer(2), integer(1), none, integer(2)},
       [](auto& x) { return x[0].slice(2, 1, c10::nullopt, 2); }},
      {GREVY_OP_SLICE,
       "slice/1",
       {a},
       {integer(1), none, integer(-1)},
       [](auto& x) { return x[0].slice(1, 0, -1); }},
      {GREVY_OP_UNFOLD,
       "unfold/1",
       {a},
       {integer(2), integer(2), integer(1)},
       [](auto& x) { return x[0].unfold(2, 2, 1); }},
      {GREVY_OP_FLIP,
       "flip/1",
       {a},
       {list({0, 2})},
       [](auto& x) {
         return x[0].flip({0, 2});
       }},
      {GREVY_OP_CAT,
       "cat/1",
       {a, b, a},
       {integer(1)},
       [](auto& x) {
         return at::cat({x[0], x[1], x[2]}, 1);
       }},
      {GREVY_OP_STACK,
       "stack/1",
       {a, b},
       {},
       [](auto& x) {
         return at::stack({x[0], x[1]});
       }},
      {GREVY_OP_INDEX_SELECT,
       "index_select/1",
       {a, index},
       {integer(2)},
       [](auto& x) { return x[0].index_select(2, x[1]); }},
      {GREVY_OP_GATHER,
       "gather/1",
       {a, places},
       {integer(2)},
       [](auto& x) { return x[0].gather(2, x[1]); }},
      {GREVY_OP_CONTIGUOUS,
       "contiguous/1",
       {a.transpose(0, 1)},
       {},
       [](auto& x) { return x[0].contiguous(); }},
      {GREVY_OP_CLONE, "clone/1", {a}, {}, [](auto& x) { return x[0].clone(); }},
      {GREVY_OP_DETACH, "detach/1", {a}, {}, [](auto& x) { return x[0].detach(); }},
      {GREVY_OP_TO,
       "to/1",
       {a},
       {integer(GREVY_FLOAT32), text("cpu")},
       [](auto& x) { return x[0].to(at::kFloat); }},
      {GREVY_OP_TO,
       "to/1",
       {a, at::empty({1}, at::kInt)},
       {},
       [](auto& x) { return x[0].to(at::kInt); }},
  };
}

std::vector<Row> making_rows() {
  return {
      {GREVY_OP_FULL,
       "full/1",
       {},
       {list({2, 3}), number(0.1)},
       [](auto&) {
         return at::full({2, 3}, 0.1);
       }},
      {GREVY_OP_FULL,
       "full/1",
       {like},
       {list({}), integer(7)},
       [](auto&) { return at::full({}, 7, at::kDouble); }},
      {GREVY_OP_FULL,
       "full/1",
       {like},
       {list({2}), integer(1), integer(GREVY_BOOL)},
       [](auto&) { return at::full({2}, true, at::kBool); }},
      {GREVY_OP_ARANGE,
       "arange/1",
       {},
       {integer(1), integer(9), integer(2)},
       [](auto&) { return at::arange(1, 9, 2, at::kLong); }},
      {GREVY_OP_ARANGE,
       "arange/1",
       {like},
       {integer(0), number(1), number(0.25)},
       [](auto&) { return at::arange(0, 1, 0.25, at::kDouble); }},
      {GREVY_OP_UNIFORM,
       "uniform/1",
       {},
       {list({5}), generator(seeded(3)), number(-1), number(2)},
       [](auto&) { return at::empty({5}).uniform_(-1, 2, same(3)); }},
      {GREVY_OP_NORMAL,
       "normal/1",
       {like},
       {list({5}), generator(seeded(4)), none, number(3)},
       [](auto&) { return at::empty({5}, at::kDouble).normal_(0, 3, same(4)); }},
      {GREVY_OP_BERNOULLI,
       "bernoulli/1",
       {},
       {list({9}), generator(seeded(5)), number(0.3)},
       [](auto&) { return at::empty({9}).bernoulli_(0.3, same(5)); }},
      {GREVY_OP_DROPOUT,
       "dropout/1",
       {a},
       {number(0.25), generator(seeded(6))},
       [](auto& x) { return x[0] * (at::empty_like(x[0]).bernoulli_(0.75, same(6)) / 0.75); }},
  };
}

std::vector<Row> all_rows() {
  std::vector<Row> rows = unary_rows();
  for (auto&& more : {binary_rows(), reduction_rows(), shape_rows(), making_rows()})
    rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

bool equal_or_missing(const at::Tensor& x, const at::Tensor& y) {
  return x.defined() == y.defined() && (!x.defined() || at::equal(x, y));
}

}  // namespace

TEST_CASE("every operation gives what LibTorch gives, and its gradient") {
  std::set<std::uint32_t> seen;
  for (const Row& row : all_rows()) {
    CAPTURE(row.name);
    seen.insert(row.op);
    CHECK(ops().find(grevy::detail::text_of(row.name)) == row.op);
    Tensors inputs;
    for (const at::Tensor& input : row.inputs)
      inputs.push_back(input.defined() ? input.detach() : input);
    for (at::Tensor& input : inputs)
      if (input.defined() && input.is_floating_point()) input.requires_grad_(true);
    Tensors defined;
    for (const at::Tensor& input : inputs)
      if (input.defined()) defined.push_back(input);

    const at::Tensor found = run(row.op, inputs, row.attributes);
    const at::Tensor wanted = row.direct(inputs);
    REQUIRE((found.scalar_type() == wanted.scalar_type()));
    CHECK(found.sizes() == wanted.sizes());
    CHECK(at::equal(found, wanted));
    REQUIRE(found.requires_grad() == wanted.requires_grad());
    const Tensors found_gradients = gradients(found, defined);
    const Tensors wanted_gradients = gradients(wanted, defined);
    REQUIRE(found_gradients.size() == wanted_gradients.size());
    for (std::size_t i = 0; i < found_gradients.size(); ++i)
      CHECK(equal_or_missing(found_gradients[i], wanted_gradients[i]));
  }
  CHECK(seen.size() == GREVY_OP_COUNT);
  CHECK(ops().op_count == GREVY_OP_COUNT);
}

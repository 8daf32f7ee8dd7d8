#include "ops/rows.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

namespace grevy::host {
namespace {

using A = const Arguments&;
using T = at::Tensor;

constexpr std::string_view two = "a? b?", value = "number:n?", over = "dims:l? keep:i?";

// Axes that are left out are all axes, as for each of LibTorch's reductions in its own way.
std::vector<std::int64_t> axes(A a, std::size_t i) {
  if (a.has(i)) return a.list(i).vec();
  std::vector<std::int64_t> all(static_cast<std::size_t>(a.tensor(0).dim()));
  for (std::size_t axis = 0; axis < all.size(); ++axis) all[axis] = static_cast<std::int64_t>(axis);
  return all;
}

T clamp(A a) {
  const auto bound = [&](std::size_t i) {
    return a.has(i) ? c10::optional<at::Scalar>(a.scalar(i)) : c10::nullopt;
  };
  return at::clamp(a.tensor(0), bound(0), bound(1));
}

at::Device device_of(const std::string& text) {
  const at::Device device(text);
  if (device.is_cpu() || device.is_cuda()) return device;
  throw Error(ErrorCode::invalid_value,
              "found the device \"" + text + "\"; must be cpu, cuda or cuda:N");
}

T to(A a) {
  const T like = a.tensor(1);
  T x = a.tensor(0);
  if (like.defined()) x = x.to(like.device(), like.scalar_type());
  if (a.has(0)) x = x.to(dtype_of(static_cast<std::uint64_t>(a.integer(0))));
  return a.has(1) ? x.to(device_of(a.text(1))) : x;
}

// A step beyond the axis is as one of its length, with which LibTorch does not count too far.
std::int64_t step_along(const T& x, std::int64_t dim, std::int64_t step) {
  return std::min(step, std::max<std::int64_t>(x.size(dim), 1));
}

T slice(A a) {
  const T x = a.tensor(0);
  const std::int64_t dim = a.integer(0), size = x.size(dim);
  // Bounds beyond the axis are its ends; LibTorch does not take the least of all numbers.
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    return std::clamp(a.integer(i, otherwise), -size, size);
  };
  return at::slice(x, dim, bound(1, 0), bound(2, size), step_along(x, dim, a.positive(3, 1)));
}

T unfold(A a) {
  const T x = a.tensor(0);
  return x.unfold(a.integer(0), a.positive(1, 1), step_along(x, a.integer(0), a.positive(2, 1)));
}

T select(A a) {
  const T x = a.tensor(0);
  const std::int64_t size = x.size(a.integer(0)), index = a.integer(1);
  if (index < -size || index >= size)
    throw Error(ErrorCode::invalid_value, "found the index " + std::to_string(index) +
                                              "; the axis has " + std::to_string(size));
  return at::select(x, a.integer(0), index);
}

T expand(A a) {
  const T wide = a.tensor(0).expand(a.list(0));
  check_sizes(wide.sizes());
  return wide;
}

T conv1d(A a) {
  const T bias = a.tensor(2);
  return at::conv1d(a.tensor(0), a.tensor(1),
                    bias.defined() ? c10::make_optional(bias) : c10::nullopt,
                    at::IntArrayRef{a.small(0, 1, 1)}, at::IntArrayRef{a.small(1, 0, 0)},
                    at::IntArrayRef{a.small(2, 1, 1)}, a.small(3, 1, 1));
}

T arange(A a) {
  const double start = a.number(0), end = a.number(1), step = a.number(2);
  const double count = (end - start) / step;
  if (!(std::isfinite(count) && count <= static_cast<double>(max_elements)))
    throw Error(ErrorCode::invalid_value, "found bounds that hold more than 2^32 elements");
  // LibTorch adds a step to them.
  constexpr double most = static_cast<double>(std::int64_t{1} << 61);
  for (std::size_t i = 0; i < 3; ++i)
    if (a.scalar(i).isIntegral(true) && std::fabs(a.number(i)) > most)
      throw Error(ErrorCode::invalid_value, "found whole bounds beyond 2^61");
  return at::arange(a.scalar(0), a.scalar(1), a.scalar(2), a.options(0, 3, GREVY_INT64));
}

// Numbers are drawn on the CPU, where the generator is, and moved.
template <class Draw>
T drawn(A a, std::size_t dtype, Draw&& draw) {
  const at::TensorOptions options = a.options(0, dtype);
  return draw(at::empty(a.sizes(0), options.device(at::kCPU))).to(options.device());
}

double probability(A a, std::size_t i) {
  const double p = a.number(i);
  if (p >= 0 && p <= 1) return p;
  throw Error(ErrorCode::invalid_value,
              "found a probability of " + std::to_string(p) + "; must be from 0 to 1");
}

T dropout(A a) {
  const T x = a.tensor(0);
  const double kept = 1 - probability(a, 0);
  if (kept <= 0) throw Error(ErrorCode::invalid_value, "found a probability of 1; must be below 1");
  const T mask =
      at::empty(x.sizes(), x.options().device(at::kCPU)).bernoulli_(kept, a.generator(1));
  return x * mask.to(x.device()).div_(kept);
}

// The last argument is an expression of `a`.
#define ROW(op, name, inputs, attributes, ...)                                      \
  {                                                                                 \
    GREVY_OP_##op, name, {inputs, attributes}, [](A a) -> T { return __VA_ARGS__; } \
  }

constexpr OpRow rows[] = {
    ROW(ADD, "add/1", two, value, at::add(a.operand(0, 0), a.operand(1, 0))),
    ROW(SUBTRACT, "subtract/1", two, value, at::sub(a.operand(0, 0), a.operand(1, 0))),
    ROW(MULTIPLY, "multiply/1", two, value, at::mul(a.operand(0, 0), a.operand(1, 0))),
    ROW(DIVIDE, "divide/1", two, value, at::div(a.operand(0, 0), a.operand(1, 0))),
    ROW(POWER, "power/1", two, value, at::pow(a.operand(0, 0), a.operand(1, 0))),
    ROW(MINIMUM, "minimum/1", two, value, at::minimum(a.operand(0, 0), a.operand(1, 0))),
    ROW(MAXIMUM, "maximum/1", two, value, at::maximum(a.operand(0, 0), a.operand(1, 0))),
    ROW(EQUAL, "equal/1", two, value, at::eq(a.operand(0, 0), a.operand(1, 0))),
    ROW(NOT_EQUAL, "not_equal/1", two, value, at::ne(a.operand(0, 0), a.operand(1, 0))),
    ROW(LESS, "less/1", two, value, at::lt(a.operand(0, 0), a.operand(1, 0))),
    ROW(LESS_EQUAL, "less_equal/1", two, value, at::le(a.operand(0, 0), a.operand(1, 0))),
    ROW(GREATER, "greater/1", two, value, at::gt(a.operand(0, 0), a.operand(1, 0))),
    ROW(GREATER_EQUAL, "greater_equal/1", two, value, at::ge(a.operand(0, 0), a.operand(1, 0))),
    ROW(LOGICAL_AND, "logical_and/1", two, value,
        at::logical_and(a.operand(0, 0), a.operand(1, 0))),
    ROW(LOGICAL_OR, "logical_or/1", two, value, at::logical_or(a.operand(0, 0), a.operand(1, 0))),

    ROW(LOGICAL_NOT, "logical_not/1", "x", "", at::logical_not(a.tensor(0))),
    ROW(IS_FINITE, "is_finite/1", "x", "", at::isfinite(a.tensor(0))),
    ROW(NEGATE, "negate/1", "x", "", at::neg(a.tensor(0))),
    ROW(ABSOLUTE, "absolute/1", "x", "", at::abs(a.tensor(0))),
    ROW(SIGN, "sign/1", "x", "", at::sign(a.tensor(0))),
    ROW(EXP, "exp/1", "x", "", at::exp(a.tensor(0))),
    ROW(LOG, "log/1", "x", "", at::log(a.tensor(0))),
    ROW(LOG1P, "log1p/1", "x", "", at::log1p(a.tensor(0))),
    ROW(SQRT, "sqrt/1", "x", "", at::sqrt(a.tensor(0))),
    ROW(RSQRT, "rsqrt/1", "x", "", at::rsqrt(a.tensor(0))),
    ROW(SQUARE, "square/1", "x", "", at::square(a.tensor(0))),
    ROW(RECIPROCAL, "reciprocal/1", "x", "", at::reciprocal(a.tensor(0))),
    ROW(SIN, "sin/1", "x", "", at::sin(a.tensor(0))),
    ROW(COS, "cos/1", "x", "", at::cos(a.tensor(0))),
    ROW(FLOOR, "floor/1", "x", "", at::floor(a.tensor(0))),
    ROW(RELU, "relu/1", "x", "", at::relu(a.tensor(0))),
    ROW(GELU, "gelu/1", "x", "", at::gelu(a.tensor(0))),
    ROW(TANH, "tanh/1", "x", "", at::tanh(a.tensor(0))),
    ROW(SIGMOID, "sigmoid/1", "x", "", at::sigmoid(a.tensor(0))),
    ROW(SOFTPLUS, "softplus/1", "x", "", at::softplus(a.tensor(0))),
    ROW(CLAMP, "clamp/1", "x", "low:n? high:n?", clamp(a)),
    ROW(WHERE, "where/1", "condition a? b?", value,
        at::where(a.tensor(0), a.operand(1, 0), a.operand(2, 0))),

    ROW(SUM, "sum/1", "x", over, at::sum(a.tensor(0), axes(a, 0), a.flag(1))),
    ROW(MEAN, "mean/1", "x", over, at::mean(a.tensor(0), axes(a, 0), a.flag(1))),
    ROW(VARIANCE, "variance/1", "x", "dims:l? keep:i? unbiased:i?",
        at::var(a.tensor(0), axes(a, 0), a.flag(2, true), a.flag(1))),
    ROW(LARGEST, "largest/1", "x", over, at::amax(a.tensor(0), axes(a, 0), a.flag(1))),
    ROW(SMALLEST, "smallest/1", "x", over, at::amin(a.tensor(0), axes(a, 0), a.flag(1))),
    ROW(ARGMAX, "argmax/1", "x", "dim:i keep:i?", at::argmax(a.tensor(0), a.integer(0), a.flag(1))),
    ROW(NORM, "norm/1", "x", "p:n? dims:l? keep:i?",
        at::norm(a.tensor(0), at::Scalar(a.number(0, 2)), axes(a, 1), a.flag(2))),
    ROW(LOGSUMEXP, "logsumexp/1", "x", "dims:l keep:i?",
        at::logsumexp(a.tensor(0), a.list(0), a.flag(1))),
    ROW(SOFTMAX, "softmax/1", "x", "dim:i", at::softmax(a.tensor(0), a.integer(0))),
    ROW(LOG_SOFTMAX, "log_softmax/1", "x", "dim:i", at::log_softmax(a.tensor(0), a.integer(0))),
    ROW(CUMSUM, "cumsum/1", "x", "dim:i", at::cumsum(a.tensor(0), a.integer(0))),

    ROW(MATMUL, "matmul/1", "a b", "", at::matmul(a.tensor(0), a.tensor(1))),
    ROW(EINSUM, "einsum/1", "tensors*", "equation:t", at::einsum(a.text(0), a.tensors())),
    ROW(LINEAR, "linear/1", "x weight bias?", "",
        at::linear(a.tensor(0), a.tensor(1), a.tensor(2))),
    ROW(CONV1D, "conv1d/1", "x weight bias?", "stride:i? padding:i? dilation:i? groups:i?",
        conv1d(a)),

    ROW(RESHAPE, "reshape/1", "x", "sizes:l", at::reshape(a.tensor(0), a.list(0))),
    ROW(TRANSPOSE, "transpose/1", "x", "dim:i other:i",
        at::transpose(a.tensor(0), a.integer(0), a.integer(1))),
    ROW(PERMUTE, "permute/1", "x", "dims:l", at::permute(a.tensor(0), a.list(0))),
    ROW(UNSQUEEZE, "unsqueeze/1", "x", "dim:i", at::unsqueeze(a.tensor(0), a.integer(0))),
    ROW(SQUEEZE, "squeeze/1", "x", "dim:i", at::squeeze(a.tensor(0), a.integer(0))),
    ROW(EXPAND, "expand/1", "x", "sizes:l", expand(a)),
    ROW(SELECT, "select/1", "x", "dim:i index:i", select(a)),
    ROW(SLICE, "slice/1", "x", "dim:i start:i? end:i? step:i?", slice(a)),
    ROW(UNFOLD, "unfold/1", "x", "dim:i size:i step:i", unfold(a)),
    ROW(FLIP, "flip/1", "x", "dims:l", at::flip(a.tensor(0), a.list(0))),
    ROW(CAT, "cat/1", "tensors*", "dim:i?", at::cat(a.tensors(), a.integer(0))),
    ROW(STACK, "stack/1", "tensors*", "dim:i?", at::stack(a.tensors(), a.integer(0))),
    ROW(INDEX_SELECT, "index_select/1", "x index", "dim:i",
        at::index_select(a.tensor(0), a.integer(0), a.tensor(1))),
    ROW(GATHER, "gather/1", "x index", "dim:i", at::gather(a.tensor(0), a.integer(0), a.tensor(1))),

    ROW(CONTIGUOUS, "contiguous/1", "x", "", a.tensor(0).contiguous()),
    ROW(CLONE, "clone/1", "x", "", at::clone(a.tensor(0))),
    ROW(DETACH, "detach/1", "x", "", a.tensor(0).detach()),
    ROW(TO, "to/1", "x like?", "dtype:i? device:t?", to(a)),

    ROW(FULL, "full/1", "like?", "sizes:l number:n dtype:i?",
        at::full(a.sizes(0), a.scalar(1), a.options(0, 2))),
    ROW(ARANGE, "arange/1", "like?", "start:n end:n step:n dtype:i?", arange(a)),
    ROW(UNIFORM, "uniform/1", "like?", "sizes:l generator:g low:n? high:n? dtype:i?",
        drawn(a, 4, [&](T x) { return x.uniform_(a.number(2), a.number(3, 1), a.generator(1)); })),
    ROW(NORMAL, "normal/1", "like?", "sizes:l generator:g mean:n? std:n? dtype:i?",
        drawn(a, 4, [&](T x) { return x.normal_(a.number(2), a.number(3, 1), a.generator(1)); })),
    ROW(BERNOULLI, "bernoulli/1", "like?", "sizes:l generator:g probability:n dtype:i?",
        drawn(a, 3, [&](T x) { return x.bernoulli_(probability(a, 2), a.generator(1)); })),
    ROW(DROPOUT, "dropout/1", "x", "probability:n generator:g", dropout(a)),
};

constexpr bool in_order() {
  for (std::uint32_t i = 0; i < std::size(rows); ++i)
    if (rows[i].op != i) return false;
  return std::size(rows) == GREVY_OP_COUNT;
}
static_assert(in_order(), "a row's place is its operation's number");

}  // namespace

const OpRow* find_row(std::uint32_t op) { return op < std::size(rows) ? &rows[op] : nullptr; }
std::uint32_t row_count() { return static_cast<std::uint32_t>(std::size(rows)); }

}  // namespace grevy::host

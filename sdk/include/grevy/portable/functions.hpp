// Operators and functions of portable tensors, named as LibTorch names them.
#ifndef GREVY_PORTABLE_FUNCTIONS_HPP
#define GREVY_PORTABLE_FUNCTIONS_HPP

#include <grevy/portable/tensor.hpp>

namespace grevy::portable {

// Two tensors, or a tensor and a number, in either order.
#define GREVY_BINARY(name, OP)                                     \
  inline Tensor name(const Tensor& a, const Tensor& b) {           \
    return run(GREVY_OP_##OP, {a.handle(), b.handle()});           \
  }                                                                \
  inline Tensor name(const Tensor& a, const Scalar& b) {           \
    return run(GREVY_OP_##OP, {a.handle()}, {number(b)});          \
  }                                                                \
  inline Tensor name(const Scalar& a, const Tensor& b) {           \
    return run(GREVY_OP_##OP, {nullptr, b.handle()}, {number(a)}); \
  }
GREVY_BINARY(operator+, ADD)
GREVY_BINARY(operator-, SUBTRACT)
GREVY_BINARY(operator*, MULTIPLY)
GREVY_BINARY(operator/, DIVIDE)
GREVY_BINARY(operator==, EQUAL)
GREVY_BINARY(operator!=, NOT_EQUAL)
GREVY_BINARY(operator<, LESS)
GREVY_BINARY(operator<=, LESS_EQUAL)
GREVY_BINARY(operator>, GREATER)
GREVY_BINARY(operator>=, GREATER_EQUAL)
GREVY_BINARY(pow, POWER)
GREVY_BINARY(minimum, MINIMUM)
GREVY_BINARY(maximum, MAXIMUM)
GREVY_BINARY(logical_and, LOGICAL_AND)
GREVY_BINARY(logical_or, LOGICAL_OR)
#undef GREVY_BINARY

// Of each element.
#define GREVY_UNARY(name, OP) \
  inline Tensor name(const Tensor& x) { return run(GREVY_OP_##OP, {x.handle()}); }
GREVY_UNARY(abs, ABSOLUTE)
GREVY_UNARY(sign, SIGN)
GREVY_UNARY(exp, EXP)
GREVY_UNARY(log, LOG)
GREVY_UNARY(log1p, LOG1P)
GREVY_UNARY(sqrt, SQRT)
GREVY_UNARY(rsqrt, RSQRT)
GREVY_UNARY(square, SQUARE)
GREVY_UNARY(sin, SIN)
GREVY_UNARY(cos, COS)
GREVY_UNARY(floor, FLOOR)
GREVY_UNARY(relu, RELU)
GREVY_UNARY(gelu, GELU)
GREVY_UNARY(tanh, TANH)
GREVY_UNARY(sigmoid, SIGMOID)
GREVY_UNARY(softplus, SOFTPLUS)
#undef GREVY_UNARY

inline Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return run(GREVY_OP_WHERE, {condition.handle(), a.handle(), b.handle()});
}
inline Tensor where(const Tensor& condition, const Tensor& a, const Scalar& b) {
  return run(GREVY_OP_WHERE, {condition.handle(), a.handle()}, {number(b)});
}
inline Tensor matmul(const Tensor& a, const Tensor& b) { return a.matmul(b); }
inline Tensor mm(const Tensor& a, const Tensor& b) { return a.matmul(b); }
inline Tensor einsum(std::string_view equation, TensorList tensors) {
  return run(GREVY_OP_EINSUM, tensors, text(equation));
}
inline Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {}) {
  return run(GREVY_OP_LINEAR, {x.handle(), weight.handle(), bias.handle()});
}
inline Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     std::int64_t stride = 1, std::int64_t padding = 0, std::int64_t dilation = 1,
                     std::int64_t groups = 1) {
  return run(GREVY_OP_CONV1D, {x.handle(), weight.handle(), bias.handle()},
             {number(stride), number(padding), number(dilation), number(groups)});
}
inline Tensor cat(TensorList tensors, std::int64_t dim = 0) {
  return run(GREVY_OP_CAT, tensors, number(dim));
}
inline Tensor stack(TensorList tensors, std::int64_t dim = 0) {
  return run(GREVY_OP_STACK, tensors, number(dim));
}
inline Tensor logsumexp(const Tensor& x, IntArrayRef dims, bool keep = false) {
  return x.logsumexp(dims, keep);
}
inline Tensor softmax(const Tensor& x, std::int64_t dim) { return x.softmax(dim); }
inline Tensor log_softmax(const Tensor& x, std::int64_t dim) { return x.log_softmax(dim); }
inline Tensor norm(const Tensor& x, const Scalar& p, IntArrayRef dims, bool keep = false) {
  return x.norm(p, dims, keep);
}
// As LibTorch's, with a generator of the component's own.
inline Tensor dropout(const Tensor& x, double probability, const Generator& generator) {
  return run(GREVY_OP_DROPOUT, {x.handle()}, {number(probability), generator.attribute()});
}

// Without a type named, that of the number: bool, int64 or float32.
inline Tensor full(IntArrayRef sizes, const Scalar& value, const TensorOptions& options = {}) {
  const ScalarType own = value.is_boolean() ? kBool : value.is_integral() ? kLong : kFloat;
  return run(GREVY_OP_FULL, {nullptr},
             {list(sizes), number(value), type(options.dtype_opt().value_or(own))})
      .to(options.device());
}
inline Tensor zeros(IntArrayRef sizes, const TensorOptions& options = {}) {
  return full(sizes, 0, options.dtype(options.dtype()));
}
inline Tensor ones(IntArrayRef sizes, const TensorOptions& options = {}) {
  return full(sizes, 1, options.dtype(options.dtype()));
}
// To be written to.
inline Tensor empty(IntArrayRef sizes, const TensorOptions& options = {}) {
  return zeros(sizes, options);
}
// What the options do not name is as of x.
inline Tensor full_like(const Tensor& x, const Scalar& value, const TensorOptions& options = {}) {
  return run(GREVY_OP_FULL, {x.handle()},
             {list(x.sizes()), number(value), type(options.dtype_opt())})
      .to(TensorOptions(options.device_opt().value_or(x.device())));
}
inline Tensor zeros_like(const Tensor& x, const TensorOptions& options = {}) {
  return full_like(x, 0, options);
}
inline Tensor ones_like(const Tensor& x, const TensorOptions& options = {}) {
  return full_like(x, 1, options);
}
inline Tensor empty_like(const Tensor& x, const TensorOptions& options = {}) {
  return full_like(x, 0, options);
}
// Without a type named, int64 where all bounds are whole, else float32.
inline Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step,
                     const TensorOptions& options = {}) {
  const bool is_whole = start.is_integral() && end.is_integral() && step.is_integral();
  return run(GREVY_OP_ARANGE, {nullptr},
             {number(start), number(end), number(step),
              type(options.dtype_opt().value_or(is_whole ? kLong : kFloat))})
      .to(options.device());
}
inline Tensor arange(const Scalar& start, const Scalar& end, const TensorOptions& options = {}) {
  return arange(start, end, 1, options);
}
inline Tensor arange(const Scalar& end, const TensorOptions& options = {}) {
  return arange(0, end, 1, options);
}
// A copy of values, row-major.
template <class T>
Tensor tensor(const std::vector<T>& values) {
  grevy_tensor* made = nullptr;
  const auto size = static_cast<std::int64_t>(values.size());
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.from_data(static_cast<std::uint32_t>(type_of<T>()), &size, 1, values.data(), &made,
                         errors);
  });
  return Tensor::taken(made);
}

// Whether operations of this thread are recorded.
struct GradMode {
  static bool is_enabled() {
    const std::uint32_t now = operations()->set_recording(1);
    operations()->set_recording(now);
    return now != 0;
  }
  static void set_enabled(bool recording) { operations()->set_recording(recording); }
};
// They are, or are not, for a scope.
class AutoGradMode {
 public:
  explicit AutoGradMode(bool recording) : before_(operations()->set_recording(recording)) {}
  ~AutoGradMode() { operations()->set_recording(before_); }
  AutoGradMode(const AutoGradMode&) = delete;
  AutoGradMode& operator=(const AutoGradMode&) = delete;

 private:
  std::uint32_t before_;
};
struct NoGradGuard : AutoGradMode {
  NoGradGuard() : AutoGradMode(false) {}
};

}  // namespace grevy::portable

#endif

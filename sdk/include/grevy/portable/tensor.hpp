// A counted handle of the host's tensors, which reads like LibTorch's at::Tensor.
//
// Every operation is one of grevy/ops.h, run by the host; what it does is described there. Errors:
// Error with the operation's name and what it takes.
#ifndef GREVY_PORTABLE_TENSOR_HPP
#define GREVY_PORTABLE_TENSOR_HPP

#include <grevy/portable/types.hpp>

#include <utility>

namespace grevy::portable {

class Tensor {
 public:
  Tensor() = default;
  ~Tensor() {
    if (handle_ != nullptr) operations()->release(handle_);
  }
  Tensor(const Tensor& other) : handle_(other.handle_) {
    if (handle_ != nullptr) operations()->retain(handle_);
  }
  Tensor(Tensor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  // Takes over the handle's one reference; hands it out again; shows it.
  static Tensor taken(grevy_tensor* handle) {
    Tensor tensor;
    tensor.handle_ = handle;
    return tensor;
  }
  grevy_tensor* released() { return std::exchange(handle_, nullptr); }
  grevy_tensor* handle() const { return handle_; }

  bool defined() const { return handle_ != nullptr; }
  bool is_same(const Tensor& other) const { return handle_ == other.handle_; }
  std::int64_t dim() const { return static_cast<std::int64_t>(inspected().dims); }
  IntArrayRef sizes() const { return {inspected().sizes, inspected().dims}; }
  IntArrayRef strides() const { return {inspected().strides, inspected().dims}; }
  std::int64_t size(std::int64_t axis) const;
  std::int64_t numel() const { return inspected().count; }
  ScalarType scalar_type() const;
  ScalarType dtype() const { return scalar_type(); }
  Device device() const;
  TensorOptions options() const { return TensorOptions(scalar_type()).device(device()); }
  bool is_floating_point() const { return scalar_type() == kFloat || scalar_type() == kDouble; }
  bool is_contiguous() const { return inspected().is_contiguous != 0; }
  bool requires_grad() const { return inspected().requires_grad != 0; }

  // A scalar's value; all values in row-major order.
  template <class T>
  T item() const {
    if constexpr (std::is_same_v<T, bool>)
      return values<double>(1).front() != 0;
    else
      return static_cast<T>(values<T>(1).front());
  }
  template <class T>
  std::vector<T> to_vector() const {
    return values<T>(numel());
  }

  // Gradients.
  const Tensor& requires_grad_(bool required = true) const;
  void backward() const { backward(Tensor()); }
  void backward(const Tensor& gradient) const;
  Tensor grad() const;
  Tensor detach() const;

  // Written in place, unrecorded; the tensor itself.
  const Tensor& copy_(const Tensor& source) const;
  const Tensor& fill_(const Scalar& value) const;
  const Tensor& zero_() const { return fill_(0); }
  const Tensor& uniform_(double low, double high, const Generator& generator) const;
  const Tensor& normal_(double mean, double std, const Generator& generator) const;
  const Tensor& bernoulli_(double probability, const Generator& generator) const;

  // As the functions of the same names in functions.hpp.
  Tensor to(ScalarType type) const;
  Tensor to(const Device& device) const;
  Tensor to(DeviceType device) const { return to(Device(device)); }
  Tensor to(const Device& device, ScalarType type) const {
    return to(TensorOptions(type).device(device));
  }
  Tensor to(const TensorOptions& options) const;
  Tensor clone() const;
  Tensor contiguous() const;
  Tensor operator-() const;
  Tensor operator[](std::int64_t index) const { return select(0, index); }
  Tensor abs() const;
  Tensor exp() const;
  Tensor log() const;
  Tensor log1p() const;
  Tensor sqrt() const;
  Tensor rsqrt() const;
  Tensor square() const;
  Tensor reciprocal() const;
  Tensor floor() const;
  Tensor relu() const;
  Tensor tanh() const;
  Tensor sigmoid() const;
  Tensor isfinite() const;
  Tensor logical_not() const;
  Tensor pow(const Scalar& exponent) const;
  Tensor clamp(const Scalar& low, const Scalar& high) const;
  Tensor clamp_min(const Scalar& low) const;
  Tensor clamp_max(const Scalar& high) const;
  Tensor floor_divide(const Scalar& by) const;
  Tensor sum() const;
  Tensor sum(IntArrayRef dims, bool keep = false) const;
  Tensor mean() const;
  Tensor mean(IntArrayRef dims, bool keep = false) const;
  Tensor amax(IntArrayRef dims = {}, bool keep = false) const;
  Tensor amin(IntArrayRef dims = {}, bool keep = false) const;
  Tensor argmax(std::int64_t dim, bool keep = false) const;
  Tensor norm(const Scalar& p, IntArrayRef dims, bool keep = false) const;
  Tensor logsumexp(IntArrayRef dims, bool keep = false) const;
  Tensor softmax(std::int64_t dim) const;
  Tensor log_softmax(std::int64_t dim) const;
  Tensor cumsum(std::int64_t dim) const;
  Tensor matmul(const Tensor& other) const;
  Tensor reshape(IntArrayRef sizes) const;
  Tensor view(IntArrayRef sizes) const { return reshape(sizes); }
  Tensor flatten() const { return reshape({-1}); }
  Tensor t() const { return transpose(0, 1); }
  Tensor transpose(std::int64_t a, std::int64_t b) const;
  Tensor permute(IntArrayRef dims) const;
  Tensor unsqueeze(std::int64_t dim) const;
  Tensor squeeze(std::int64_t dim) const;
  Tensor expand(IntArrayRef sizes) const;
  Tensor expand_as(const Tensor& other) const { return expand(other.sizes()); }
  Tensor select(std::int64_t dim, std::int64_t index) const;
  Tensor slice(std::int64_t dim, std::int64_t start, std::optional<std::int64_t> end = {},
               std::int64_t step = 1) const;
  Tensor narrow(std::int64_t dim, std::int64_t start, std::int64_t length) const {
    const std::int64_t rows = size(dim), first = start < 0 ? start + rows : start;
    if (first < 0 || length < 0 || length > rows - first)
      throw Error(ErrorCode::out_of_range, "narrow: found start " + std::to_string(start) +
                                               " and length " + std::to_string(length) +
                                               "; the axis has " + std::to_string(rows));
    return slice(dim, first, first + length);
  }
  Tensor unfold(std::int64_t dim, std::int64_t size, std::int64_t step) const;
  Tensor flip(IntArrayRef dims) const;
  Tensor index_select(std::int64_t dim, const Tensor& index) const;
  Tensor gather(std::int64_t dim, const Tensor& index) const;

 private:
  grevy_tensor_info inspected() const {
    grevy_tensor_info info{};
    info.struct_size = sizeof(info);
    checked(
        [&](const grevy_ops& ops, auto* errors) { return ops.inspect(handle_, &info, errors); });
    return info;
  }
  template <class T>
  std::vector<T> values(std::int64_t count) const;

  grevy_tensor* handle_ = nullptr;
};

// Runs an operation.
inline Tensor run(std::uint32_t op, std::initializer_list<grevy_tensor*> inputs,
                  std::initializer_list<grevy_attribute> attributes = {}) {
  grevy_tensor* output = nullptr;
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.call(op, inputs.begin(), inputs.size(), attributes.begin(), attributes.size(),
                    &output, 1, errors);
  });
  return Tensor::taken(output);
}

using TensorList = const std::vector<Tensor>&;
inline Tensor run(std::uint32_t op, TensorList inputs, const grevy_attribute& attribute) {
  std::vector<grevy_tensor*> handles;
  for (const Tensor& input : inputs) handles.push_back(input.handle());
  grevy_tensor* output = nullptr;
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.call(op, handles.data(), handles.size(), &attribute, 1, &output, 1, errors);
  });
  return Tensor::taken(output);
}

inline std::int64_t Tensor::size(std::int64_t axis) const {
  const grevy_tensor_info info = inspected();
  const auto count = static_cast<std::int64_t>(info.dims);
  if (axis < -count || axis >= count)
    throw Error(ErrorCode::out_of_range,
                "there is no axis " + std::to_string(axis) + " of " + std::to_string(count));
  return info.sizes[axis < 0 ? axis + count : axis];
}
inline ScalarType Tensor::scalar_type() const { return static_cast<ScalarType>(inspected().dtype); }
inline Device Tensor::device() const {
  const grevy_tensor_info info = inspected();
  const auto type = static_cast<DeviceType>(info.device_type);
  return {type, type == kCUDA ? info.device_index : -1};
}

// The number of a C++ type.
template <class T>
constexpr ScalarType type_of() {
  if constexpr (std::is_same_v<T, float>)
    return kFloat;
  else if constexpr (std::is_same_v<T, double>)
    return kDouble;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return kLong;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return kInt;
  else {
    static_assert(std::is_same_v<T, std::uint8_t>,
                  "elements are float, double, int64_t, int32_t or uint8_t");
    return kByte;
  }
}
template <class T>
std::vector<T> Tensor::values(std::int64_t count) const {
  std::vector<T> result(static_cast<std::size_t>(count));
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.to_data(handle_, static_cast<std::uint32_t>(type_of<T>()), result.data(),
                       result.size(), errors);
  });
  return result;
}

inline const Tensor& Tensor::requires_grad_(bool required) const {
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.require_gradient(handle_, required, errors);
  });
  return *this;
}
inline void Tensor::backward(const Tensor& gradient) const {
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.backward(handle_, gradient.handle_, errors);
  });
}
inline Tensor Tensor::grad() const {
  grevy_tensor* gradient = nullptr;
  checked(
      [&](const grevy_ops& ops, auto* errors) { return ops.gradient(handle_, &gradient, errors); });
  return taken(gradient);
}
inline const Tensor& Tensor::copy_(const Tensor& source) const {
  checked([&](const grevy_ops& ops, auto* errors) {
    return ops.assign(handle_, source.handle_, errors);
  });
  return *this;
}
inline const Tensor& Tensor::fill_(const Scalar& value) const {
  return copy_(run(GREVY_OP_FULL, {handle_}, {list(IntArrayRef()), number(value)}));
}
inline const Tensor& Tensor::uniform_(double low, double high, const Generator& generator) const {
  return copy_(run(GREVY_OP_UNIFORM, {handle_},
                   {list(sizes()), generator.attribute(), number(low), number(high)}));
}
inline const Tensor& Tensor::normal_(double mean, double std, const Generator& generator) const {
  return copy_(run(GREVY_OP_NORMAL, {handle_},
                   {list(sizes()), generator.attribute(), number(mean), number(std)}));
}
inline const Tensor& Tensor::bernoulli_(double probability, const Generator& generator) const {
  return copy_(run(GREVY_OP_BERNOULLI, {handle_},
                   {list(sizes()), generator.attribute(), number(probability)}));
}

inline Tensor Tensor::to(ScalarType to_type) const {
  return run(GREVY_OP_TO, {handle_}, {type(to_type)});
}
inline Tensor Tensor::to(const Device& device) const {
  const std::string name = device.str();
  return run(GREVY_OP_TO, {handle_}, {none(), text(name)});
}
inline Tensor Tensor::to(const TensorOptions& options) const {
  const std::string name = options.device().str();
  return run(GREVY_OP_TO, {handle_},
             {type(options.dtype_opt()), options.has_device() ? text(name) : none()});
}

#define GREVY_UNARY(name, OP) \
  inline Tensor Tensor::name() const { return run(GREVY_OP_##OP, {handle_}); }
GREVY_UNARY(detach, DETACH)
GREVY_UNARY(clone, CLONE)
GREVY_UNARY(contiguous, CONTIGUOUS)
GREVY_UNARY(operator-, NEGATE)
GREVY_UNARY(abs, ABSOLUTE)
GREVY_UNARY(exp, EXP)
GREVY_UNARY(log, LOG)
GREVY_UNARY(log1p, LOG1P)
GREVY_UNARY(sqrt, SQRT)
GREVY_UNARY(rsqrt, RSQRT)
GREVY_UNARY(square, SQUARE)
GREVY_UNARY(reciprocal, RECIPROCAL)
GREVY_UNARY(floor, FLOOR)
GREVY_UNARY(relu, RELU)
GREVY_UNARY(tanh, TANH)
GREVY_UNARY(sigmoid, SIGMOID)
GREVY_UNARY(isfinite, IS_FINITE)
GREVY_UNARY(logical_not, LOGICAL_NOT)
GREVY_UNARY(sum, SUM)
GREVY_UNARY(mean, MEAN)
#undef GREVY_UNARY

inline Tensor Tensor::pow(const Scalar& exponent) const {
  return run(GREVY_OP_POWER, {handle_}, {number(exponent)});
}
inline Tensor Tensor::clamp(const Scalar& low, const Scalar& high) const {
  return run(GREVY_OP_CLAMP, {handle_}, {number(low), number(high)});
}
inline Tensor Tensor::clamp_min(const Scalar& low) const {
  return run(GREVY_OP_CLAMP, {handle_}, {number(low)});
}
inline Tensor Tensor::clamp_max(const Scalar& high) const {
  return run(GREVY_OP_CLAMP, {handle_}, {none(), number(high)});
}
// Of whole numbers exact below 2^53.
inline Tensor Tensor::floor_divide(const Scalar& by) const {
  const Tensor quotient = run(GREVY_OP_DIVIDE, {to(kDouble).handle()}, {number(by)});
  return quotient.floor().to(scalar_type());
}

#define GREVY_REDUCTION(name, OP)                                                             \
  inline Tensor Tensor::name(IntArrayRef dims, bool keep) const {                             \
    return run(GREVY_OP_##OP, {handle_}, {dims.empty() ? none() : list(dims), number(keep)}); \
  }
GREVY_REDUCTION(sum, SUM)
GREVY_REDUCTION(mean, MEAN)
GREVY_REDUCTION(amax, LARGEST)
GREVY_REDUCTION(amin, SMALLEST)
#undef GREVY_REDUCTION
inline Tensor Tensor::logsumexp(IntArrayRef dims, bool keep) const {
  return run(GREVY_OP_LOGSUMEXP, {handle_}, {list(dims), number(keep)});
}
inline Tensor Tensor::norm(const Scalar& p, IntArrayRef dims, bool keep) const {
  return run(GREVY_OP_NORM, {handle_}, {number(p), list(dims), number(keep)});
}
inline Tensor Tensor::argmax(std::int64_t dim, bool keep) const {
  return run(GREVY_OP_ARGMAX, {handle_}, {number(dim), number(keep)});
}

#define GREVY_AXIS(name, OP)                             \
  inline Tensor Tensor::name(std::int64_t dim) const {   \
    return run(GREVY_OP_##OP, {handle_}, {number(dim)}); \
  }
GREVY_AXIS(softmax, SOFTMAX)
GREVY_AXIS(log_softmax, LOG_SOFTMAX)
GREVY_AXIS(cumsum, CUMSUM)
GREVY_AXIS(unsqueeze, UNSQUEEZE)
GREVY_AXIS(squeeze, SQUEEZE)
#undef GREVY_AXIS

#define GREVY_LIST(name, OP)                              \
  inline Tensor Tensor::name(IntArrayRef values) const {  \
    return run(GREVY_OP_##OP, {handle_}, {list(values)}); \
  }
GREVY_LIST(reshape, RESHAPE)
GREVY_LIST(permute, PERMUTE)
GREVY_LIST(expand, EXPAND)
GREVY_LIST(flip, FLIP)
#undef GREVY_LIST

inline Tensor Tensor::matmul(const Tensor& other) const {
  return run(GREVY_OP_MATMUL, {handle_, other.handle_});
}
inline Tensor Tensor::transpose(std::int64_t a, std::int64_t b) const {
  return run(GREVY_OP_TRANSPOSE, {handle_}, {number(a), number(b)});
}
inline Tensor Tensor::select(std::int64_t dim, std::int64_t index) const {
  return run(GREVY_OP_SELECT, {handle_}, {number(dim), number(index)});
}
inline Tensor Tensor::slice(std::int64_t dim, std::int64_t start, std::optional<std::int64_t> end,
                            std::int64_t step) const {
  return run(GREVY_OP_SLICE, {handle_},
             {number(dim), number(start), end ? number(*end) : none(), number(step)});
}
inline Tensor Tensor::unfold(std::int64_t dim, std::int64_t size, std::int64_t step) const {
  return run(GREVY_OP_UNFOLD, {handle_}, {number(dim), number(size), number(step)});
}
inline Tensor Tensor::index_select(std::int64_t dim, const Tensor& index) const {
  return run(GREVY_OP_INDEX_SELECT, {handle_, index.handle_}, {number(dim)});
}
inline Tensor Tensor::gather(std::int64_t dim, const Tensor& index) const {
  return run(GREVY_OP_GATHER, {handle_, index.handle_}, {number(dim)});
}

}  // namespace grevy::portable

#endif

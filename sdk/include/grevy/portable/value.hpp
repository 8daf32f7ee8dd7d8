// What a function keeps beside tensors: a value of one of a few kinds, named as LibTorch names it.
#ifndef GREVY_PORTABLE_VALUE_HPP
#define GREVY_PORTABLE_VALUE_HPP

#include <grevy/portable/tensor.hpp>

#include <variant>

namespace grevy::portable {

class IValue {
 public:
  IValue() = default;
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  IValue(T value) {
    if constexpr (std::is_same_v<T, bool>)
      value_ = value;
    else if constexpr (std::is_floating_point_v<T>)
      value_ = static_cast<double>(value);
    else
      value_ = static_cast<std::int64_t>(value);
  }
  IValue(const char* text) : value_(std::string(text)) {}
  IValue(std::string text) : value_(std::move(text)) {}
  IValue(Tensor tensor) : value_(std::move(tensor)) {}
  IValue(std::vector<std::int64_t> values) : value_(std::move(values)) {}
  IValue(std::vector<double> values) : value_(std::move(values)) {}

  bool isNone() const { return std::holds_alternative<std::monostate>(value_); }

  // Errors: invalid_type for a value of another kind.
  double toDouble() const { return get<double>("number"); }
  std::int64_t toInt() const { return get<std::int64_t>("whole number"); }
  bool toBool() const { return get<bool>("truth value"); }
  const std::string& toStringRef() const { return get<std::string>("text"); }
  const Tensor& toTensor() const { return get<Tensor>("tensor"); }
  std::vector<std::int64_t> toIntVector() const {
    return get<std::vector<std::int64_t>>("list of whole numbers");
  }
  std::vector<double> toDoubleVector() const { return get<std::vector<double>>("list of numbers"); }

 private:
  template <class T>
  const T& get(const char* kind) const {
    const T* value = std::get_if<T>(&value_);
    if (value == nullptr)
      throw Error(ErrorCode::invalid_type, std::string("the saved value is no ") + kind);
    return *value;
  }

  std::variant<std::monostate, double, std::int64_t, bool, std::string, Tensor,
               std::vector<std::int64_t>, std::vector<double>>
      value_;
};

}  // namespace grevy::portable

#endif

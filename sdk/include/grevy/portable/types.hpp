// Types of elements, devices and generators, named as LibTorch names them.
#ifndef GREVY_PORTABLE_TYPES_HPP
#define GREVY_PORTABLE_TYPES_HPP

#include <grevy/portable/library.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace grevy::portable {

enum class ScalarType : std::uint32_t {
  Float = GREVY_FLOAT32,
  Double = GREVY_FLOAT64,
  Long = GREVY_INT64,
  Int = GREVY_INT32,
  Byte = GREVY_UINT8,
  Bool = GREVY_BOOL,
  Other = GREVY_OTHER_TYPE
};
constexpr ScalarType kFloat = ScalarType::Float, kDouble = ScalarType::Double,
                     kLong = ScalarType::Long, kInt = ScalarType::Int, kByte = ScalarType::Byte,
                     kBool = ScalarType::Bool;
inline grevy_attribute type(ScalarType value) { return number(static_cast<std::int64_t>(value)); }
inline grevy_attribute type(std::optional<ScalarType> value) {
  return value ? type(*value) : none();
}

enum class DeviceType : std::uint32_t {
  CPU = GREVY_CPU,
  CUDA = GREVY_CUDA,
  Other = GREVY_OTHER_DEVICE
};
constexpr DeviceType kCPU = DeviceType::CPU, kCUDA = DeviceType::CUDA;

// "cpu", "cpu:0", "cuda" or "cuda:N".
class Device {
 public:
  // index: -1 for none, of the CPU 0 at most. Errors: invalid_value.
  Device(DeviceType type, std::int32_t index = -1) : type_(type), index_(index) {
    if (index < -1 || (is_cpu() && index > 0))
      throw Error(ErrorCode::invalid_value, "there is no device " + str());
  }
  // Errors: invalid_value for a text that is none of these.
  explicit Device(const std::string& text) {
    const std::size_t colon = text.find(':');
    const bool has_digits = colon != std::string::npos;
    const auto index = has_digits ? index_of(std::string_view(text).substr(colon + 1)) : -1;
    const DeviceType type = type_of(std::string_view(text).substr(0, colon));
    if (type == DeviceType::Other || !index)
      throw Error(ErrorCode::invalid_value,
                  "found the device \"" + text + "\"; must be cpu, cuda or cuda:N");
    *this = Device(type, *index);
  }
  DeviceType type() const { return type_; }
  std::int32_t index() const { return index_; }
  bool has_index() const { return index_ != -1; }
  bool is_cpu() const { return type_ == kCPU; }
  bool is_cuda() const { return type_ == kCUDA; }
  std::string str() const {
    const std::string name = is_cpu() ? "cpu" : is_cuda() ? "cuda" : "other";
    return has_index() ? name + ":" + std::to_string(index_) : name;
  }
  friend bool operator==(const Device& a, const Device& b) {
    return a.type_ == b.type_ && a.index_ == b.index_;
  }
  friend bool operator!=(const Device& a, const Device& b) { return !(a == b); }

 private:
  static DeviceType type_of(std::string_view name) {
    if (name == "cpu") return kCPU;
    if (name == "cuda") return kCUDA;
    return DeviceType::Other;
  }
  // Digits without a leading zero, as LibTorch wants them.
  static std::optional<std::int32_t> index_of(std::string_view digits) {
    const bool is_plain = !digits.empty() && digits.size() <= 3 &&
                          digits.find_first_not_of("0123456789") == std::string_view::npos &&
                          (digits.size() == 1 || digits[0] != '0');
    if (!is_plain) return std::nullopt;
    std::int32_t index = 0;
    for (const char digit : digits) index = index * 10 + (digit - '0');
    return index;
  }

  DeviceType type_ = kCPU;
  std::int32_t index_ = -1;
};

// What a tensor is to be like; what is not said here, the function that takes it decides.
class TensorOptions {
 public:
  TensorOptions() = default;
  TensorOptions(ScalarType type) : type_(type) {}
  TensorOptions(const Device& device) : device_(device) {}
  TensorOptions(DeviceType type) : device_(type) {}
  TensorOptions dtype(ScalarType type) const {
    TensorOptions copy = *this;
    copy.type_ = type;
    return copy;
  }
  TensorOptions device(const Device& device) const {
    TensorOptions copy = *this;
    copy.device_ = device;
    return copy;
  }
  // Of what is not said: float32, the CPU.
  ScalarType dtype() const { return type_.value_or(kFloat); }
  Device device() const { return device_.value_or(Device(kCPU)); }
  bool has_dtype() const { return type_.has_value(); }
  bool has_device() const { return device_.has_value(); }
  std::optional<ScalarType> dtype_opt() const { return type_; }
  std::optional<Device> device_opt() const { return device_; }

 private:
  std::optional<ScalarType> type_;
  std::optional<Device> device_;
};

// A stream of random numbers with a seed; copies share it.
class Generator {
 public:
  Generator() = default;
  explicit Generator(std::uint64_t seed) {
    grevy_generator* made = nullptr;
    checked([&](const grevy_ops& ops, auto* errors) {
      return ops.make_generator(seed, &made, errors);
    });
    state_ = {made, operations()->release_generator};
  }
  bool defined() const { return state_ != nullptr; }
  grevy_attribute attribute() const {
    return {GREVY_ATTRIBUTE_GENERATOR, 0, 0, 0, state_.get(), 0};
  }

 private:
  std::shared_ptr<grevy_generator> state_;
};
// As LibTorch: make_generator<CPUGeneratorImpl>(seed).
struct CPUGeneratorImpl {};
template <class>
Generator make_generator(std::uint64_t seed) {
  return Generator(seed);
}

}  // namespace grevy::portable

#endif

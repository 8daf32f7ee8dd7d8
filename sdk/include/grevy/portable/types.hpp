// Types of elements, devices and generators, named as LibTorch names them.
#ifndef GREVY_PORTABLE_TYPES_HPP
#define GREVY_PORTABLE_TYPES_HPP

#include <grevy/portable/library.hpp>

#include <memory>
#include <optional>

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

enum class DeviceType : std::uint32_t {
  CPU = GREVY_CPU,
  CUDA = GREVY_CUDA,
  Other = GREVY_OTHER_DEVICE
};
constexpr DeviceType kCPU = DeviceType::CPU, kCUDA = DeviceType::CUDA;

// "cpu", "cuda" or "cuda:N".
class Device {
 public:
  Device(DeviceType type, std::int32_t index = -1) : type_(type), index_(index) {}
  explicit Device(const std::string& text) : type_(text == "cpu" ? kCPU : kCUDA) {
    const auto colon = text.find(':');
    if (colon != std::string::npos) index_ = std::stoi(text.substr(colon + 1));
  }
  DeviceType type() const { return type_; }
  bool is_cpu() const { return type_ == kCPU; }
  bool is_cuda() const { return type_ == kCUDA; }
  std::string str() const {
    if (is_cpu()) return "cpu";
    return index_ < 0 ? "cuda" : "cuda:" + std::to_string(index_);
  }
  friend bool operator==(const Device& a, const Device& b) { return a.str() == b.str(); }
  friend bool operator!=(const Device& a, const Device& b) { return !(a == b); }

 private:
  DeviceType type_;
  std::int32_t index_ = -1;
};

// What a new tensor is like: float32 on the CPU unless said otherwise.
class TensorOptions {
 public:
  TensorOptions() = default;
  TensorOptions(ScalarType type) : type_(type) {}
  TensorOptions(const Device& device) : device_(device) {}
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
  ScalarType dtype() const { return type_; }
  const Device& device() const { return device_; }

 private:
  ScalarType type_ = kFloat;
  Device device_ = kCPU;
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

#include "files/array_convert.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

namespace grevy::host {
namespace {

static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

// Elements as they lie in memory, each with a value().
struct StoredBool {
  std::uint8_t byte;
  std::int8_t value() const { return byte != 0; }
};

struct StoredHalf {
  std::uint16_t bits;

  float value() const {
    const std::uint32_t sign = (bits & 0x8000U) << 16U;
    const std::uint32_t exponent = (bits >> 10U) & 0x1fU;
    const std::uint32_t fraction = bits & 0x3ffU;
    if (exponent == 0) return (sign ? -0x1p-24F : 0x1p-24F) * static_cast<float>(fraction);
    const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
    const std::uint32_t pattern = sign | (wide << 23U) | (fraction << 13U);
    float result = 0;
    std::memcpy(&result, &pattern, sizeof result);
    return result;
  }
};

template <typename T>
struct Stored {
  T number;
  T value() const { return number; }
};

template <typename S, bool Swapped>
S load(const unsigned char* from) {
  std::array<unsigned char, sizeof(S)> raw;
  std::memcpy(raw.data(), from, raw.size());
  if constexpr (Swapped) std::reverse(raw.begin(), raw.end());
  S result;
  std::memcpy(&result, raw.data(), raw.size());
  return result;
}

template <typename To, typename From>
To convert(From value, const std::string& where) {
  if constexpr (std::is_same_v<To, std::int64_t> && std::is_same_v<From, std::uint64_t>) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw Error(ErrorCode::invalid_value, where + ": holds the uint64 " + std::to_string(value) +
                                                "; allowed: at most 9223372036854775807");
    }
  }
  return static_cast<To>(value);
}

template <typename S, bool Swapped, typename To>
void copy_elements(const StoredArray& from, To* to) {
  for_each_element(from, [&](const unsigned char* element) {
    *to++ = convert<To>(load<S, Swapped>(element).value(), from.where);
  });
}

template <typename S, typename To>
void copy_any(const StoredArray& from, To* to) {
  return from.swapped ? copy_elements<S, true>(from, to) : copy_elements<S, false>(from, to);
}

// In the order of ElementType.
template <typename To>
constexpr std::array<void (*)(const StoredArray&, To*), 9> integer_copiers{
    copy_any<StoredBool, To>,
    copy_any<Stored<std::int8_t>, To>,
    copy_any<Stored<std::int16_t>, To>,
    copy_any<Stored<std::int32_t>, To>,
    copy_any<Stored<std::int64_t>, To>,
    copy_any<Stored<std::uint8_t>, To>,
    copy_any<Stored<std::uint16_t>, To>,
    copy_any<Stored<std::uint32_t>, To>,
    copy_any<Stored<std::uint64_t>, To>};
constexpr std::array<void (*)(const StoredArray&, float*), 3> float_copiers{
    copy_any<StoredHalf, float>, copy_any<Stored<float>, float>, copy_any<Stored<double>, float>};

}  // namespace

void copy_as(const StoredArray& array, float* to) {
  constexpr std::size_t integers = integer_copiers<float>.size();
  const auto kind = static_cast<std::size_t>(array.type);
  const auto copy =
      kind < integers ? integer_copiers<float>.at(kind) : float_copiers.at(kind - integers);
  copy(array, to);
}

void copy_as(const StoredArray& array, std::int64_t* to) {
  const auto copy = integer_copiers<std::int64_t>.at(static_cast<std::size_t>(array.type));
  copy(array, to);
}

}  // namespace grevy::host

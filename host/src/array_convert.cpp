#include "array_convert.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>

namespace grevy::host {
namespace {

using Shape = std::vector<std::int64_t>;

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
To convert(From value) {
  if constexpr (std::is_same_v<To, std::int64_t> && std::is_same_v<From, std::uint64_t>) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw Error(ErrorCode::invalid_value, "the array holds the uint64 " + std::to_string(value) +
                                                "; allowed: at most 9223372036854775807");
    }
  }
  return static_cast<To>(value);
}

// Element (i, j, ...) lies at i * strides[0] + j * strides[1] + ..., counted in elements.
struct Layout {
  const unsigned char* first;
  Shape shape;  // never empty, no dimension of 0
  Shape strides;
};

Shape fortran_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = 1; i < shape.size(); ++i) strides[i] = strides[i - 1] * shape[i - 1];
  return strides;
}

// The next index over all dimensions but the last; false after the end.
bool advance(Shape& index, const Shape& shape) {
  for (std::size_t i = shape.size() - 1; i-- > 0;) {
    if (++index[i] < shape[i]) return true;
    index[i] = 0;
  }
  return false;
}

template <typename S, bool Swapped, typename To>
void copy_elements(const Layout& from, To* to) {
  const auto width = static_cast<std::int64_t>(sizeof(S));
  const std::int64_t length = from.shape.back();
  const std::int64_t step = from.strides.back() * width;
  Shape index(from.shape.size(), 0);
  do {
    const std::int64_t offset =
        std::inner_product(index.begin(), index.end(), from.strides.begin(), std::int64_t{0});
    const unsigned char* row = from.first + offset * width;
    for (std::int64_t i = 0; i < length; ++i) {
      *to++ = convert<To>(load<S, Swapped>(row + i * step).value());
    }
  } while (advance(index, from.shape));
}

template <typename S, typename To>
void copy_any(const Layout& from, bool swapped, To* to) {
  return swapped ? copy_elements<S, true>(from, to) : copy_elements<S, false>(from, to);
}

// In the order of ElementType.
template <typename To>
constexpr std::array<void (*)(const Layout&, bool, To*), 9> integer_copiers{
    copy_any<StoredBool, To>,
    copy_any<Stored<std::int8_t>, To>,
    copy_any<Stored<std::int16_t>, To>,
    copy_any<Stored<std::int32_t>, To>,
    copy_any<Stored<std::int64_t>, To>,
    copy_any<Stored<std::uint8_t>, To>,
    copy_any<Stored<std::uint16_t>, To>,
    copy_any<Stored<std::uint32_t>, To>,
    copy_any<Stored<std::uint64_t>, To>};
constexpr std::array<void (*)(const Layout&, bool, float*), 3> float_copiers{
    copy_any<StoredHalf, float>, copy_any<Stored<float>, float>, copy_any<Stored<double>, float>};

Layout layout_of(const StoredArray& array, std::int64_t count) {
  require(array.first != nullptr, ErrorCode::invalid_state, "an Array was used before it got data");
  if (array.fortran) return {array.first, array.shape, fortran_strides(array.shape)};
  return {array.first, {count}, {1}};
}

std::int64_t count_elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace

void copy_as(const StoredArray& array, float* to) {
  const std::int64_t count = count_elements(array.shape);
  if (count == 0) return;
  constexpr std::size_t integers = integer_copiers<float>.size();
  const auto kind = static_cast<std::size_t>(array.type);
  const auto copy =
      kind < integers ? integer_copiers<float>.at(kind) : float_copiers.at(kind - integers);
  copy(layout_of(array, count), array.swapped, to);
}

void copy_as(const StoredArray& array, std::int64_t* to) {
  const std::int64_t count = count_elements(array.shape);
  if (count == 0) return;
  const auto copy = integer_copiers<std::int64_t>.at(static_cast<std::size_t>(array.type));
  copy(layout_of(array, count), array.swapped, to);
}

}  // namespace grevy::host

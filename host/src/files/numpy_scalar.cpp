#include "files/numpy_scalar.hpp"

#include "files/npy_header.hpp"

#include <grevy/error.hpp>

#include <cstring>
#include <limits>

namespace grevy::host {

namespace {

// The machine and the file are little-endian.
template <typename T>
T copy_of(const char* bytes) {
  T number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

template <typename T>
PickleValue floating(const char* bytes) {
  return {static_cast<double>(copy_of<T>(bytes))};
}

template <typename T>
PickleValue integer(const char* bytes) {
  return {static_cast<std::int64_t>(copy_of<T>(bytes))};
}

PickleValue large_integer(const char* bytes) {
  const auto number = copy_of<std::uint64_t>(bytes);
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw Error(ErrorCode::invalid_value,
                "the number " + std::to_string(number) + " is above 2^63 - 1");
  }
  return {static_cast<std::int64_t>(number)};
}

PickleValue boolean(const char* bytes) { return {*bytes != 0}; }

struct Decoder {
  const char* code;
  std::size_t size;
  PickleValue (*decode)(const char* bytes);
};

constexpr Decoder kDecoders[] = {
    {"<f8", 8, floating<double>},
    {"<f4", 4, floating<float>},
    {"<i8", 8, integer<std::int64_t>},
    {"<i4", 4, integer<std::int32_t>},
    {"<i2", 2, integer<std::int16_t>},
    {"|i1", 1, integer<std::int8_t>},
    {"<u8", 8, large_integer},
    {"<u4", 4, integer<std::uint32_t>},
    {"<u2", 2, integer<std::uint16_t>},
    {"|u1", 1, integer<std::uint8_t>},
    {"|b1", 1, boolean},
};

}  // namespace

PickleValue numpy_scalar(const std::string& code, const std::string& bytes) {
  std::string allowed;
  for (const Decoder& decoder : kDecoders) {
    if (code == decoder.code && bytes.size() == decoder.size) return decoder.decode(bytes.data());
    allowed += (allowed.empty() ? "" : ", ") + std::string(decoder.code);
  }
  throw Error(ErrorCode::invalid_value, "a NumPy scalar of dtype " + printable(code) + " with " +
                                            std::to_string(bytes.size()) +
                                            " bytes is not supported; allowed: " + allowed);
}

}  // namespace grevy::host

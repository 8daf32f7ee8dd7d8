// Writes JSON at compile time: a manifest must be a constant in the file, not a result of running
// it.
#ifndef GREVY_DETAIL_JSON_TEXT_HPP
#define GREVY_DETAIL_JSON_TEXT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace grevy::detail {

// Counts characters: the first of the two passes that make a constant text.
struct Counter {
  std::size_t size = 0;
  constexpr void put(char) { ++size; }
};

template <std::size_t N>
struct Buffer {
  std::array<char, N> data{};
  std::size_t size = 0;
  constexpr void put(char c) { data[size++] = c; }
  constexpr std::string_view view() const { return {data.data(), size}; }
};

template <class Out>
constexpr void write_raw(Out& out, std::string_view text) {
  for (char c : text) out.put(c);
}

template <class Out>
constexpr void write_string(Out& out, std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out.put('"');
  for (char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.put('\\');
      out.put(c);
    } else if (code < 0x20) {
      write_raw(out, "\\u00");
      out.put(hex[code >> 4]);
      out.put(hex[code & 15]);
    } else {
      out.put(c);
    }
  }
  out.put('"');
}

// 10^22 is the last power of ten that is exact as a double.
constexpr int max_decimals = 22;

// `min_digits`: up to max_decimals.
template <class Out>
constexpr void write_unsigned(Out& out, std::uint64_t value, int min_digits = 1) {
  static_assert(max_decimals >= 20, "a 64-bit number has up to 20 digits");
  char digits[max_decimals]{};
  int count = 0;
  for (; value != 0 || count < min_digits; value /= 10)
    digits[count++] = static_cast<char>('0' + value % 10);
  while (count > 0) out.put(digits[--count]);
}

template <class Out>
constexpr void write_integer(Out& out, std::int64_t value) {
  if (value < 0) out.put('-');
  write_unsigned(
      out, value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value));
}

// v >= 0. Adding 0.5 would itself round from 2^52 on.
constexpr std::uint64_t to_nearest(double v) {
  const auto whole = static_cast<std::uint64_t>(v);
  return v - static_cast<double>(whole) < 0.5 ? whole : whole + 1;
}

// Exact for every number that is m / 10^d or m * 10^d with m < 2^53 and d <= 22, which is how
// defaults and bounds are written; a division or product of two exact doubles rounds as a decimal
// literal does. Anything else does not compile (the throw is not a constant expression).
template <class Out>
constexpr void write_number(Out& out, double value) {
  if (value < 0) {
    out.put('-');
    value = -value;
  }
  constexpr double limit = 9007199254740992.0;  // 2^53
  double scale = 1;
  for (int decimals = 0; decimals <= max_decimals; ++decimals, scale *= 10) {
    const double scaled = value * scale;
    if (scaled >= limit) break;
    const std::uint64_t mantissa = to_nearest(scaled);
    if (static_cast<double>(mantissa) / scale != value) continue;
    const auto divisor = [decimals] {
      std::uint64_t power = 1;
      for (int i = 0; i < decimals && i < 19; ++i) power *= 10;
      return power;
    }();
    write_unsigned(out, decimals > 19 ? 0 : mantissa / divisor);
    if (decimals == 0) return;
    out.put('.');
    write_unsigned(out, decimals > 19 ? mantissa : mantissa % divisor, decimals);
    return;
  }
  scale = 10;
  for (int exponent = 1; exponent <= max_decimals; ++exponent, scale *= 10) {
    const double scaled = value / scale;
    if (scaled >= limit) continue;
    const std::uint64_t mantissa = to_nearest(scaled);
    if (static_cast<double>(mantissa) * scale != value) continue;
    write_unsigned(out, mantissa);
    out.put('e');
    write_unsigned(out, static_cast<std::uint64_t>(exponent));
    return;
  }
  throw "this number has no short decimal form";
}

// The text that Writer::write(out) makes, as a constant.
template <class Writer>
constexpr std::size_t text_size() {
  Counter counter;
  Writer::write(counter);
  return counter.size;
}

template <class Writer>
constexpr auto make_text() {
  Buffer<text_size<Writer>()> buffer;
  Writer::write(buffer);
  return buffer;
}

template <class Writer>
inline constexpr auto text = make_text<Writer>();

}  // namespace grevy::detail

#endif

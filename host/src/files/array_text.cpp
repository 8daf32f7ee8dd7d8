#include "files/array_text.hpp"

#include <grevy/error.hpp>

#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace grevy::host {
namespace {

// What a text may hold: every code point but the surrogates (Unicode 15, definition D76).
bool is_scalar_value(std::uint32_t point) {
  return point < 0xD800U || (point > 0xDFFFU && point <= 0x10FFFFU);
}

std::string hexadecimal(const char* format, std::uint32_t number) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, static_cast<unsigned>(number));
  return text.data();
}

void append_utf8(std::uint32_t point, std::string& text) {
  if (point < 0x80U) {
    text += static_cast<char>(point);
    return;
  }
  const unsigned more = point < 0x800U ? 1 : point < 0x10000U ? 2 : 3;  // continuation bytes
  const std::uint32_t mark = (0xFFU << (7U - more)) & 0xFFU;
  text += static_cast<char>(mark | (point >> (6U * more)));
  for (unsigned i = more; i-- > 0;) {
    text += static_cast<char>(0x80U | ((point >> (6U * i)) & 0x3FU));
  }
}

// Bytes of the character at the start, by Unicode 15, table 3-7; 0 where it is malformed.
std::size_t utf8_length(std::string_view text) {
  constexpr std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80U) return 1;
  const std::size_t length = lead < 0xE0U ? 2 : lead < 0xF0U ? 3 : 4;
  if (lead < 0xC2U || lead > 0xF4U || text.size() < length) return 0;
  std::uint32_t point = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80U) return 0;
    point = (point << 6U) | (byte & 0x3FU);
  }
  return point >= smallest.at(length) && is_scalar_value(point) ? length : 0;
}

// Appends the element to an empty `text`; returns what is wrong with it, or nothing.
using Decode = std::string (*)(const unsigned char* element, std::size_t bytes, std::string& text);

template <bool Swapped>
std::string decode_utf32(const unsigned char* element, std::size_t bytes, std::string& text) {
  const auto character = [&](std::size_t index) {
    std::uint32_t point = 0;
    std::memcpy(&point, element + sizeof(point) * index, sizeof(point));
    return Swapped ? __builtin_bswap32(point) : point;
  };
  std::size_t count = bytes / sizeof(std::uint32_t);
  while (count > 0 && character(count - 1) == 0) --count;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t point = character(i);
    if (!is_scalar_value(point)) {
      return "found the code point " + hexadecimal("U+%04X", point) + " at character " +
             std::to_string(i) + "; allowed: U+0000 to U+D7FF and U+E000 to U+10FFFF";
    }
    append_utf8(point, text);
  }
  return {};
}

std::string decode_bytes(const unsigned char* element, std::size_t bytes, std::string& text) {
  while (bytes > 0 && element[bytes - 1] == 0) --bytes;
  text.assign(reinterpret_cast<const char*>(element), bytes);
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t length = utf8_length(std::string_view(text).substr(at));
    if (length == 0) {
      return "found the byte " + hexadecimal("0x%02X", element[at]) + " at " + std::to_string(at) +
             ", which begins no UTF-8 character; allowed: UTF-8";
    }
    at += length;
  }
  return {};
}

Decode decoder_of(const StoredArray& array) {
  if (array.type == ElementType::byte_text) return decode_bytes;
  return array.swapped ? decode_utf32<true> : decode_utf32<false>;
}

}  // namespace

std::vector<std::string> read_text(const StoredArray& array) {
  const Decode decode = decoder_of(array);
  const auto count = static_cast<std::size_t>(count_elements(array.shape));
  const auto rows = static_cast<std::size_t>(array.shape.empty() ? 1 : array.shape.front());
  std::vector<std::string> texts;
  texts.reserve(count);
  for_each_element(array, [&](const unsigned char* element) {
    const std::size_t row = texts.size() / (count / rows);
    const std::string problem = decode(element, array.element_bytes, texts.emplace_back());
    if (problem.empty()) return;
    throw Error(ErrorCode::invalid_value,
                array.where + ": row " + std::to_string(row) + " (counted from 0): " + problem);
  });
  return texts;
}

}  // namespace grevy::host

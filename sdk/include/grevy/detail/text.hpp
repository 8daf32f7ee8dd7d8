// Text from the other side of the boundary: its size may be wrong, and it may
// be no UTF-8.
#ifndef GREVY_DETAIL_TEXT_HPP
#define GREVY_DETAIL_TEXT_HPP

#include <grevy/abi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace grevy::detail {

constexpr std::uint64_t max_text = std::uint64_t{1} << 30;  // beyond it a size is no size
constexpr std::size_t max_message = std::size_t{1} << 16;   // of an error or a line of a log
constexpr std::size_t max_name = 1024;                      // of a tensor, a part, a statistic

// Of a text whose size cannot be right nothing is read.
inline std::string_view view(grevy_text text) {
  const bool is_readable = text.data != nullptr && text.size <= max_text;
  return is_readable ? std::string_view(text.data, text.size) : std::string_view{};
}

inline grevy_text text_of(std::string_view text) { return {text.data(), text.size()}; }

// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with
// none.
inline std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0u) != 0x80) return 0;
  // Longer than needed, one half of a pair, beyond the last character.
  const unsigned second = byte(1);
  const bool is_wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return is_wrong ? 0 : size;
}

// A name is 1 to max_name bytes of UTF-8.
inline bool is_name(std::string_view text) {
  if (text.empty() || text.size() > max_name) return false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = character_size(text.substr(at));
    if (size == 0) return false;
    at += size;
  }
  return true;
}

// As UTF-8, with U+FFFD for what is none; a text that is too long is cut and
// says how long it was.
inline std::string repaired(std::string_view text, std::size_t limit = max_message) {
  std::string result;
  std::size_t at = 0;
  while (at < text.size() && result.size() < limit) {
    const std::size_t size = character_size(text.substr(at));
    result += size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(at, size);
    at += size == 0 ? 1 : size;
  }
  if (at < text.size()) result += "... (" + std::to_string(text.size()) + " bytes)";
  return result;
}

}  // namespace grevy::detail

#endif

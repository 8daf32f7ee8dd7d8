#include "files/utf8_text.hpp"

#include <grevy/detail/text.hpp>
#include <grevy/error.hpp>

namespace grevy::host {

std::string escaped(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string result;
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t size = detail::character_size(text);
    const bool is_shown = size != 0 && byte >= 0x20 && byte != 0x7f;
    if (is_shown) result += text.substr(0, size);
    if (!is_shown) (result += "\\x") += {digits[byte >> 4U], digits[byte & 0xfU]};
    text.remove_prefix(is_shown ? size : 1);
  }
  return result;
}

const std::string& require_utf8(const std::string& text, const std::string& where) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t size = detail::character_size(rest);
    if (size == 0)
      throw Error(ErrorCode::invalid_value, where + "found \"" + escaped(text) +
                                                "\"; must be UTF-8, since it is stored as JSON "
                                                "text");
    rest.remove_prefix(size);
  }
  return text;
}

}  // namespace grevy::host

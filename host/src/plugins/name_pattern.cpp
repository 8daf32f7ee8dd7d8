#include "plugins/name_pattern.hpp"

namespace grevy::host {
namespace {

constexpr std::string_view digits = "0123456789";

// Length of the number that `text` begins with; 0: none.
std::size_t number_length(std::string_view text) {
  const std::size_t whole = std::min(text.find_first_not_of(digits), text.size());
  if (whole == 0 || whole > 15 || whole + 1 >= text.size() || text[whole] != '.')
    return whole <= 15 ? whole : 0;
  const std::string_view rest = text.substr(whole + 1);
  const std::size_t fraction = std::min(rest.find_first_not_of(digits), rest.size());
  return fraction == 0 || fraction > 15 ? whole : whole + 1 + fraction;
}

// JSON allows no leading zeros; "007" is 7.
nlohmann::json parse_number(std::string_view text) {
  while (text.size() > 1 && text[0] == '0' && text[1] != '.') text.remove_prefix(1);
  return nlohmann::json::parse(text);
}

}  // namespace

std::optional<nlohmann::json> match_name(std::string_view pattern, std::string_view name) {
  nlohmann::json values = nlohmann::json::object();
  for (;;) {
    const std::size_t open = pattern.find('{'), close = pattern.find('}');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
      return pattern == name ? std::optional(values) : std::nullopt;
    if (name.substr(0, open) != pattern.substr(0, open)) return std::nullopt;
    name.remove_prefix(open);
    const std::size_t length = number_length(name);
    if (length == 0) return std::nullopt;
    values[std::string(pattern.substr(open + 1, close - open - 1))] =
        parse_number(name.substr(0, length));
    name.remove_prefix(length);
    pattern.remove_prefix(close + 1);
  }
}

std::string name_regex(std::string_view pattern) {
  std::string regex = "^";
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::size_t close = pattern[i] == '{' ? pattern.find('}', i) : std::string_view::npos;
    if (close != std::string_view::npos) {
      regex += "[0-9]+(\\.[0-9]+)?";
      i = close;
      continue;
    }
    if (std::string_view(".^$*+?()[]{}|\\/").find(pattern[i]) != std::string_view::npos)
      regex += '\\';
    regex += pattern[i];
  }
  return regex + "$";
}

}  // namespace grevy::host

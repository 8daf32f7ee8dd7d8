// Names with options in them, and names that are nearly right: PATTERN, a line's end, NAME.
#include "plugins/name_pattern.hpp"

#include "plugins/nearest_name.hpp"
#include "support.hpp"

#include <regex>

using grevy::fuzz::expect;
using namespace grevy::host;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t longest = 200;  // std::regex calls itself for each character
  const auto [first, second] = grevy::fuzz::split(grevy::fuzz::view(data, size), '\n');
  const std::string pattern(first.substr(0, longest)), name(second.substr(0, longest));
  const std::regex regex(name_regex(pattern));
  if (const auto options = match_name(pattern, name)) {
    expect(std::regex_match(name, regex), "a name matches, but not its regular expression");
    for (const auto& value : *options) expect(value.is_number(), "an option is no number");
  }
  const std::string nearest = nearest_name(name, {pattern, "temperature"});
  expect(nearest.empty() || nearest == pattern || nearest == "temperature",
         "the nearest name is none of those there are");
  return 0;
}

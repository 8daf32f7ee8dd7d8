// Names with numbers in them: one component for a whole family.
#ifndef GREVY_HOST_NAME_PATTERN_HPP
#define GREVY_HOST_NAME_PATTERN_HPP

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace grevy::host {

// "model-clip-{clip_min}-{clip_max}" matches "model-clip-5-0.5" and gives {"clip_min": 5,
// "clip_max": 0.5}: each placeholder stands for digits, perhaps with a fraction. A pattern without
// placeholders matches itself and gives {}. No match: nothing.
std::optional<nlohmann::json> match_name(std::string_view pattern, std::string_view name);

// The pattern as a regular expression that matches the same names: for a JSON Schema.
std::string name_regex(std::string_view pattern);

}  // namespace grevy::host

#endif

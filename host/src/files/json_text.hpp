// JSON from files and from people.
#ifndef GREVY_HOST_JSON_TEXT_HPP
#define GREVY_HOST_JSON_TEXT_HPP

#include <grevy/error.hpp>

#include <nlohmann/json.hpp>

#include <istream>
#include <string>
#include <string_view>

namespace grevy::host {

// Copying, comparing and writing a value call themselves for every level: a text of brackets alone
// could exhaust the stack.
inline constexpr int json_depth_limit = 64;

// Comments are allowed in a stream. `where` begins messages. Errors: invalid_value: "is not JSON:
// ..." (line and column), "nested deeper than 64 levels".
nlohmann::json parse_json(std::string_view text, const std::string& where);
nlohmann::json parse_json(std::istream& stream, const std::string& where);

// JSON of plugins, whose values nest little. Errors: `code`, "nested too deeply", beyond 32 levels;
// nlohmann's where the text is no JSON, or with `discard` a discarded value.
nlohmann::json parse_shallow(std::string_view text, ErrorCode code, bool discard = false);

}  // namespace grevy::host

#endif

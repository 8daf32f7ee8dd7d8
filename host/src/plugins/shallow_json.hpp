// JSON of plugins: its writing and its destruction may recurse, so its depth has a limit.
#ifndef GREVY_HOST_SHALLOW_JSON_HPP
#define GREVY_HOST_SHALLOW_JSON_HPP

#include <grevy/error.hpp>

#include <nlohmann/json.hpp>

#include <string_view>

namespace grevy::host {

// Errors: `code` where values nest deeper than 32; nlohmann's, or with `discard` a discarded value,
// where the text is no JSON.
inline nlohmann::json parse_shallow(std::string_view text, ErrorCode code, bool discard = false) {
  constexpr int max_depth = 32;
  const auto limit = [code](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > max_depth) throw Error(code, "nested too deeply");
    return true;
  };
  return nlohmann::json::parse(text, limit, !discard);
}

}  // namespace grevy::host

#endif

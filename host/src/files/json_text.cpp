#include "files/json_text.hpp"

namespace grevy::host {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::invalid_value, where + ": " + what);
}

// The parser's own words repeat the text it read last, whatever that is.
std::string reason_of(const json::exception& error) {
  constexpr std::size_t longest = 200;
  std::string text(error.what());
  for (char& letter : text)
    if (letter < ' ' || letter > '~') letter = '?';
  return text.size() > longest ? text.substr(0, longest) + "..." : text;
}

// Calls `fail` for what nests deeper than so many levels.
template <class Fail>
auto depth_limit(int levels, Fail&& fail) {
  return [levels, fail](int depth, json::parse_event_t event, const json&) {
    using Event = json::parse_event_t;
    const bool goes_deeper = event == Event::array_start || event == Event::object_start;
    if (goes_deeper && depth >= levels) fail();
    return true;
  };
}

template <typename Input>
json parse(Input&& input, bool comments, const std::string& where) {
  const auto limit = depth_limit(json_depth_limit, [&] {
    fail(where, "nested deeper than " + std::to_string(json_depth_limit) + " levels");
  });
  try {
    return json::parse(input, limit, true, comments);
  } catch (const json::exception& error) {
    fail(where, "is not JSON: " + reason_of(error));
  }
}

}  // namespace

json parse_json(std::string_view text, const std::string& where) {
  return parse(text, false, where);
}

json parse_json(std::istream& stream, const std::string& where) {
  return parse(stream, true, where);
}

json parse_shallow(std::string_view text, ErrorCode code, bool discard) {
  constexpr int levels = 32;
  const auto limit = depth_limit(levels, [&] { throw Error(code, "nested too deeply"); });
  return json::parse(text, limit, !discard);
}

}  // namespace grevy::host

#include "files/json_text.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <sstream>
#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::parse_json;
using nlohmann::json;

namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string refusal(const std::string& text) {
  try {
    parse_json(text, "a.json");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_value);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("JSON text: values") {
  CHECK(parse_json("{\"a\": [1, null]}", "a.json") == json{{"a", {1, nullptr}}});
  CHECK(parse_json("3", "a.json") == 3);
}

TEST_CASE("JSON text: comments, in a stream only") {
  const std::string text = "{\"a\": 1} // the first\n/* done */";
  std::istringstream stream(text);
  CHECK(parse_json(stream, "a.json") == json{{"a", 1}});
  CHECK(refusal(text).find("a.json: is not JSON: ") == 0);
}

TEST_CASE("JSON text: what is no JSON") {
  const std::string torn = refusal("{\"seed\": 3,\n \"model\"");
  CHECK(torn.find("a.json: is not JSON: ") == 0);
  CHECK(torn.find("line 2, column") != std::string::npos);
  CHECK(refusal("").find("a.json: is not JSON: ") == 0);
}

TEST_CASE("JSON text: a message repeats little of the text, and no byte that is not printable") {
  CHECK(refusal("\"" + std::string(1000, 'x')).size() < 300);
  CHECK(refusal("\"\xff\x7f\n\"").find("last read: '\"?'") != std::string::npos);
}

TEST_CASE("JSON text: depth") {
  CHECK(parse_json(nested(64), "a.json").dump() == nested(64));
  for (const std::size_t depth : {65, 100'000})
    CHECK(refusal(nested(depth)) == "a.json: nested deeper than 64 levels");
  CHECK(refusal(std::string(100'000, '[')) == "a.json: nested deeper than 64 levels");
}

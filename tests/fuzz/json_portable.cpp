// The JSON of portable plugins beside nlohmann's: both take a text, and read the same, or neither
// does.
#include "support.hpp"

#include <grevy/portable/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

using grevy::fuzz::expect;
using grevy::portable::Json;
using nlohmann::json;

namespace {

constexpr int deepest = 33;  // levels of arrays and objects that the portable reader takes

int depth_of(const json& value) {
  int deepest_inside = 0;
  if (!value.is_structured()) return 0;
  for (const json& inner : value) deepest_inside = std::max(deepest_inside, depth_of(inner));
  return 1 + deepest_inside;
}

std::optional<Json> read_portable(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const std::invalid_argument& e) {
    expect(std::string_view(e.what()).substr(0, 11) == "is not JSON", "a message says otherwise");
    return std::nullopt;
  }
}

bool same(const Json& a, const json& b);

bool same_members(Json a, const json& b) {
  std::size_t count = 0;
  for (auto at = a.begin(); at != a.end(); ++at, ++count)
    if (!b.contains(at.key()) || !same(*at, b.at(at.key()))) return false;
  return count == b.size();
}

bool same(const Json& a, const json& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (b.is_boolean()) return a.is_boolean() && a.get<bool>() == b.get<bool>();
  if (b.is_number()) return a.is_number() && a.get<double>() == b.get<double>();
  if (b.is_string()) return a.is_string() && a.get_ref<const std::string&>() == b;
  if (b.is_object()) return a.is_object() && same_members(a, b);
  return a.is_array() && std::equal(a.items().begin(), a.items().end(), b.begin(), b.end(), same);
}

bool same_integer(const Json& a, const json& b) {
  return !b.is_number_integer() || b.is_number_unsigned() ||
         (a.is_number_integer() && a.get<std::int64_t>() == b.get<std::int64_t>());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = grevy::fuzz::view(data, size);
  // nlohmann leaves the one out and ends at the other.
  if (text.substr(0, 3) == "\xEF\xBB\xBF" || text.find('\0') != std::string_view::npos) return 0;
  const std::optional<Json> read = read_portable(text);
  const json expected = json::parse(text, nullptr, false);
  const bool is_json = !expected.is_discarded();
  expect(!read || is_json, "a text was taken that is no JSON");
  if (is_json && depth_of(expected) <= deepest) expect(read.has_value(), "JSON was refused");
  if (!read) {
    expect(Json::parse(text, nullptr, false).is_null(), "what is refused is null");
    return 0;
  }
  expect(same(*read, expected), "another value was read");
  expect(same_integer(*read, expected), "another whole number was read");
  const json again = json::parse(read->dump(), nullptr, false);
  expect(again == expected, "another value was written: " + read->dump());
  return 0;
}

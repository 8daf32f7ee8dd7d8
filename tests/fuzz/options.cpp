// Options against the schemas that the program has itself: the schema's name, a line's end, JSON.
#include "experiment/schema.hpp"
#include "experiment/short_form.hpp"
#include "json_support.hpp"

#include <grevy/host/masking.hpp>

#include <map>

using namespace grevy::fuzz;
using namespace grevy::host;
using nlohmann::json;

namespace {

// Every keyword that schemas use.
constexpr const char* every_keyword = R"json({
  "type": "object", "additionalProperties": {"type": ["integer", "null"]}, "required": ["name"],
  "properties": {
    "name": {"const": "all"},
    "count": {"type": "integer", "minimum": -3, "maximum": 9007199254740993, "default": 1},
    "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.5},
    "text": {"type": "string", "minLength": 2, "default": "text"},
    "list": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"enum": ["a", 1, null, [2]]}},
    "never": false,
    "either": {"anyOf": [{"type": "boolean"}, {"type": "object", "required": ["type"],
      "properties": {"type": {"const": "x"}, "x": {"minimum": 1}}, "additionalProperties": false},
      {"type": "object", "properties": {"type": {"const": "y"}, "y": {"maxItems": 1}}}]},
    "one": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 3}]},
    "nested": {"type": "object", "default": {}, "additionalProperties": false,
      "properties": {"deep": {"type": "object", "properties": {"deeper": {"type": "null", "default": null}}}}}
  }
})json";

const std::map<std::string, json, std::less<>>& schemas() {
  static const std::map<std::string, json, std::less<>> all{{"cebra", cebra_schema()},
                                                            {"objectives", objectives_schema()},
                                                            {"masks", json::parse(masks_schema())},
                                                            {"all", json::parse(every_keyword)}};
  return all;
}

void check_defaults(json value, const json& schema) {
  apply_defaults(value, schema);
  validate(value, schema, "with its defaults");
  json again = value;
  apply_defaults(again, schema);
  expect(again == value, "defaults were left out the first time");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [name, text] = split(view(data, size), '\n');
  const auto schema = schemas().find(name);
  if (schema == schemas().end()) return 0;
  const auto value = read_json(text);
  if (!value) return 0;
  const auto check = [&, &rules = schema->second] { validate(*value, rules, "file", "/base"); };
  if (!accepts(check, "file: /base", 2 * size + 4096)) return 0;
  check_defaults(*value, schema->second);
  if (schema->first == "masks") accepts([&] { Masks masks(*value); }, "masks: /");
  return 0;
}

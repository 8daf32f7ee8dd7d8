#include "experiment/schema.hpp"

#include "experiment/schema_keywords.hpp"
#include "plugins/nearest_name.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::apply_defaults;
using grevy::host::describe_rule;
using grevy::host::nearest_name;
using grevy::host::validate;
using nlohmann::json;

namespace {

struct Refusal {
  ErrorCode code = ErrorCode::internal;
  std::string text;
};

Refusal refusal(const json& value, const json& schema, const std::string& base = "") {
  try {
    validate(value, schema, "run.json", base);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::internal, "accepted"};
}

Refusal refusal(const char* value, const char* schema) {
  return refusal(json::parse(value), json::parse(schema));
}

void check_refused(const char* value, const char* schema, ErrorCode code, const std::string& text) {
  CAPTURE(std::string(value));
  CAPTURE(std::string(schema));
  const Refusal result = refusal(value, schema);
  CHECK(result.text == "run.json: " + text);
  CHECK(result.code == code);
}

void check_accepted(const char* value, const char* schema) {
  CAPTURE(std::string(value));
  CAPTURE(std::string(schema));
  CHECK(refusal(value, schema).text == "accepted");
}

std::string rule(const char* schema) { return describe_rule(json::parse(schema)); }

constexpr auto kType = ErrorCode::invalid_type;
constexpr auto kValue = ErrorCode::invalid_value;

constexpr const char* kRun = R"({
  "type": "object", "additionalProperties": false, "required": ["data"],
  "properties": {
    "data": {"type": "object", "required": ["neural"], "additionalProperties": false,
             "properties": {"neural": {"type": "string", "minLength": 1},
                            "behaviour": {"type": ["string", "null"]}}},
    "seed": {"type": "integer", "minimum": 0},
    "sampling": {"type": "object",
                 "properties": {"prior": {"enum": ["empirical", "uniform"]}}},
    "training": {"type": "object"},
    "labels": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    "offsets": {"type": "array", "minItems": 1, "maxItems": 12, "items": {"type": "integer"}}
  }})";

constexpr const char* kBranches = R"({
  "type": "object",
  "properties": {"loss": {"anyOf": [
    {"type": "object", "additionalProperties": false, "required": ["name"],
     "properties": {"name": {"const": "infonce"}, "heat": {"type": "number"},
                    "deep": {"type": "object", "properties": {"x": {"type": "integer"}}}}},
    {"type": "object", "additionalProperties": false, "required": ["name", "size"],
     "properties": {"name": {"const": "supervised"}, "size": {"type": "integer", "minimum": 1}}},
    {"type": "null"}]}}})";

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + "1" + std::string(levels, ']');
}

}  // namespace

TEST_CASE("schema: valid values pass") {
  check_accepted(R"({"data": {"neural": "a.npy"}})", kRun);
  check_accepted(R"({"data": {"neural": "a", "behaviour": null}, "seed": 3, "offsets": [1],
                     "labels": {"a/b": "x"}, "sampling": {"prior": "uniform", "other": 1}})",
                 kRun);
  check_accepted(R"({"loss": {"name": "infonce", "heat": 2}})", kBranches);
  check_accepted(R"({"loss": null})", kBranches);
  check_accepted("5", "true");
}

TEST_CASE("schema: unknown keys") {
  const std::string allowed = "allowed: data, labels, offsets, sampling, seed, training";
  check_refused(R"({"data": {"neural": "a"}, "trainin": {}})", kRun, kValue,
                "/trainin: unknown key; did you mean \"training\"? " + allowed);
  check_refused(R"({"data": {"neural": "a"}, "completely": 1})", kRun, kValue,
                "/completely: unknown key; " + allowed);
  check_refused(R"({"data": {"neural": "a", "NEURALS": "b"}})", kRun, kValue,
                "/data/NEURALS: unknown key; did you mean \"neural\"? allowed: behaviour, neural");
  check_refused(R"({"a": 1})", R"({"additionalProperties": false})", kValue,
                "/a: unknown key; no keys are allowed here");
  check_refused(R"({"a": 1})", R"({"properties": {"a": false, "b": true}})", kValue,
                "/a: unknown key; did you mean \"b\"? allowed: b");
}

TEST_CASE("schema: missing keys") {
  check_refused(R"({"data": {}})", kRun, kValue,
                R"(/data: the key "neural" is missing; allowed keys: behaviour, neural)");
  check_refused(
      "{}", kRun, kValue,
      R"(the key "data" is missing; allowed keys: data, labels, offsets, sampling, seed, )"
      "training");
  check_refused("{}", R"({"required": ["a"], "description": "A thing."})", kValue,
                R"(the key "a" is missing [A thing.])");
  check_refused(
      R"({"dat": {}})", kRun, kValue,
      "/dat: unknown key; did you mean \"data\"? allowed: data, labels, offsets, sampling, "
      "seed, training");
}

TEST_CASE("schema: objects with all their keys that are wrong as a whole") {
  check_refused(R"({"a": 1})", R"({"required": ["a"], "minProperties": 2, "type": "object"})",
                kValue, R"(found {"a": 1}; must be an object)");
  check_refused("{}", R"({"const": {"a": 1}})", kValue, R"(found {}; must be {"a":1})");
  // No schema is known for the key itself, only one for the whole.
  check_refused(R"({"a": "x"})", R"({"type": "object", "allOf": [
                  {"properties": {"a": {"type": "integer"}}}]})",
                kValue, R"(found {"a": "x"}; must be an object)");
}

TEST_CASE("schema: types") {
  const auto at = [](const char* key, const char* value) {
    return R"({"data": {"neural": "a"}, ")" + std::string(key) + "\": " + value + "}";
  };
  const std::string integer = "; must be an integer of at least 0";
  check_refused(at("seed", R"("abc")").c_str(), kRun, kType,
                R"(/seed: found "abc" (a string))" + integer);
  check_refused(at("seed", "5.0").c_str(), kRun, kType, "/seed: found 5.0 (a number)" + integer);
  check_refused(at("seed", "null").c_str(), kRun, kType, "/seed: found null" + integer);
  check_refused(at("seed", "true").c_str(), kRun, kType, "/seed: found true (a boolean)" + integer);
  check_refused(at("seed", R"({"a": [1, "b"]})").c_str(), kRun, kType,
                R"(/seed: found {"a": [1, "b"]} (an object))" + integer);
  check_refused(at("training", "[]").c_str(), kRun, kType,
                "/training: found [] (an array); must be an object");
  check_refused("7", kRun, kType, "found 7 (an integer); must be an object");
  check_refused(R"({"data": {"neural": "a", "behaviour": 1}})", kRun, kType,
                "/data/behaviour: found 1 (an integer); must be a string, or null");
  check_refused("5", R"({"enum": ["a", "b"]})", kType,
                R"(found 5 (an integer); must be one of "a", "b")");
  check_refused("0", R"({"type": "boolean"})", kType,
                "found 0 (an integer); must be true or false");
}

TEST_CASE("schema: null is refused where the type list lacks it") {
  const char* plain =
      R"({"properties": {"a": {"type": ["integer", "string"]}}, "required": ["a"]})";
  check_refused(R"({"a": null})", plain, kType, "/a: found null; must be an integer, or a string");
  check_accepted(R"({"a": null})", R"({"properties": {"a": {"type": ["null", "string"]}}})");
  check_refused("null", R"({"type": ["string", "null"], "enum": ["a"]})", kType,
                R"(found null; must be "a")");
}

TEST_CASE("schema: values out of range, enum, const") {
  check_refused(R"({"data": {"neural": "a"}, "seed": -1})", kRun, kValue,
                "/seed: found -1; must be an integer of at least 0");
  check_refused(R"({"data": {"neural": "a"}, "sampling": {"prior": "x"}})", kRun, kValue,
                R"(/sampling/prior: found "x"; must be one of "empirical", "uniform")");
  check_refused(R"({"data": {"neural": ""}})", kRun, kValue,
                R"(/data/neural: found ""; must be a non-empty string)");
  check_refused(
      R"({"data": {"neural": "a"}, "offsets": []})", kRun, kValue,
      "/offsets: found [] (0 items); must be an array of 1 to 12 items, each item an integer");
  check_refused("[1, 2]", R"({"type": "array", "maxItems": 1})", kValue,
                "found [1, 2] (2 items); must be an array of at most 1 item");
  check_refused("2", R"({"const": 3})", kValue, "found 2; must be 3");
  check_refused("0", R"({"type": "number", "exclusiveMinimum": 0})", kValue,
                "found 0; must be a number above 0");
  check_refused("1.5", R"({"type": ["number", "null"], "exclusiveMaximum": 1.5})", kValue,
                "found 1.5; must be a number below 1.5, or null");
}

TEST_CASE("schema: the description follows in brackets") {
  check_refused("-1", R"({"type": "integer", "minimum": 0, "description": 7})", kValue,
                "found -1; must be an integer of at least 0");
  check_refused("-1", R"({"type": "integer", "minimum": 0, "description": "Seed\nof all"})", kValue,
                "found -1; must be an integer of at least 0 [Seed of all]");
}

TEST_CASE("schema: integers beyond 64 bits are out of range") {
  const std::string text = " (out of range for a 64-bit integer); must be an integer of at least 0";
  const char* integer = R"({"type": "integer", "minimum": 0})";
  check_refused("9223372036854775808", integer, kValue, "found 9223372036854775808" + text);
  check_refused("18446744073709551615", integer, kValue, "found 18446744073709551615" + text);
  check_refused("100000000000000000000", integer, kValue, "found 1e+20" + text);
  check_refused("-9223372036854775809", integer, kValue, "found -9.223372036854776e+18" + text);
  check_refused(
      "18446744073709551615", R"({"type": "integer"})", kValue,
      "found 18446744073709551615 (out of range for a 64-bit integer); must be an integer");
  check_refused("18446744073709551615", R"({"type": "string"})", kType,
                "found 18446744073709551615 (a number); must be a string");
  check_accepted("18446744073709551615", R"({"type": "number", "minimum": 0})");
  check_accepted("-9223372036854775808", R"({"type": "integer"})");
  const json largest = json::parse("9223372036854775807");
  validate(largest, json::parse(integer), "run.json");
  CHECK(largest.get<std::int64_t>() == INT64_MAX);
}

TEST_CASE("schema: arrays and label maps") {
  check_refused(R"({"data": {"neural": "a"}, "offsets": [1, 2, "x"]})", kRun, kType,
                R"(/offsets/2: found "x" (a string); must be an integer)");
  check_refused(R"({"data": {"neural": "a"}, "labels": {"speed": 3}})", kRun, kType,
                "/labels/speed: found 3 (an integer); must be a non-empty string");
  check_refused(R"([[1], [2, null]])", R"({"items": {"items": {"type": "integer"}}})", kType,
                "/1/1: found null; must be an integer");
  check_refused(R"([{"a": {"b": "x"}}])",
                R"({"items": {"properties": {"a": {"properties": {"b": {"type": "integer"}}}}}})",
                kType, R"(/0/a/b: found "x" (a string); must be an integer)");
}

TEST_CASE("schema: pointers are escaped, based, and on one line") {
  const json map = json::parse(R"({"additionalProperties": {"type": "integer"}})");
  CHECK(refusal(json{{"a/b~c]", "x"}}, map).text ==
        R"(run.json: /a~1b~0c]: found "x" (a string); must be an integer)");
  CHECK(refusal(json{{"a", "x"}}, map, "/plugins/0").text ==
        R"(run.json: /plugins/0/a: found "x" (a string); must be an integer)");
  CHECK(refusal(json(1.5), json{{"type", "integer"}}, "/seed").text ==
        "run.json: /seed: found 1.5 (a number); must be an integer");
  CHECK(refusal(json{{"a\nb", "x\ny"}}, map).text ==
        R"(run.json: /a\u000ab: found "x\ny" (a string); must be an integer)");
  CHECK(refusal(json{{"", true}}, map).text ==
        "run.json: /: found true (a boolean); must be an integer");
}

TEST_CASE("schema: of several errors the deepest, then the first") {
  const char* schema = R"({"properties": {
    "a": {"type": "integer"}, "b": {"type": "integer"},
    "m": {"additionalProperties": {"type": "integer"}, "properties": {"z": {"type": "integer"}}},
    "list": {"items": {"type": "integer"}}}})";
  check_refused(R"({"b": "x", "a": "y"})", schema, kType,
                R"(/a: found "y" (a string); must be an integer)");
  check_refused(R"({"a": "y", "m": {"z": "z", "k": "k"}})", schema, kType,
                R"(/m/k: found "k" (a string); must be an integer)");
  check_refused(R"({"list": [0, 1, 2, 3, 4, 5, 6, 7, 8, "nine", "ten"]})", schema, kType,
                R"(/list/9: found "nine" (a string); must be an integer)");
  check_refused(R"({"list": [0, 1, "two", 3, 4, 5, 6, 7, 8, 9, "ten"], "m": {"z": "z"}})", schema,
                kType, R"(/list/2: found "two" (a string); must be an integer)");
}

TEST_CASE("schema: branches told apart by a constant") {
  check_refused(R"({"loss": {"name": "supervised", "size": 0}})", kBranches, kValue,
                "/loss/size: found 0; must be an integer of at least 1");
  check_refused(R"({"loss": {"name": "supervised", "size": 1, "deep": {"x": "y"}}})", kBranches,
                kValue, "/loss/deep: unknown key; allowed: name, size");
  check_refused(R"({"loss": {"name": "infonce", "heat": "hot", "zzz": 1}})", kBranches, kType,
                R"(/loss/heat: found "hot" (a string); must be a number)");
  check_refused(R"({"loss": {"name": "other", "deep": {"x": "y"}}})", kBranches, kValue,
                R"(/loss/name: found "other"; must be one of "infonce", "supervised")");
  check_refused(R"({"loss": {"name": 3}})", kBranches, kType,
                R"(/loss/name: found 3 (an integer); must be one of "infonce", "supervised")");
  check_refused(R"({"loss": {}})", kBranches, kValue,
                R"(/loss: the key "name" is missing; allowed keys: deep, heat, name, size)");
  check_refused(R"({"loss": {"nam": "infonce"}})", kBranches, kValue,
                R"(/loss/nam: unknown key; did you mean "name"? allowed: deep, heat, name, size)");
  // Other keys than those named are wrong where every branch says so.
  for (const char* open : {R"(, "additionalProperties": true)", ""}) {
    const std::string schema = R"({"anyOf": [
                  {"required": ["name"], "properties": {"name": {"const": "a"}},
                   "additionalProperties": false},
                  {"required": ["name"], "properties": {"name": {"const": "b"}})" +
                               std::string(open) + R"(},
                  {"required": ["name"], "properties": {"name": {"const": "c"}}}]})";
    check_refused(R"({"size": 1})", schema.c_str(), kValue,
                  R"(the key "name" is missing; allowed keys: name)");
  }
  check_refused(R"({"size": 1})", R"({"anyOf": [
                  {"required": ["weight"]},
                  {"required": ["name"], "properties": {"name": {"const": "a"}}}]})",
                kValue, R"(the key "weight" is missing)");
  check_refused(R"({"size": 1})", R"({"anyOf": [
                  {"required": ["weight"], "properties": {"name": {"const": "b"}}},
                  {"required": ["name"], "properties": {"name": {"const": "a"}}}]})",
                kValue, R"(the key "weight" is missing; allowed keys: name)");
  check_refused(R"({"size": 1})", R"({"anyOf": [
                  {"properties": {"name": {"const": "a"}, "size": {"minimum": 2}}},
                  {"properties": {"name": {"const": "b"}, "size": {"minimum": 3}}}]})",
                kValue, "/size: found 1; must be a number of at least 2");
  check_refused(R"({"loss": 5})", kBranches, kType,
                "/loss: found 5 (an integer); must be an object, or null");
}

TEST_CASE("schema: branches in items, nested branches, tags called type") {
  const char* schema = R"({"type": "array", "items": {"oneOf": [
    {"type": "object", "required": ["type"], "properties": {
      "type": {"const": "a"}, "inner": {"anyOf": [{"type": "string"},
        {"type": "array", "items": {"type": "integer"}}]}}},
    {"type": "object", "required": ["type"], "properties": {
      "type": {"const": "b"}, "inner": {"type": "boolean"}}}]}})";
  check_accepted(R"([{"type": "a", "inner": [1]}, {"type": "b", "inner": true}])", schema);
  check_refused(R"([{"type": "b"}, {"type": "a", "inner": [1, "x"]}])", schema, kType,
                R"(/1/inner/1: found "x" (a string); must be an integer)");
  check_refused(R"([{"type": "b", "inner": 1}])", schema, kType,
                "/0/inner: found 1 (an integer); must be true or false");
  check_refused(
      R"([{"type": "a", "inner": 1}])", schema, kType,
      "/0/inner: found 1 (an integer); must be a string, or an array, each item an integer");
}

TEST_CASE("schema: other unions") {
  const char* simple = R"({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]})";
  check_refused("0", simple, kValue, R"(found 0; must be an integer of at least 1, or "auto")");
  check_refused("\"x\"", simple, kValue,
                R"(found "x"; must be an integer of at least 1, or "auto")");
  check_refused("[]", simple, kType,
                R"(found [] (an array); must be an integer of at least 1, or "auto")");
  check_refused("3", R"({"oneOf": [{"type": "integer"}, {"minimum": 0}]})", kValue,
                "found 3; must match one rule only of: an integer, or a number of at least 0");
  check_refused(R"({"a": 1})", R"({"type": "object", "anyOf": [
                  {"required": ["a", "b"]}, {"required": ["c", "d"]}]})",
                kValue, R"(the key "b" is missing)");
  check_refused(R"({"k": "x"})", R"({"properties": {"k": {"type": "integer"}}, "anyOf": [
                  {"required": ["k"]}, {"required": ["d"]}]})",
                kType, R"(/k: found "x" (a string); must be an integer)");
  check_refused(R"({"k": "x"})", R"({"properties": {"k": {"type": "integer"}}, "anyOf": [
                  {"required": ["k"]}, {"type": "object"}]})",
                kType, R"(/k: found "x" (a string); must be an integer)");
  // Of two failures at one place the schema's own one.
  check_refused("{}", R"({"required": ["a"], "anyOf": [{"required": ["c"]}, {"required": ["d"]}]})",
                kValue, R"(the key "a" is missing)");
  check_refused(R"({"name": "z"})", R"({"anyOf": [{"properties": {"name": {"const": "a"}}},
                  {"type": "object", "required": ["x"]}]})",
                kValue, R"(the key "x" is missing)");
}

TEST_CASE("schema: long values and keys are shortened") {
  const json integer = {{"type", "integer"}};
  const std::string text = refusal(json(std::string(100000, 'a')), integer).text;
  CHECK(text == "run.json: found \"" + std::string(56, 'a') + "... (a string); must be an integer");
  std::string wide;
  for (int i = 0; i < 61; ++i) wide += "\xC3\xA9";
  CHECK(refusal(json(wide), integer).text ==
        "run.json: found \"" + wide.substr(0, 112) + "... (a string); must be an integer");
  CHECK(refusal(json(std::vector<int>(1000, 1)), integer).text.size() < 120);
  const json closed = {{"additionalProperties", false}};
  CHECK(refusal(json{{std::string(100000, 'k'), 1}}, closed).text ==
        "run.json: /" + std::string(57, 'k') + "...: unknown key; no keys are allowed here");
}

TEST_CASE("schema: hostile values") {
  const json deep = json::parse(nested(10000));
  json run = json::parse(R"({"data": {"neural": "a"}})");
  run["other"] = json::parse(nested(10000));
  CHECK(refusal(run, json::parse(kRun)).text.find("/other: unknown key; ") != std::string::npos);
  CHECK(refusal(deep, json{{"type", "integer"}}).text.size() < 150);
  CHECK(refusal(deep, json{{"enum", {1, {1, 2}}}}).text.find("must be one of") !=
        std::string::npos);
  CHECK(refusal(deep, json{{"type", "array"}}).text == "accepted");
  const std::string broken = "ok\xFF\x80\x80\x80\x80\x80\x80\x80\x80\x80";
  CHECK(refusal(json(broken), json{{"minLength", 50}}).text.find("at least 50 characters") !=
        std::string::npos);
}

TEST_CASE("schema: a wrong schema is told apart from a wrong value") {
  const Refusal result = refusal(json(1), json{{"type", "intger"}});
  CHECK(result.code == ErrorCode::internal);
  CHECK(result.text.find("run.json: the schema itself is wrong: ") == 0);
  CHECK(refusal(json(1), json()).text.find("the schema itself is wrong") != std::string::npos);
}

TEST_CASE("schema: keywords that could exhaust time or stack are not for plugins") {
  const auto check = [](const char* schema, const std::string& key) {
    CHECK_THROWS_WITH_AS(
        grevy::host::refuse_keywords(json::parse(schema)),
        ("the schema itself is wrong: its keyword \"" + key + "\" is not supported").c_str(),
        Error);
  };
  check(R"({"$ref": "#"})", "$ref");
  check(R"({"properties": {"a": {"$ref": "#"}}})", "$ref");
  check(R"({"definitions": {"a": {"$ref": "#/definitions/a"}}})", "$ref");
  check(R"({"items": [{"pattern": "(a+)+b"}]})", "pattern");
  check(R"({"anyOf": [{"not": {"patternProperties": {}}}]})", "patternProperties");
  const auto allow = [](const char* schema) {
    CHECK_NOTHROW(grevy::host::refuse_keywords(json::parse(schema)));
  };
  allow(R"({"properties": {"pattern": {"default": {"$ref": 1}}}})");
  allow(R"({"const": {"$ref": "x"}})");
}

TEST_CASE("schema: a found DEL is escaped") {
  check_refused("\"\x7f\"", R"({"type": "null"})", kType,
                R"(found "\u007f" (a string); must be null)");
}

TEST_CASE("schema: describe_rule") {
  CHECK(rule(R"({"type": "integer", "minimum": 1})") == "an integer of at least 1");
  CHECK(rule(R"({"type": ["null", "number"], "exclusiveMinimum": 0})") ==
        "a number above 0, or null");
  CHECK(rule(R"({"enum": ["a", "b"]})") == R"(one of "a", "b")");
  CHECK(rule(R"({"enum": ["a"]})") == R"("a")");
  CHECK(rule(R"({"type": "object"})") == "an object");
  CHECK(rule(R"({"type": "boolean"})") == "true or false");
  CHECK(rule(R"({"type": "integer", "minimum": 1, "maximum": 9})") == "an integer from 1 to 9");
  CHECK(rule(R"({"type": "number", "minimum": 0, "exclusiveMaximum": 1})") ==
        "a number of at least 0 and below 1");
  CHECK(rule(R"({"type": "number", "exclusiveMinimum": 0, "maximum": 1})") ==
        "a number above 0 and at most 1");
  CHECK(rule(R"({"maximum": 0.5})") == "a number of at most 0.5");
  CHECK(rule(R"({"minimum": 1, "maximum": 9, "exclusiveMinimum": 0})") ==
        "a number of at least 1 and above 0 and at most 9");
  CHECK(rule(R"({"type": "string", "minLength": 0})") == "a string");
  CHECK(rule("false") == "absent");
  CHECK(rule(R"({"type": "string", "minLength": 3})") == "a string of at least 3 characters");
  CHECK(rule(R"({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}})") ==
        "an array of 2 items, each item a number");
  CHECK(rule(R"({"type": ["string", "integer", "null"]})") == "a string, an integer, or null");
  CHECK(rule(R"({"oneOf": [{"type": "object"}, {"type": "object"}, {"const": 1}]})") ==
        "an object, or 1");
  CHECK(rule("{}") == "any value");
}

TEST_CASE("schema: defaults are filled in recursively") {
  const json schema = json::parse(R"({"properties": {
    "a": {"default": 1}, "b": {"type": "string"}, "n": {"default": null},
    "made": {"default": {}, "properties": {"x": {"default": [1]}}},
    "kept": {"properties": {"y": {"default": 2}, "z": {"default": 3}}},
    "absent": {"properties": {"y": {"default": 2}}}}})");
  json value = json::parse(R"({"kept": {"y": 5}, "extra": true})");
  apply_defaults(value, schema);
  CHECK(value == json::parse(R"({"a": 1, "n": null, "made": {"x": [1]},
                                 "kept": {"y": 5, "z": 3}, "extra": true})"));
  json list = json::array();
  apply_defaults(list, schema);
  CHECK(list == json::array());
  json null = {{"made", nullptr}, {"a", nullptr}};
  apply_defaults(null, schema);
  CHECK(null["made"].is_null());
  CHECK(null["a"].is_null());
}

TEST_CASE("schema: nearest_name") {
  CHECK(nearest_name("trainin", {"data", "training", "seed"}) == "training");
  CHECK(nearest_name("SEDE", {"data", "seed"}) == "seed");
  CHECK(nearest_name("seed", {"seeds", "seed"}) == "seed");
  CHECK(nearest_name("abcd", {"abxy", "abyx"}) == "abxy");
  CHECK(nearest_name("abcd", {"wxyz"}).empty());
  CHECK(nearest_name("abcdefghi", {"abcdefxyz"}) == "abcdefxyz");
  CHECK(nearest_name("abcdefgh", {"abcdexyz"}).empty());
  CHECK(nearest_name(std::string(1000000, 'a'), {"a", "b"}).empty());
  CHECK(nearest_name("word", {}).empty());
}

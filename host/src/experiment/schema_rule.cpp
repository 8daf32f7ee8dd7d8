#include "experiment/schema_rule.hpp"

#include "experiment/schema.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace grevy::host::schema {
namespace {

constexpr std::size_t kShownCharacters = 60;
constexpr std::size_t kShownBytes = 4 * kShownCharacters;  // UTF-8 needs at most 4 per character
constexpr double kTwoTo63 = 9223372036854775808.0;

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

std::string shorten(const std::string& text) {
  std::size_t characters = 0;
  std::size_t cut = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!starts_character(text[i])) continue;
    if (++characters == kShownCharacters - 2) cut = i;
    if (characters > kShownCharacters) return text.substr(0, cut) + "...";
  }
  return text;
}

// "a", "a, or b", "a, b, or c"; equal parts once.
std::string join_with_or(const std::vector<std::string>& parts) {
  std::vector<std::string> unique;
  for (const std::string& part : parts) {
    if (std::find(unique.begin(), unique.end(), part) == unique.end()) unique.push_back(part);
  }
  if (unique.size() > 1) unique.back() = "or " + unique.back();
  return join(unique, ", ");
}

// Every level of nesting writes a character, so the limit on the text bounds the recursion too.
void append_start(const json& value, std::string& out) {
  if (out.size() > kShownBytes) return;
  if (value.is_string()) {
    out += dump(value.get_ref<const std::string&>().substr(0, kShownBytes));
    return;
  }
  if (value.is_primitive()) {
    out += dump(value);
    return;
  }
  out += value.is_array() ? '[' : '{';
  const char* separator = "";
  for (auto item = value.begin(); item != value.end() && out.size() <= kShownBytes; ++item) {
    out += separator;
    separator = ", ";
    if (value.is_object()) out += dump(item.key().substr(0, kShownBytes)) + ": ";
    append_start(*item, out);
  }
  out += value.is_array() ? ']' : '}';
}

// "at least 0 and below 1": bounds in the order of the table.
std::vector<std::string> bounds(const json& schema) {
  static constexpr std::array<std::pair<const char*, const char*>, 4> kBounds = {{
      {"minimum", "at least "},
      {"exclusiveMinimum", "above "},
      {"maximum", "at most "},
      {"exclusiveMaximum", "below "},
  }};
  std::vector<std::string> texts;
  for (const auto& [keyword, text] : kBounds) {
    if (const json* bound = member(schema, keyword)) texts.push_back(text + dump(*bound));
  }
  return texts;
}

std::string describe_range(const json& schema) {
  const std::vector<std::string> texts = bounds(schema);
  if (texts.empty()) return "";
  const json* low = member(schema, "minimum");
  const json* high = member(schema, "maximum");
  if (low && high && texts.size() == 2) return " from " + dump(*low) + " to " + dump(*high);
  const bool closed = texts.front().compare(0, 3, "at ") == 0;
  return (closed ? " of " : " ") + join(texts, " and ");
}

std::string describe_integer(const json& schema) { return "an integer" + describe_range(schema); }

std::string describe_number(const json& schema) { return "a number" + describe_range(schema); }

std::string describe_string(const json& schema) {
  const json* length = member(schema, "minLength");
  if (!length || *length == 0) return "a string";
  if (*length == 1) return "a non-empty string";
  return "a string of at least " + dump(*length) + " characters";
}

std::string describe_count(const json& schema) {
  const json* low = member(schema, "minItems");
  const json* high = member(schema, "maxItems");
  if (low && high && *low == *high) return " of " + counted(*low);
  if (low && high) return " of " + dump(*low) + " to " + counted(*high);
  if (low) return " of at least " + counted(*low);
  return high ? " of at most " + counted(*high) : "";
}

std::string describe_array(const json& schema) {
  const std::string text = "an array" + describe_count(schema);
  const json* items = member(schema, "items");
  const std::string rule = items ? describe_rule(*items) : "any value";
  return rule == "any value" ? text : text + ", each item " + rule;
}

struct Type {
  const char* name;
  const char* phrase;                     // of a found value; empty where the value says it
  unsigned found;                         // what a value of this type is
  unsigned allowed;                       // what a schema of this type takes
  std::string (*describe)(const json&);   // the rule of a schema of this type
  std::array<const char*, 4> implied_by;  // keywords that stand for the type where none is given
};

const std::array<Type, 7> kTypes = {{
    {"null", "", kNull, kNull, [](const json&) -> std::string { return "null"; }, {}},
    {"boolean",
     "a boolean",
     kBoolean,
     kBoolean,
     [](const json&) -> std::string { return "true or false"; },
     {}},
    {"integer", "an integer", kInteger, kInteger, describe_integer, {}},
    {"number",
     "a number",
     kFraction,
     kInteger | kFraction,
     describe_number,
     {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"string", "a string", kString, kString, describe_string, {"minLength"}},
    {"array", "an array", kArray, kArray, describe_array, {"items", "minItems", "maxItems"}},
    {"object",
     "an object",
     kObject,
     kObject,
     [](const json&) -> std::string { return "an object"; },
     {"properties", "required", "additionalProperties"}},
}};

const Type* find_type(const json& name) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const Type& type) { return name == type.name; });
  return found == kTypes.end() ? nullptr : &*found;
}

bool implies(const json& schema, const Type& type) {
  return std::any_of(type.implied_by.begin(), type.implied_by.end(),
                     [&](const char* keyword) { return keyword && member(schema, keyword); });
}

std::vector<const Type*> types_of(const json& schema) {
  std::vector<const Type*> types;
  const auto add = [&](const Type* type) {
    if (type) types.push_back(type);
  };
  const json* names = member(schema, "type");
  if (names && !names->is_array()) add(find_type(*names));
  if (names && names->is_array()) {
    for (const json& name : *names) add(find_type(name));
  }
  if (names) return types;
  for (const Type& type : kTypes) add(implies(schema, type) ? &type : nullptr);
  return types;
}

// Null last: "a number above 0, or null" whatever the order in the schema.
std::string describe_types(const json& schema) {
  std::vector<const Type*> types = types_of(schema);
  std::stable_partition(types.begin(), types.end(),
                        [](const Type* type) { return type->allowed != kNull; });
  std::vector<std::string> rules;
  for (const Type* type : types) rules.push_back(type->describe(schema));
  return rules.empty() ? "any value" : join_with_or(rules);
}

std::string describe_enum(const json& values) {
  std::vector<std::string> texts;
  for (const json& value : values) texts.push_back(dump(value));
  return (texts.size() > 1 ? "one of " : "") + join(texts, ", ");
}

std::string describe_branches(const json& branches) {
  std::vector<std::string> rules;
  for (const json& branch : branches) rules.push_back(describe_rule(branch));
  return join_with_or(rules);
}

template <typename Values, typename Mask>
unsigned any_type(const Values& values, Mask mask) {
  return std::accumulate(values.begin(), values.end(), 0U,
                         [&](unsigned bits, const auto& value) { return bits | mask(value); });
}

// Numbers of the schema compare by value, so 2 in an enum takes 2.0 as well.
unsigned constant_type(const json& value) {
  return value.is_number() ? type_of(value) | (value.is_number_float() ? kInteger : 0U)
                           : type_of(value);
}

}  // namespace

const json* member(const json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

bool is_false(const json& schema) { return schema.is_boolean() && !schema.get<bool>(); }

std::string one_line(const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = byte < 0x20 || byte == 0x7F;
    if (control) (line += "\\u00") += {kHex[byte >> 4U], kHex[byte & 0xFU]};
    if (!control) line += c;
  }
  return line;
}

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string shown(const json& value) {
  std::string text;
  append_start(value, text);
  return shorten(one_line(text));  // JSON leaves DEL as it is
}

std::string pointer(const Path& path) {
  json::json_pointer result;
  for (const std::string& key : path) result.push_back(shorten(key));
  return result.to_string();
}

std::string counted(const json& count) { return dump(count) + (count == 1 ? " item" : " items"); }

bool beyond_int64(const json& value) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() > kLargest;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();  // -2^63 - 1 is read as -2^63
  return number >= kTwoTo63 || number <= -kTwoTo63;
}

unsigned type_of(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return kNull;
    case json::value_t::boolean:
      return kBoolean;
    case json::value_t::number_integer:
      return kInteger;
    case json::value_t::number_unsigned:
      return beyond_int64(value) ? kFraction : kInteger;
    case json::value_t::number_float:
      return kFraction;
    case json::value_t::string:
      return kString;
    case json::value_t::array:
      return kArray;
    case json::value_t::object:
      return kObject;
    default:
      return 0;
  }
}

const char* phrase_of(const json& value) {
  const unsigned bit = type_of(value);
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const Type& type) { return type.found == bit; });
  return found == kTypes.end() ? "" : found->phrase;
}

unsigned allowed_types(const json& schema) {
  unsigned bits = kAnyType;
  if (member(schema, "type")) {
    bits &= any_type(types_of(schema), [](const Type* type) { return type->allowed; });
  }
  if (const json* constant = member(schema, "const")) bits &= constant_type(*constant);
  if (const json* values = member(schema, "enum")) bits &= any_type(*values, constant_type);
  for (const char* keyword : kUnions) {
    if (const json* branches = member(schema, keyword)) bits &= any_type(*branches, allowed_types);
  }
  return bits;
}

std::string describe(const json& schema) {
  if (is_false(schema)) return "absent";
  if (const json* constant = member(schema, "const")) return dump(*constant);
  if (const json* values = member(schema, "enum")) return describe_enum(*values);
  for (const char* keyword : kUnions) {
    if (const json* branches = member(schema, keyword)) return describe_branches(*branches);
  }
  return describe_types(schema);
}

}  // namespace grevy::host::schema

namespace grevy::host {

std::string describe_rule(const nlohmann::json& rule) { return schema::describe(rule); }

}  // namespace grevy::host

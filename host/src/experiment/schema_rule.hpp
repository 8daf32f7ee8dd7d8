// What a JSON Schema says about a place, in words, and what a value looks like in a message.
#ifndef GREVY_HOST_SCHEMA_RULE_HPP
#define GREVY_HOST_SCHEMA_RULE_HPP

#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <vector>

namespace grevy::host::schema {

using nlohmann::json;
using Path = std::vector<std::string>;  // keys and indices from the root

inline constexpr std::array kUnions = {"anyOf", "oneOf"};

// The member of an object, or null; also for what is no object.
const json* member(const json& object, const std::string& key);
bool is_false(const json& schema);

// ---- text: one line, shortened, valid UTF-8

std::string one_line(const std::string& text);
std::string join(const std::vector<std::string>& parts, const std::string& separator);
std::string dump(const json& value);
std::string shown(const json& value);
std::string counted(const json& count);  // "3 items"
std::string pointer(const Path& path);

// ---- types, as bits

enum TypeBit : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAnyType = 127,
};

bool beyond_int64(const json& value);
unsigned type_of(const json& value);
const char* phrase_of(const json& value);    // "a string", "an integer", ...
unsigned allowed_types(const json& schema);  // bits that the schema takes

}  // namespace grevy::host::schema

#endif

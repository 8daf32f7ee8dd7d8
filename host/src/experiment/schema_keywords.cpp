#include "experiment/schema_keywords.hpp"

#include "experiment/schema_rule.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <array>
#include <string>

namespace grevy::host {
namespace {

using nlohmann::json;

constexpr std::array kRefused = {"$ref", "pattern", "patternProperties"};
constexpr std::array kOfData = {"const", "enum", "default", "examples"};
constexpr std::array kOfNamedSchemas = {"properties", "definitions", "dependencies"};

template <typename Keywords>
bool is_one_of(const Keywords& keywords, const std::string& key) {
  return std::find(keywords.begin(), keywords.end(), key) != keywords.end();
}

void refuse_in_named(const json& schemas) {
  for (const json& schema : schemas) refuse_keywords(schema);
}

void refuse_in_keyword(const std::string& key, const json& value) {
  if (is_one_of(kRefused, key)) {
    throw Error(ErrorCode::incompatible,
                "the schema itself is wrong: its keyword \"" + key + "\" is not supported");
  }
  if (is_one_of(kOfData, key)) return;
  if (is_one_of(kOfNamedSchemas, key)) return refuse_in_named(value);
  refuse_keywords(value);
}

}  // namespace

void refuse_keywords(const json& schema) {
  if (schema.is_array()) return refuse_in_named(schema);
  if (!schema.is_object()) return;
  for (const auto& item : schema.items()) refuse_in_keyword(item.key(), item.value());
}

}  // namespace grevy::host

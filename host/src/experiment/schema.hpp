// JSON Schema validation with messages for people.
#ifndef GREVY_HOST_SCHEMA_HPP
#define GREVY_HOST_SCHEMA_HPP

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace grevy::host {

// Validates with valijson. On failure throws grevy::Error with one line of the form
//   FILE: /json/pointer: what was found; what is allowed
// where pointer is `base` followed by the place in `value`. Codes: invalid_type for a wrong JSON
// type, invalid_value otherwise. Texts, by keyword of the schema at that place:
//   unknown key     /trainin: unknown key; did you mean "training"? allowed: a, b, c
//   missing key     /data: the key "neural" is missing; allowed keys: ...
//   type            /seed: found "abc" (a string); must be an integer of at least 0
//   range, enum     /sampling/prior: found "x"; must be one of "empirical", "uniform"
// The rule text comes from the schema (describe_rule below); the place's "description" is appended
// in brackets where the schema has one.
// Schemas here use: type (also a list of types), enum, const, minimum, maximum, exclusiveMinimum,
// exclusiveMaximum, minLength, minItems, maxItems, items, properties, required,
// additionalProperties (false or a schema), anyOf/oneOf. A schema that is none, or has $ref,
// pattern or patternProperties, is refused with the code internal: "FILE: the schema itself is
// wrong: ...".
void validate(const nlohmann::json& value, const nlohmann::json& schema, const std::string& file,
              const std::string& base = "");

// "an integer of at least 1", "a number above 0, or null", "one of \"a\", \"b\"", "an object", ...
std::string describe_rule(const nlohmann::json& schema);

// Fills in the "default" of every property of an object schema that `value` lacks, recursively
// through properties that are objects with properties of their own.
void apply_defaults(nlohmann::json& value, const nlohmann::json& schema);

}  // namespace grevy::host

#endif

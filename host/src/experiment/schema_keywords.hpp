// Which JSON Schema a plugin may bring.
#ifndef GREVY_HOST_SCHEMA_KEYWORDS_HPP
#define GREVY_HOST_SCHEMA_KEYWORDS_HPP

#include <nlohmann/json.hpp>

namespace grevy::host {

// Errors: incompatible ("the schema itself is wrong: ...") for a keyword that could exhaust time or
// stack: $ref (circles), pattern and patternProperties (regular expressions).
void refuse_keywords(const nlohmann::json& schema);

}  // namespace grevy::host

#endif

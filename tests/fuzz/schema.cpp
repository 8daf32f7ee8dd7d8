// Schemas of plugins and values for them: the schema, a NUL, the value.
#include "experiment/schema.hpp"

#include "experiment/schema_keywords.hpp"
#include "json_support.hpp"

using namespace grevy::fuzz;
using namespace grevy::host;
using nlohmann::json;

namespace {

bool is_valid(const json& value, const json& schema, std::size_t longest) {
  return accepts([&] { refuse_keywords(schema); }, "", longest) &&
         accepts([&] { validate(value, schema, "file"); }, "file: ", longest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [schema_text, value_text] = split(view(data, size), '\0');
  const std::size_t longest = 8 * size + 4096;
  const auto schema = read_json(schema_text);
  const auto value = read_json(value_text);
  if (!schema || !value || !schema->is_object()) return 0;
  accepts([&] { (void)describe_rule(*schema); }, "", longest);
  const bool valid = is_valid(*value, *schema, longest);
  const json list_schema = {{"type", "array"}, {"items", *schema}};
  expect(is_valid(json::array({*value}), list_schema, longest) == valid,
         "a value is valid, but not as the element of a list");
  json filled = *value;
  accepts([&] { apply_defaults(filled, *schema); }, "", longest);
  return 0;
}

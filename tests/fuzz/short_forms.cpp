// Experiments in their short forms.
#include "experiment/short_form.hpp"
#include "json_support.hpp"

using namespace grevy::fuzz;
using grevy::host::expand_short_forms;
using nlohmann::json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = read_json(view(data, size));
  if (!document) return 0;
  json expanded;
  const auto expand = [&] { expanded = expand_short_forms(*document); };
  if (!accepts(expand, "/", 2 * size + 4096)) return 0;
  expect(expand_short_forms(expanded) == expanded, "a long form was changed");
  if (!document->is_object()) expect(expanded == *document, "what is no document was changed");
  for (const char* key : {"cebra", "objectives"})
    expect(!expanded.is_object() || !expanded.contains(key), "a short form is left");
  return 0;
}

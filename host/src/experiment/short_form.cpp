#include "experiment/short_form.hpp"

#include <grevy/error.hpp>

#include <string>
#include <utility>

namespace grevy::host {

using nlohmann::json;

json expand_short_forms(json document) {
  return expand_objectives(expand_cebra(std::move(document)));
}

void refuse_overlaps(const json& document, const char* short_form,
                     std::initializer_list<Overlap> overlaps) {
  for (const auto& [pointer, keys] : overlaps)
    if (document.contains(json::json_pointer(pointer)))
      throw Error(ErrorCode::invalid_value, std::string(pointer) + ": found beside " + short_form +
                                                ", which says the same (" + keys +
                                                "); one of them must be left out");
}

json* object_under(json& document, const char* key) {
  json& value = document.emplace(key, json::object()).first.value();
  return value.is_object() ? &value : nullptr;
}

}  // namespace grevy::host

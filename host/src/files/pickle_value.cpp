#include "files/pickle_value.hpp"

#include <iterator>

namespace grevy::host {

const PickleValue* PickleDict::find(std::string_view key) const {
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    const auto* text = std::get_if<std::string>(&item->key.value);
    if (text != nullptr && *text == key) return &item->value;
  }
  return nullptr;
}

const char* type_text(const PickleValue& value) {
  static constexpr const char* kNames[] = {"None",   "a bool",   "an integer", "a float",
                                           "a text", "bytes",    "a list",     "a tuple",
                                           "a dict", "a tensor", "an object"};
  static_assert(std::size(kNames) == std::variant_size_v<decltype(PickleValue::value)>);
  return kNames[value.value.index()];
}

}  // namespace grevy::host

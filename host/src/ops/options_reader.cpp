#include "ops/options_reader.hpp"

#include <grevy/detail/text.hpp>
#include <grevy/error.hpp>

#include <optional>
#include <vector>

namespace {

using grevy::Error;
using grevy::ErrorCode;
using Json = grevy_options_reader::Json;

// A key as a pointer has it, and back (RFC 6901).
std::string escaped(const std::string& key) {
  std::string text;
  for (const char c : key)
    if (c == '~')
      text += "~0";
    else if (c == '/')
      text += "~1";
    else
      text += c;
  return text;
}

std::optional<std::string> unescaped(std::string_view token) {
  std::string key;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      key += token[i];
      continue;
    }
    ++i;
    if (i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
    key += token[i] == '0' ? '~' : '/';
  }
  return key;
}

// The keys of "/a/0/b". Errors: invalid_value.
std::vector<std::string> keys_of(std::string_view pointer) {
  const auto refuse = [&]() -> std::string {
    throw Error(ErrorCode::invalid_value,
                "\"" + grevy::detail::repaired(pointer, 60) +
                    "\" is no JSON pointer; must be as \"/name\" or \"/list/0\"");
  };
  std::vector<std::string> keys;
  while (!pointer.empty()) {
    if (pointer[0] != '/') refuse();
    const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
    const std::optional<std::string> key = unescaped(pointer.substr(1, end - 1));
    keys.push_back(key ? *key : refuse());
    pointer.remove_prefix(end);
  }
  return keys;
}

const Json* element(const Json& list, const std::string& key) {
  const bool is_index = !key.empty() && key.size() <= 18 &&
                        key.find_first_not_of("0123456789") == std::string::npos &&
                        (key.size() == 1 || key[0] != '0');
  if (!is_index) return nullptr;
  const auto index = static_cast<std::size_t>(std::stoull(key));
  return index < list.size() ? &list[index] : nullptr;
}

const Json* member(const Json& value, const std::string& key) {
  if (value.is_array()) return element(value, key);
  if (!value.is_object()) return nullptr;
  const auto found = value.find(key);
  return found == value.end() ? nullptr : &*found;
}

}  // namespace

const Json* grevy_options_reader::find(std::string_view pointer, bool whole) {
  const Json* value = &options_;
  std::string clean;
  for (const std::string& key : keys_of(pointer)) {
    clean += "/" + escaped(key);
    if (value != nullptr) value = member(*value, key);
  }
  bool& asked = asked_[clean];
  asked = asked || whole;
  return value;
}

grevy_text grevy_options_reader::keep(std::string text) {
  kept_.push_back(std::move(text));
  return grevy::detail::text_of(kept_.back());
}

bool grevy_options_reader::is_asked_for(const Json& value, const std::string& pointer) const {
  if (asked_.count(pointer) != 0) return true;
  if (!value.is_structured()) return false;
  // An empty one is known where something in it would have been.
  const std::string within = pointer + "/";
  const auto next = asked_.lower_bound(within);
  return next != asked_.end() && next->first.compare(0, within.size(), within) == 0;
}

void grevy_options_reader::check_known(const Json& value, const std::string& pointer) const {
  const auto asked = asked_.find(pointer);
  if (asked != asked_.end() && asked->second) return;
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, inner] : value.items()) check_known(inner, pointer + "/" + escaped(key));
    return;
  }
  if (value.is_array() && !value.empty()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      check_known(value[i], pointer + "/" + std::to_string(i));
    return;
  }
  if (is_asked_for(value, pointer)) return;
  std::string known;
  for (const auto& [name, whole] : asked_) known += (known.empty() ? "" : ", ") + name;
  throw Error(ErrorCode::invalid_value,
              "unknown option \"" + pointer + "\"; known: " + (known.empty() ? "none" : known));
}

void grevy_options_reader::check_known() const {
  if (!options_.empty()) check_known(options_, "");
}

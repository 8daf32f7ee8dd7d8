#include "experiment/document.hpp"

#include "experiment/schema_rule.hpp"
#include "files/json_text.hpp"

#include <grevy/error.hpp>

#include <charconv>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void refuse(const std::string& change, const std::string& what) {
  std::string text = schema::shown(change).substr(1);
  if (text.back() == '"') text.pop_back();
  throw Error(ErrorCode::invalid_value, "--set " + text + ": " + schema::one_line(what));
}

json value_of(const std::string& text, const std::string& keys) {
  if (!json::accept(text)) return text;
  return parse_json(text, "--set " + schema::shown(keys));
}

std::optional<std::size_t> number_of(const std::string& key) {
  std::size_t number = 0;
  const char* last = key.data() + key.size();
  const auto [end, error] = std::from_chars(key.data(), last, number);
  return error == std::errc() && end == last ? std::optional(number) : std::nullopt;
}

// JSON pointers would fill an array up to any number.
json* element(json& array, const std::string& key) {
  const std::optional<std::size_t> number = key == "-" ? array.size() : number_of(key);
  return number && *number <= array.size() ? &array[*number] : nullptr;
}

json* child(json& value, const std::string& key) {
  if (value.is_null()) value = key == "0" || key == "-" ? json::array() : json::object();
  if (value.is_object()) return &value[key];
  return value.is_array() ? element(value, key) : nullptr;
}

}  // namespace

json read_document(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream || fs::is_directory(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  return parse_json(stream, file.string());
}

void apply_change(json& document, const std::string& change) {
  const auto equals = change.find('=');
  if (equals == std::string::npos || equals == 0) refuse(change, "must be of the form a.b=value");
  if (json::parse(schema::dump(change)) != change) refuse(change, "is not UTF-8");
  const std::string keys = change.substr(0, equals);
  json value = value_of(change.substr(equals + 1), keys);
  json* place = &document;
  schema::Path path;
  std::istringstream stream(keys);
  for (std::string key; std::getline(stream, key, '.');) {
    path.push_back(key);
    place = path.size() <= json_depth_limit ? child(*place, key) : nullptr;
    if (!place) refuse(change, "there is nothing to set at " + schema::pointer(path));
  }
  *place = std::move(value);
}

}  // namespace grevy::host

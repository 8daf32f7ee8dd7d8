#include "training/checkpoint_info.hpp"

#include "experiment/schema_rule.hpp"
#include "files/json_text.hpp"

#include <grevy/error.hpp>

#include <string>

namespace grevy::host {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }

json value_of(const std::string& key, const std::string& text) {
  try {
    return parse_json(text, key);
  } catch (const Error&) {
    fail("the checkpoint's metadata " + schema::shown(key) + " is damaged");
  }
}

}  // namespace

void store_info(const json& info, StoredTensors& content) {
  for (const auto& [key, value] : info.items()) content.metadata[key] = value.dump();
  content.metadata["format"] = json(checkpoint_format).dump();
}

json read_info(const StoredTensors& content) {
  if (content.metadata.count("format") == 0) fail("is a safetensors file, but no Grevy checkpoint");
  json info = json::object();
  for (const auto& [key, text] : content.metadata) info[key] = value_of(key, text);
  if (info["format"] != checkpoint_format)
    fail("is a checkpoint of format " + schema::shown(info["format"]) + "; this version reads \"" +
         checkpoint_format + "\"");
  return info;
}

}  // namespace grevy::host

#include "training/checkpoint_info.hpp"

#include "experiment/schema_rule.hpp"
#include "files/json_text.hpp"

#include <grevy/error.hpp>

#include <charconv>
#include <string>
#include <system_error>

namespace grevy::host {
namespace {

using nlohmann::json;

// Has no checksum, no number of threads and says nothing of its run.
constexpr const char* unchecked_format = "grevy.checkpoint/1";

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
  content.metadata[checksum_key] = {};
}

json read_info(const StoredTensors& content) {
  if (content.metadata.count("format") == 0) fail("is a safetensors file, but no Grevy checkpoint");
  json info = json::object();
  for (const auto& [key, text] : content.metadata)
    if (key != checksum_key) info[key] = value_of(key, text);
  const json& format = info["format"];
  if (format != checkpoint_format && format != unchecked_format)
    throw Error(ErrorCode::incompatible, "is a checkpoint of format " + schema::shown(format) +
                                             "; this version reads \"" + unchecked_format +
                                             "\" and \"" + checkpoint_format + "\"");
  if (format != unchecked_format && content.metadata.count(checksum_key) == 0)
    fail("the checkpoint has lost its checksum");
  return info;
}

json to_words(const Random::State& state) {
  json list = json::array();
  for (const std::uint64_t word : state) list.push_back(std::to_string(word));
  return list;
}

Random::State parse_words(const json& words) {
  Random::State state{};
  if (!words.is_array() || words.size() != state.size())
    fail("a generator's state has " + std::to_string(words.size()) + " words; must be " +
         std::to_string(state.size()));
  for (std::size_t i = 0; i < state.size(); ++i) {
    const std::string text = words[i].is_string() ? words[i].get<std::string>() : "";
    const auto end = std::from_chars(text.data(), text.data() + text.size(), state[i]);
    if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size())
      fail("a generator's state has the word " + schema::shown(words[i]) + "; must be a number");
  }
  if (state == Random::State{}) fail("a generator's state is all zero");
  return state;
}

}  // namespace grevy::host

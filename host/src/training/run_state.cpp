#include "training/run_state.hpp"

#include "experiment/schema_rule.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace grevy::host {
namespace {

using nlohmann::json;
using Pointer = json::json_pointer;

const std::string plugin_prefix = "plugin:";

Change changed(std::string name, const json* from, const json* to) {
  const auto text = [](const json* value) { return value == nullptr ? "nothing" : value->dump(); };
  return {std::move(name), from == nullptr ? json() : *from, to == nullptr ? json() : *to,
          text(from), text(to)};
}

const json* find(const json& object, const std::string& key) {
  const auto at = object.find(key);
  return at == object.end() ? nullptr : &*at;
}

// Null: there is nothing.
void compare(const json* from, const json* to, const Pointer& at, std::vector<Change>& found) {
  if (from != nullptr && to != nullptr && *from == *to) return;
  const bool both = from != nullptr && to != nullptr;
  if (both && from->is_object() && to->is_object()) {
    std::set<std::string> keys;
    for (const json* side : {from, to})
      for (const auto& item : side->items()) keys.insert(item.key());
    for (const std::string& key : keys) compare(find(*from, key), find(*to, key), at / key, found);
  } else if (both && from->is_array() && to->is_array() && from->size() == to->size()) {
    for (std::size_t i = 0; i < from->size(); ++i) compare(&(*from)[i], &(*to)[i], at / i, found);
  } else {
    found.push_back(changed(at.to_string(), from, to));
  }
}

// By id, what tells two files apart; a list where an id has several.
std::map<std::string, json> by_id(const json& plugins) {
  std::map<std::string, std::vector<json>> files;
  for (const json& plugin : plugins)
    if (plugin.is_object() && plugin.contains("id") && plugin["id"].is_string())
      files[plugin["id"]].push_back({{"version", plugin.value("version", json())},
                                     {"sha256", plugin.value("sha256", json())}});
  std::map<std::string, json> found;
  for (auto& [id, list] : files) {
    std::sort(list.begin(), list.end());
    found[id] = list.size() == 1 ? list.front() : json(list);
  }
  return found;
}

const json* find(const std::map<std::string, json>& plugins, const std::string& id) {
  const auto at = plugins.find(id);
  return at == plugins.end() ? nullptr : &at->second;
}

}  // namespace

json RunState::to_json() const {
  json run = {{"best", nullptr}, {"log_bytes", nullptr}, {"allowed", allowed}, {"data", data}};
  if (best) run["best"] = {{"step", best->step}, {"loss", best->loss}};
  if (log_bytes) run["log_bytes"] = *log_bytes;
  return run;
}

RunState RunState::from_json(const json& run) {
  RunState state;
  if (!run.is_object()) return state;
  const json best = run.value("best", json()), bytes = run.value("log_bytes", json());
  if (best.is_object() && best.value("step", json()).is_number_integer() &&
      best.value("loss", json()).is_number())
    state.best = Best{best["step"], best["loss"]};
  if (bytes.is_number_unsigned()) state.log_bytes = bytes.get<std::uint64_t>();
  if (run.value("allowed", json()).is_array()) state.allowed = run["allowed"];
  if (run.value("data", json()).is_object()) state.data = run["data"];
  return state;
}

std::vector<Change> experiment_changes(const json& from, const json& to) {
  std::vector<Change> found;
  compare(&from, &to, Pointer(), found);
  return found;
}

std::vector<Change> data_changes(const json& from, const json& to) {
  std::vector<Change> found;
  if (!from.is_object() || !to.is_object()) return found;
  std::set<std::string> places;
  for (const json* side : {&from, &to})
    for (const auto& item : side->items()) places.insert(item.key());
  for (const std::string& place : places) {
    const json *a = find(from, place), *b = find(to, place);
    if (a == nullptr || b == nullptr || *a != *b) found.push_back(changed(place, a, b));
  }
  return found;
}

std::vector<Change> plugin_changes(const json& from, const json& to) {
  const auto before = by_id(from), now = by_id(to);
  std::set<std::string> ids;
  for (const auto* side : {&before, &now})
    for (const auto& [id, plugin] : *side) ids.insert(id);
  std::vector<Change> found;
  for (const std::string& id : ids) {
    const json *a = find(before, id), *b = find(now, id);
    if (a == nullptr || b == nullptr || *a != *b)
      found.push_back(changed(plugin_prefix + id, a, b));
  }
  return found;
}

void check_allowed_names(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool is_pointer = name.size() > 1 && name[0] == '/';
    const bool is_plugin = name.size() > plugin_prefix.size() && name.rfind(plugin_prefix, 0) == 0;
    if (!is_pointer && !is_plugin)
      throw Error(ErrorCode::invalid_value,
                  "--allow: found " + schema::shown(name) +
                      "; must be a place in the experiment, such as /optimizer/learning_rate, or "
                      "plugin:ID");
  }
}

bool changes_validation(const Change& change) {
  static const std::vector<std::string> harmless = {"/device",
                                                    "/evaluation",
                                                    "/optimizer",
                                                    "/threads",
                                                    "/training/keep_checkpoints",
                                                    "/training/log_frequency",
                                                    "/training/non_finite",
                                                    "/training/num_steps",
                                                    "/training/save_frequency",
                                                    "/training/valid_frequency"};
  return !is_allowed(change, harmless);
}

bool is_allowed(const Change& change, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return change.name == name || change.name.rfind(name + "/", 0) == 0;
  });
}

}  // namespace grevy::host

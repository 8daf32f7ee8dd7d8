#include "training/run_changes.hpp"

#include "plugins/used_plugins.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <set>

namespace grevy::host {
namespace {

using nlohmann::json;

// Made anew, since older versions have fewer keys; as it is where it fits no longer.
json stored_document(const json& info, const Host& host) {
  const json& document = info.at("experiment");
  try {
    return Experiment(host, document, info.at("file").get<std::string>()).document();
  } catch (const Error&) {
    return document;
  }
}

// The first of an id; null where there is none.
const PluginManifest* find_plugin(const Host& host, const json& id) {
  const auto& plugins = host.plugins();
  const auto at = std::find_if(plugins.begin(), plugins.end(),
                               [&](const PluginManifest& plugin) { return plugin.id == id; });
  return at != plugins.end() ? &*at : nullptr;
}

// The plugins of the components, and those of the run that they may ask for later, as the host has
// them.
json plugins_now(const json& stored, const Host& host, const Trainer& trainer) {
  json now = trainer.plugins();
  for (const json& before : stored) {
    const auto is_it = [&](const json& plugin) { return plugin.at("id") == before.at("id"); };
    if (std::any_of(now.begin(), now.end(), is_it)) continue;
    const PluginManifest* plugin = find_unchanged(host, before);
    if (plugin == nullptr) plugin = find_plugin(host, before.at("id"));
    if (plugin != nullptr) now.push_back(describe_plugin(host, *plugin));
  }
  return now;
}

}  // namespace

std::vector<Change> changes_since(const json& info, const Host& host, const Trainer& trainer,
                                  const json& data) {
  json stored = stored_document(info, host), wanted = trainer.experiment().document();
  const json::json_pointer steps("/training/num_steps"), threads("/threads");
  stored[steps] = wanted[steps];
  if (info.contains("threads")) {  // what they came to on that machine
    stored[threads] = info.at("threads");
    wanted[threads] = at::get_num_threads();
  }
  std::vector<Change> found = experiment_changes(stored, wanted);
  const RunState before = RunState::from_json(info.value("run", json()));
  for (Change& change : data_changes(before.data, data)) found.push_back(std::move(change));
  for (Change& change :
       plugin_changes(info.at("plugins"), plugins_now(info.at("plugins"), host, trainer)))
    found.push_back(std::move(change));
  return found;
}

void check_allowed(const std::vector<Change>& changes, const RunFolder& folder,
                   const Experiment& experiment, const std::vector<std::string>& allow) {
  std::string text;
  std::set<std::string> names;
  for (const Change& change : changes) {
    if (is_allowed(change, allow)) continue;
    text += change.name + ": found " + change.to_text + "; the run in " + folder.path.string() +
            " has " + change.from_text + "; ";
    names.insert(" --allow " + change.name);  // a file may have another name and other content
  }
  if (text.empty()) return;
  text += "a resumed run may change /training/num_steps only, and what is allowed by name:";
  for (const std::string& name : names) text += name;
  throw Error(ErrorCode::invalid_value, experiment.file().string() + ": " + text);
}

void check_steps(const Experiment& experiment, std::int64_t done) {
  if (done > experiment.num_steps())
    throw Error(ErrorCode::invalid_value, experiment.where("/training/num_steps") + "found " +
                                              std::to_string(experiment.num_steps()) +
                                              "; must be at least " + std::to_string(done) +
                                              ", the steps that the run has done");
}

}  // namespace grevy::host

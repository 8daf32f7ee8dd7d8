#include "training/run_changes.hpp"

#include <ATen/Parallel.h>

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
  for (Change& change : plugin_changes(info.at("plugins"), trainer.plugins()))
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

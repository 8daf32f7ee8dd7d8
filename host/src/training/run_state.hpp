// What a checkpoint says of its run, besides the Trainer's state; and what may have changed since.
#ifndef GREVY_HOST_RUN_STATE_HPP
#define GREVY_HOST_RUN_STATE_HPP

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// The key "run" of a checkpoint.
struct RunState {
  // The lowest validation loss so far, and after how many steps.
  struct Best {
    std::int64_t step = 0;
    double loss = 0;
  };
  std::optional<Best> best;
  std::optional<std::uint64_t> log_bytes;  // length of log.jsonl
  // Changes that were allowed: [{"step", "name", "from", "to"}, ...]; from that step on.
  nlohmann::json allowed = nlohmann::json::array();
  // What identify() says of the recordings; null: unknown.
  nlohmann::json data;

  nlohmann::json to_json() const;
  // Whatever is not there, as in older formats, stays empty.
  static RunState from_json(const nlohmann::json& run);
};

// Something that is not as it was.
struct Change {
  std::string name;         // "/optimizer/learning_rate", "plugin:grevy.models": for --allow
  nlohmann::json from, to;  // null where there is nothing
  std::string from_text, to_text;
};

// Between two experiments: the smallest parts that differ, lists of equal length part by part.
std::vector<Change> experiment_changes(const nlohmann::json& from, const nlohmann::json& to);
// Between two recordings as identify() gives them. Nothing where either is unknown.
std::vector<Change> data_changes(const nlohmann::json& from, const nlohmann::json& to);
// Between two lists as Trainer::plugins() gives them: those of another version or another hash; of
// several files of one id, all together.
std::vector<Change> plugin_changes(const nlohmann::json& from, const nlohmann::json& to);

// Errors: invalid_value for a name that is neither a JSON pointer nor "plugin:ID".
void check_allowed_names(const std::vector<std::string>& names);
// Whether validation losses from before and after the change cannot be compared.
bool changes_validation(const Change& change);
// Whether one of the names is the change's, or that of a part of the experiment that it is in.
bool is_allowed(const Change& change, const std::vector<std::string>& names);

}  // namespace grevy::host

#endif

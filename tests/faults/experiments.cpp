#include "experiments.hpp"

#include <stdexcept>

namespace grevy::tests {
namespace {

using nlohmann::json;

enum class Sessions { one, two, joined };

struct Row {
  const char* name;
  const char* changes;  // of Workspace::experiment(), a merge patch
  const char* plugins = "";
  Sessions sessions = Sessions::one;
};

constexpr const char* spoiling = GREVY_TEST_PLUGINS "/bad/spoils";
constexpr const char* portable = GREVY_TEST_PLUGINS "/portable";
constexpr const char* good = GREVY_TEST_PLUGINS "/good";

// Merge patches as well.
constexpr const char* two_sessions = R"({
  "data": {"neural": null, "labels": null, "sessions": [
    {"neural": "recording/spikes.npy", "labels": {"position": "recording/position.npy"}},
    {"neural": "other/spikes.npy", "labels": {"position": "other/position.npy"}}]},
  "sampling": {"conditional": "time_delta", "continuous": ["position"]}})";

const Row rows[] = {
    {"single-session",
     R"({"model": {"name": "offset5-model"}, "training": {"valid_frequency": 4}})"},
    {"masks and amsgrad", R"({
       "threads": 2, "criterion": {"name": "LearnableCosineInfoNCE", "min_temperature": 0.1},
       "sampling": {"conditional": "delta_normal", "discrete": "direction",
                    "masks": {"RandomNeuronMask": 0.2, "TimeBlockMask": {"rate": 0.1, "length": 4}}},
       "optimizer": {"weight_decay": 0.01, "amsgrad": true},
       "training": {"valid_frequency": 3, "keep_checkpoints": 3}})"},
    {"dropout", R"({"model": {"name": "offset36-model-dropout"},
       "training": {"valid_frequency": 4}})"},
    {"steps left out", R"({
       "threads": 2, "criterion": {"name": "spoils", "by_batch": true, "how": "gradient"},
       "training": {"non_finite": "skip", "valid_frequency": 4}})",
     spoiling},
    {"statistics left out", R"({
       "criterion": {"name": "spoils", "by_batch": true, "how": "statistic"},
       "optimizer": {"amsgrad": true}, "training": {"non_finite": "skip"}})",
     spoiling},
    {"portable plugins", R"({
       "model": {"name": "portable-offset10"}, "criterion": {"name": "portable-infonce"},
       "solver": {"name": "portable-solver"}, "training": {"valid_frequency": 5}})",
     portable},
    {"buffer",
     R"({"threads": 2, "model": {"name": "centred", "num_units": null, "num_output": null},
       "training": {"valid_frequency": 1, "keep_checkpoints": 1}})",
     good},
    {"single-session-aux", R"({"solver": {"name": "single-session-aux"},
       "sampling": {"conditional": "time_delta", "continuous": ["position"], "discrete": "direction"}})"},
    {"single-session-hybrid", R"({
       "threads": 2, "solver": {"name": "single-session-hybrid", "num_behavior_features": 2},
       "sampling": {"conditional": "time_delta", "continuous": ["position"], "hybrid": true}})"},
    {"single-session-full", R"({
       "solver": {"name": "single-session-full"}, "model": {"name": "offset4-model-2x-subsample"},
       "training": {"batch_size": null, "valid_frequency": 4}})"},
    {"multi-session", R"({"threads": 2, "solver": {"name": "multi-session"},
       "training": {"valid_frequency": 2, "keep_checkpoints": 3}})",
     "", Sessions::two},
    {"multi-session-aux", R"({"solver": {"name": "multi-session-aux"}})", "", Sessions::two},
    {"multi-session-hybrid", R"({
       "threads": 2, "solver": {"name": "multi-session-hybrid", "num_behavior_features": 2},
       "sampling": {"hybrid": true}})",
     "", Sessions::two},
    {"multi-session-full", R"({
       "solver": {"name": "multi-session-full"},
       "training": {"batch_size": null, "keep_checkpoints": 1}})",
     "", Sessions::two},
    {"unified-session", R"({
       "solver": {"name": "unified-session"}, "training": {"valid_frequency": 3}})",
     "", Sessions::joined},
    {"regularized-solver", R"({
       "model": {"name": "offset10-model-mse"}, "criterion": {"name": "InfoMSE"},
       "solver": {"name": "regularized-solver", "lambda_JR": 0.1}})"},
    {"multiobjective-solver", R"({
       "threads": 2, "model": {"name": "offset10-model-mse"},
       "objectives": [
         {"slice": [0, 3], "loss": {"name": "FixedEuclideanInfoNCE"},
          "distribution": {"name": "time", "time_offset": 10}},
         {"slice": [1, 3], "loss": {"name": "FixedEuclideanInfoNCE"},
          "distribution": {"name": "time_delta", "label_name": "position", "time_delta": 10}}],
       "solver": {"name": "multiobjective-solver", "regularizer": {"name": "JacobianReg", "n": 1},
         "scheduler_regularizer": {"name": "linear-ramp-up", "step_to_switch_on_reg": 3,
           "step_to_switch_off_reg": 20, "start_weight": 0.0, "end_weight": 0.01}}})"},
    {"sharpness-aware", R"({
       "model": {"name": "offset10-model-mse"},
       "objectives": [
         {"slice": [0, 2], "loss": {"name": "FixedEuclideanInfoNCE"},
          "distribution": {"name": "time", "time_offset": 10}},
         {"slice": [2, 3], "loss": {"name": "FixedEuclideanInfoNCE"},
          "distribution": {"name": "delta_normal", "label_name": "position", "delta": 0.1}}],
       "solver": {"name": "multiobjective-solver", "use_sam": true,
         "scheduler_loss": {"name": "linear-scheduler", "n_splits": 2, "step_to_switch_on_reg": 3,
           "step_to_switch_off_reg": 20, "start_weight": 0.5, "end_weight": 1.0}}})"},
    {"supervised-solver-xcebra", R"({
       "threads": 2, "model": {"name": "offset10-model-mse"},
       "objectives": [{"slice": [0, 1], "loss": {"name": "nn.MSELoss"}, "label": "position"},
                      {"slice": [1, 3], "loss": {"name": "nn.CrossEntropyLoss"}, "label": "direction"}],
       "solver": {"name": "supervised-solver-xcebra"}, "training": {"valid_frequency": 4}})"},
};

Experiment made(const Row& row) {
  Experiment experiment;
  experiment.name = row.name;
  experiment.document = Workspace::experiment();
  experiment.document["training"].update({{"batch_size", 32}, {"valid_batches", 2}});
  if (row.sessions != Sessions::one) experiment.document.merge_patch(json::parse(two_sessions));
  experiment.document.merge_patch(json::parse(row.changes));
  if (*row.plugins != '\0') experiment.options = {"--plugin-path", row.plugins};
  experiment.embeds_alone = row.sessions != Sessions::joined;
  return experiment;
}

}  // namespace

const std::vector<Experiment>& experiments() {
  static const std::vector<Experiment> all = [] {
    std::vector<Experiment> list;
    for (const Row& row : rows) list.push_back(made(row));
    return list;
  }();
  return all;
}

const Experiment& experiment(const std::string& name) {
  for (const Experiment& found : experiments())
    if (found.name == name) return found;
  throw std::invalid_argument("there is no experiment \"" + name + "\"");
}

}  // namespace grevy::tests

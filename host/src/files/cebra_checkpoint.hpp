// Checkpoints of CEBRA in Python (0.4 to 0.6), read without Python.
#ifndef GREVY_HOST_CEBRA_CHECKPOINT_HPP
#define GREVY_HOST_CEBRA_CHECKPOINT_HPP

#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// What Adam keeps of one parameter; the tensors have the parameter's shape.
struct AdamMoments {
  StoredTensor exp_avg;
  StoredTensor exp_avg_sq;
  std::optional<StoredTensor> max_exp_avg_sq;  // with amsgrad
  std::int64_t step = 0;                       // steps done, at least 0
};

struct CebraCheckpoint {
  // What the file holds: a solver's state dict (Solver.save), an estimator's dict (CEBRA.save with
  // the backend "sklearn"), or a model's state dict alone.
  enum class Form { solver, estimator, model };

  Form form = Form::model;
  StoredTensors model;  // names as in the file ("net.0.weight"); "0.net.0.weight" with sessions

  // Those below are empty for a model alone.
  StoredTensors criterion;
  std::vector<double> loss;  // of every step
  std::map<std::int64_t, AdamMoments>
      optimizer;                // by the parameter's number: model, then criterion
  nlohmann::json param_groups;  // of the optimiser: lr, betas, eps, params, ...
  nlohmann::json log;           // {"pos": [...], "total": [...], ...}
  nlohmann::json decode;
  std::string version;                   // of CEBRA
  std::vector<std::int64_t> n_features;  // one, or one per session; empty if not fitted
  std::optional<std::int64_t> num_sessions;

  // Of an estimator only; null otherwise. See to_json (pickle_json.hpp) for objects in them.
  nlohmann::json args;      // constructor's arguments
  nlohmann::json state;     // "n_features_", "offset_", "solver_name_", ...
  nlohmann::json metadata;  // versions
};

// Errors: as TorchFile::open; invalid_value where a key is missing or has another type (names the
// key).
CebraCheckpoint read_cebra_checkpoint(const std::filesystem::path& file);

}  // namespace grevy::host

#endif

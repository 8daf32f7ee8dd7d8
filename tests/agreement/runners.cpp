#include "runners.hpp"

namespace grevy::agreement {
namespace {

struct Row {
  const char* kind;
  const char* mark;   // a param or tensor that the case must have; null: none
  const char* value;  // what that param must say; null: anything
  Run run;
};

constexpr Row rows[] = {
    {"criterion", nullptr, nullptr, run_criterion},
    {"model", nullptr, nullptr, run_model},
    {"multicriterions", nullptr, nullptr, run_multicriterions},
    {"multiobjective_model", nullptr, nullptr, run_sliced_model},
    {"subspace_model", nullptr, nullptr, run_sliced_model},
    {"attribution", nullptr, nullptr, run_attribution},
    {"scheduler", nullptr, nullptr, run_scheduler},
    {"jacobianreg", nullptr, nullptr, run_jacobian},
    {"trajectory", nullptr, nullptr, run_trajectory},
    {"transform", nullptr, nullptr, run_transform},
    {"window", nullptr, nullptr, run_window},
    {"sampling", "time_delta", nullptr, run_time_delta},
    {"sampling", "time_offset", nullptr, run_multisession},
    {"sampling", "prior_rank", nullptr, run_discrete},
    {"decoder", "n_neighbors", nullptr, run_knn},
    {"decoder", "coef", nullptr, run_lasso},
    {"decoder", "train_r2", nullptr, run_ridge},
    {"metric", "num_batches", nullptr, run_infonce_loss},
    {"metric", "labels/0", nullptr, run_consistency_datasets},
    {"metric", "embeddings/0", nullptr, run_consistency_runs},
    {"metric", "matrix", nullptr, run_procrustes},
    {"metric", "infonce", nullptr, run_goodness_of_fit},
};

bool takes(const Row& row, const Case& c) {
  if (c.kind() != row.kind) return false;
  if (row.mark == nullptr) return true;
  if (!c.params().contains(row.mark)) return row.value == nullptr && c.has_tensor(row.mark);
  return row.value == nullptr || c.params().at(row.mark) == row.value;
}

}  // namespace

Run find_runner(const Case& c) {
  for (const Row& row : rows)
    if (takes(row, c)) return row.run;
  const auto solver = c.param<std::string>("solver", "");
  throw Unsupported("no runner for kind " + c.kind() +
                    (solver.empty() ? "" : ", solver " + solver));
}

}  // namespace grevy::agreement

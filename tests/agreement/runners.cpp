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
    {"trajectory", "solver", "single-session", run_single_session},
    {"trajectory", "solver", "single-session-aux", run_single_session},
    {"trajectory", "solver", "single-session-hybrid", run_single_session},
    {"trajectory", "solver", "regularized-solver", run_single_session},
    {"transform", nullptr, nullptr, run_transform},
    {"window", nullptr, nullptr, run_window},
    {"sampling", "time_delta", nullptr, run_time_delta},
    {"sampling", "prior_rank", nullptr, run_discrete},
    {"decoder", "n_neighbors", nullptr, run_knn},
    {"metric", "num_batches", nullptr, run_infonce_loss},
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

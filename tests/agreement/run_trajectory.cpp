// trajectory of the solvers for one session: Adam steps on stored batches.
#include "runners.hpp"
#include "session.hpp"

#include <map>

namespace grevy::agreement {

void run_single_session(const Case& c, const Bench& bench, Comparison& result) {
  const std::int64_t channels = c.tensor("batch/0/ref").size(1);
  const Session session(c, bench, c.param<std::string>("criterion"), channels, c.tensors("start/"));
  load_state(session.criterion->tensors(), c.tensors("criterion_start/"));
  host::Adam adam(session.parameters(), adam_options(c));

  session.model->set_training(true);
  const auto steps = c.param<std::int64_t>("steps");
  std::map<std::string, std::vector<double>> statistics;
  for (std::int64_t step = 0; step < steps; ++step)
    for (const Statistic& s : session.solver->step({stored_batch(c, step)}, *adam.table()))
      statistics[s.name].push_back(s.value);

  for (const NamedTensor& expected : c.tensors("stats/")) {
    // The sum over objectives has another name in the hybrid solver's record.
    const std::string ours = statistics.count(expected.name) == 0 ? "total" : expected.name;
    result.values("stats/" + expected.name, at::tensor(statistics[ours], at::kDouble),
                  expected.tensor, tolerance::training_loss);
  }
  compare_end(c, session, adam, result);
}

}  // namespace grevy::agreement

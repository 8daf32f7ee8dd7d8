// One session, with a training step of its own: the base class's, written out. Several, with
// nothing of its own.
#include <grevy/plugin.hpp>

namespace {

class OneSession : public grevy::Solver {
 public:
  using Options = grevy::NoOptions;
  OneSession(const Options&, const grevy::Context&) {}

  grevy::Statistics step(const std::vector<grevy::Batch>& batches,
                         const grevy::OptimizerRef& optimizer) override {
    optimizer.zero_grad();
    const grevy::Evaluation evaluation = evaluate(batches);
    grevy::Statistics statistics = read(evaluation);
    evaluation.loss.backward();
    optimizer.step();
    for (grevy::Statistic& s : criterion().statistics()) statistics.push_back(std::move(s));
    return statistics;
  }
};

class SeveralSessions : public grevy::Solver {
 public:
  using Options = grevy::NoOptions;
  SeveralSessions(const Options&, const grevy::Context&) {}

  grevy::SolverInfo info() const override {
    grevy::SolverInfo info;
    info.sessions = grevy::SolverInfo::Sessions::several;
    return info;
  }
};

}  // namespace

GREVY_REGISTER(SeveralSessions, FRONT "-sessions", "Several sessions.")
GREVY_REGISTER(OneSession, FRONT "-solver", "One session.")

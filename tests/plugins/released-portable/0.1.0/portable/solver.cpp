// One session, with a training step of its own: the base class's, written out.
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

}  // namespace

GREVY_REGISTER(OneSession, FRONT "-solver", "One session.")

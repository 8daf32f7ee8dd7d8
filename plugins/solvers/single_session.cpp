// One recording, one encoder for reference, positive and negative samples.
#include <grevy/plugin.hpp>

namespace grevy::solvers {
namespace {

class SingleSession : public Solver {
 public:
  using Options = NoOptions;
  SingleSession(const Options&, const Context&) {}

  std::vector<Prediction> infer(const std::vector<Batch>& batches) override {
    if (batches.size() != 1 || batches[0].positives.size() != 1)
      throw Error(ErrorCode::invalid_value,
                  "works with one session and one set of positives; found " +
                      std::to_string(batches.size()) + " sessions");
    const Batch& batch = batches[0];
    return {{model().forward(batch.reference), model().forward(batch.positives[0]),
             model().forward(batch.negative)}};
  }
};

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::SingleSession, "single-session",
               "One recording; the same encoder embeds reference, positive and negative.")
GREVY_PLUGIN("grevy.solvers", "0.1.0")

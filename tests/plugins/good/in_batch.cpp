// A solver that overrides infer() alone: negatives are the batch's own references, shifted by one.
#include <grevy/plugin.hpp>

namespace {

class InBatch : public grevy::Solver {
 public:
  using Options = grevy::NoOptions;
  InBatch(const Options&, const grevy::Context&) {}

  std::vector<grevy::Prediction> infer(const std::vector<grevy::Batch>& batches) override {
    const at::Tensor reference = model().forward(batches.at(0).reference);
    return {{reference, model().forward(batches[0].positives.at(0)), reference.roll(1, 0)}};
  }
};

}  // namespace

GREVY_REGISTER(InBatch, "in-batch", "Negatives are the references of the same batch.")
GREVY_PLUGIN("zoo.in-batch", "1.0.0")

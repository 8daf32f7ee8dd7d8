// One recording, an encoder of its own for the references: positives and negatives go through the
// first model, references through the second.
#include <grevy/plugin.hpp>

namespace grevy::solvers {
namespace {

class Auxiliary : public Solver {
 public:
  struct Options {
    bool use_reference_model = false;
    static constexpr auto fields() {
      return grevy::fields(field("use_reference_model", &Options::use_reference_model,
                                 "Embed new samples with the references' encoder."));
    }
  };
  Auxiliary(const Options& options, const Context&) : options_(options) {}

  std::size_t num_models() const override { return 2; }

  std::vector<Prediction> infer(const std::vector<Batch>& batches) override {
    if (batches.size() != 1 || batches[0].positives.size() != 1)
      throw Error(ErrorCode::invalid_value, "works with one session and one set of positives");
    const Batch& batch = batches[0];
    return {{model(1).forward(batch.reference), model(0).forward(batch.positives[0]),
             model(0).forward(batch.negative)}};
  }

  const ModelRef& transform_model(std::int64_t session) override {
    if (session != 0) throw Error(ErrorCode::out_of_range, "has one session, number 0");
    return model(options_.use_reference_model ? 1 : 0);
  }

 private:
  Options options_;
};

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::Auxiliary, "single-session-aux",
               "One recording; the references have an encoder of their own.")

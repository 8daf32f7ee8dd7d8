// Training steps of the solvers beside single-session: numbers that the reference implementation
// (CEBRA 0.6.1, CPU, float32) gives for inputs and parameters which follow from a formula.
#include "trainer_support.hpp"
#include "training/adam.hpp"

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

// Models and a solver that takes steps on the same batches.
class Bench {
 public:
  Bench(const std::string& solver, const json& solver_options, const std::string& criterion,
        const json& criterion_options)
      : criterion_(builtin_criterion(criterion, criterion_options.dump())),
        solver_(builtin_host().create_solver(solver, solver_options.dump(), {})) {}

  void add(const std::string& name, const json& options, std::int64_t num_input) {
    host::CreateOptions create;
    create.num_input = num_input;
    models_.push_back(builtin_host().create_model(name, options.dump(), create));
    fill(models_.back()->tensors());
  }
  std::vector<Statistics> run(const std::vector<Batch>& batches, double learning_rate, int steps) {
    std::vector<ModelRef> refs;
    NamedTensors parameters = criterion_->tensors();
    for (std::size_t i = 0; i < models_.size(); ++i) {
      refs.push_back(*models_[i]);
      for (const NamedTensor& t : models_[i]->tensors())
        parameters.push_back({std::to_string(i) + "." + t.name, t.tensor, t.trained});
    }
    solver_->attach(refs, {*criterion_});
    host::AdamOptions options;
    options.learning_rate = learning_rate;
    host::Adam adam(parameters, options);
    std::vector<Statistics> done;
    for (int i = 0; i < steps; ++i) done.push_back(solver_->step(batches, *adam.table()));
    return done;
  }

 private:
  Owned<CriterionRef> criterion_;
  std::vector<Owned<ModelRef>> models_;
  Owned<SolverRef> solver_;
};

json widths(std::int64_t num_output) { return {{"num_units", 4}, {"num_output", num_output}}; }

void check_series(const std::vector<Statistics>& steps, const std::string& name,
                  const std::vector<double>& expected, double tolerance = 1e-5) {
  CAPTURE(name);
  REQUIRE(steps.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(std::abs(value_of(steps[i], name) - expected[i]) < tolerance);
}

// ref = inp(5, 3, length), the others made from it.
Batch batch_of(std::int64_t length) {
  Batch batch;
  batch.reference = inp({5, 3, length});
  batch.positives = {at::sin(2 * batch.reference + 0.3)};
  batch.negative = at::cos(3 * batch.reference - 0.2);
  return batch;
}

}  // namespace

TEST_CASE("multi-session training takes the reference's steps") {
  Bench bench("multi-session", json::object(), "FixedCosineInfoNCE", json::object());
  std::vector<Batch> batches;
  for (const std::int64_t channels : {3, 2}) {
    bench.add("offset1-model", widths(3), channels);
    Batch batch;
    batch.session = static_cast<std::int64_t>(batches.size());
    batch.reference = inp({3, channels, 1});
    batch.positives = {at::sin(2 * batch.reference)};
    batch.negative = at::cos(3 * batch.reference);
    batch.index = at::tensor({3, 0, 5, 1, 4, 2}, at::kLong);
    batch.index_reversed = batch.index.argsort();
    batches.push_back(batch);
  }
  const auto steps = bench.run(batches, 1e-2, 2);
  check_series(steps, "total", {2.260172, 2.202581});
  check_series(steps, "pos", {-0.055445, -0.138516});
}

TEST_CASE("hybrid training takes the reference's steps") {
  Bench bench("single-session-hybrid", json::object(), "FixedCosineInfoNCE", json::object());
  bench.add("offset10-model", widths(5), 3);
  Batch batch = batch_of(10);
  batch.positives.push_back(at::sin(batch.reference - 0.1));
  const auto steps = bench.run({batch}, 1e-2, 2);
  check_series(steps, "behavior_total", {1.660190, 1.551781});
  check_series(steps, "time_total", {1.492191, 1.266282});
}

TEST_CASE("regularised training takes the reference's steps") {
  Bench bench("regularized-solver", {{"lambda_JR", 0.1}}, "FixedCosineInfoNCE", json::object());
  bench.add("offset10-model", widths(3), 3);
  const auto steps = bench.run({batch_of(10)}, 1e-2, 4);
  check_series(steps, "loss", {1.556551, 1.368110, 1.066856, 0.861634});
  check_series(steps, "loss_reg", {1.561137, 1.388629, 1.111490, 0.904312});
  check_series(steps, "reg", {0.045857, 0.205192, 0.446332, 0.426779});
}

TEST_CASE("multiobjective training takes the reference's steps") {
  const auto weights = [](double a, double b) {
    return json{{"name", "constant-weight"}, {"initial_weights", {a, b}}};
  };
  const auto loss = [](const char* name, double temperature) {
    return json{{"contrastive_loss", {{"name", name}, {"kwargs", {{"temperature", temperature}}}}}};
  };
  Bench bench("multiobjective-solver",
              {{"regularizer", {{"name", "JacobianReg"}, {"n", -1}}},
               {"scheduler_regularizer", weights(0.1, 0.2)},
               {"scheduler_loss", weights(1, 0.5)}},
              "MultiCriterions",
              {{"losses", {loss("FixedEuclideanInfoNCE", 1), loss("FixedCosineInfoNCE", 0.5)}}});
  json module = widths(4);
  module["name"] = "offset1-model-mse";
  bench.add("SubspaceMultiobjectiveModel",
            {{"module", module}, {"feature_ranges", {{0, 4}, {2, 4}}}, {"renormalize", true}}, 3);
  Batch batch = batch_of(1);
  batch.positives.push_back(at::sin(batch.reference - 0.1));
  const auto steps = bench.run({batch}, 1e-3, 2);
  check_series(steps, "sum_loss_train", {2.414114, 2.391378});
  check_series(steps, "loss_train_0", {1.609407, 1.592947});
  check_series(steps, "loss_train_1", {1.609407, 1.594289});
  check_series(steps, "regularizer_0", {1.2e-5, 0.004690});
  check_series(steps, "regularizer_1", {1.2e-5, 0.004085});
}

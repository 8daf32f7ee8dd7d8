// Numbers that the reference implementation (CEBRA 0.6.1, CPU, float32) gives for inputs and
// parameters which follow from a formula.
#include "host/golden_support.hpp"
#include "training/adam.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <optional>

using namespace grevy;
using namespace grevy::tests;

namespace {

Prediction prediction(std::int64_t num_negatives) {
  return {at::sin(counted({4, 3})).to(at::kFloat).requires_grad_(true),
          at::sin(counted({4, 3}) + 0.5).to(at::kFloat).requires_grad_(true),
          at::cos(counted({num_negatives, 3})).to(at::kFloat).requires_grad_(true)};
}

Evaluation evaluate(const CriterionRef& criterion, const Prediction& p) {
  REQUIRE(criterion.info().parts == std::vector<std::string>{"pos", "neg"});
  return criterion.evaluate({p}, 2);
}

void check_triple(const Evaluation& found, double loss, double pos, double neg) {
  CHECK(largest_difference(found.loss, {loss}) < 2e-6);
  CHECK(largest_difference(found.parts[0], {pos}) < 2e-6);
  CHECK(largest_difference(found.parts[1], {neg}) < 2e-6);
}

at::Tensor gradient_of_temperature(const CriterionRef& criterion) {
  const NamedTensors tensors = criterion.tensors();
  REQUIRE(tensors.size() == 1);
  REQUIRE(tensors[0].name == "log_inverse_temperature");
  return tensors[0].tensor.grad();
}

// ref = inp(5, 3, L), the other two made from it.
Batch training_batch(std::int64_t length) {
  Batch batch;
  batch.reference = inp({5, 3, length});
  batch.positives = {at::sin(2 * batch.reference + 0.3)};
  batch.negative = at::cos(3 * batch.reference - 0.2);
  return batch;
}

struct Training {
  std::string model, criterion, options;
  std::vector<double> total, pos, temperature;  // per step; empty: not compared
  std::optional<double> sum;                    // of the model's parameters afterwards
  double sum_tolerance;
};

const std::vector<Training>& trainings() {
  static const std::vector<Training> all = {
      {"offset10-model",
       "FixedCosineInfoNCE",
       "{}",
       {1.556551, 1.357259, 1.043280, 0.836701},
       {-0.997031, -0.988113, -0.974454, -0.968228},
       {1, 1, 1, 1},
       0.597873,
       1e-5},
      {"offset10-model",
       "LearnableCosineInfoNCE",
       R"({"temperature": 0.5, "min_temperature": 0.1})",
       {1.504859, 1.138824, 0.577636, 0.225809},
       {},
       {0.495025, 0.490635, 0.486320, 0.481930},
       0.500762,
       1e-5},
      {"offset10-model-mse",
       "FixedEuclideanInfoNCE",
       "{}",
       {1.590567, 1.512426, 1.361205, 1.107458},
       {0.000943, 0.003886, 0.011070, 0.024282},
       {1, 1, 1, 1},
       // The true gradient of the last bias is zero, so that Adam takes it where rounding points.
       std::nullopt,
       0},
      {"offset1-model",
       "FixedCosineInfoNCE",
       "{}",
       {1.609436, 1.609422, 1.609384, 1.609300},
       {},
       {1, 1, 1, 1},
       // Gradients of 1e-6 carry rounding that Adam turns into steps.
       0.150471,
       5e-3},
  };
  return all;
}

std::vector<double> of_name(const std::vector<Statistics>& steps, const std::string& name) {
  std::vector<double> values;
  for (const Statistics& step : steps)
    for (const Statistic& s : step)
      if (s.name == name) values.push_back(s.value);
  return values;
}

void check_series(const std::vector<Statistics>& steps, const std::string& name,
                  const std::vector<double>& expected) {
  if (expected.empty()) return;
  CAPTURE(name);
  const std::vector<double> found = of_name(steps, name);
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) < 1e-5);
}

}  // namespace

TEST_CASE("criterions give the reference's loss and parts") {
  struct Row {
    std::string name, options;
    std::int64_t negatives;
    double loss, pos, neg;
  };
  const Row rows[] = {
      {"FixedCosineInfoNCE", "{}", 4, 0.0711584, -1.3637936, 1.4349520},
      {"FixedCosineInfoNCE", R"({"temperature": 0.5})", 4, -1.1529691, -2.7275872, 1.5746181},
      {"FixedEuclideanInfoNCE", "{}", 4, -1.0706906, 0.3556423, -1.4263330},
      {"FixedEuclideanInfoNCE", R"({"temperature": 0.5})", 4, -3.2268972, 0.7112846, -3.9381819},
      {"LearnableCosineInfoNCE", R"({"temperature": 0.5, "min_temperature": 0.1})", 4, -1.1529691,
       -2.7275872, 1.5746181},
      {"LearnableEuclideanInfoNCE", R"({"temperature": 0.5, "min_temperature": 1})", 4, -1.0706906,
       0.3556423, -1.4263330},
      {"FixedCosineInfoNCE", "{}", 5, 0.3370326, -1.3637935, 1.7008260},
      {"InfoNCE", "{}", 4, 0.0711584, -1.3637936, 1.4349520},
      {"InfoMSE", "{}", 4, -1.0706906, 0.3556423, -1.4263330},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.options);
    const auto criterion = builtin_criterion(row.name, row.options);
    check_triple(evaluate(*criterion, prediction(row.negatives)), row.loss, row.pos, row.neg);
  }
}

TEST_CASE("InfoNCE of given similarities") {
  // Dot products 1, 2 with the positives; 0, 1 and 3, -1 with the negatives.
  const Prediction p{at::eye(2), at::tensor({1., 0., 0., 2.}, at::kFloat).view({2, 2}),
                     at::tensor({0., 3., 1., -1.}, at::kFloat).view({2, 2})};
  const auto criterion = builtin_criterion("FixedCosineInfoNCE", "{}");
  check_triple(evaluate(*criterion, p), 0.6657058, -1.5, 2.1657059);
}

TEST_CASE("gradients of criterions are the reference's") {
  const Prediction p = prediction(4);
  const auto fixed = builtin_criterion("FixedCosineInfoNCE", "{}");
  evaluate(*fixed, p).loss.backward();
  CHECK(largest_difference(p.reference.grad()[0], {-0.2115877, -0.1730714, 0.0245659}) < 1e-6);
  CHECK(largest_difference(p.negative.grad()[0], {-0.0284382, -0.0700622, -0.0472713}) < 1e-6);

  const auto learnable = builtin_criterion("LearnableCosineInfoNCE",
                                           R"({"temperature": 0.5, "min_temperature": 0.1})");
  evaluate(*learnable, prediction(4)).loss.backward();
  CHECK(largest_difference(gradient_of_temperature(*learnable), {-2.36624861}) < 5e-6);
}

TEST_CASE("a temperature below its minimum is held there, without a gradient") {
  const auto criterion = builtin_criterion("LearnableEuclideanInfoNCE",
                                           R"({"temperature": 0.5, "min_temperature": 1})");
  evaluate(*criterion, prediction(4)).loss.backward();
  CHECK(gradient_of_temperature(*criterion).item<double>() == 0);
  REQUIRE(criterion->statistics().size() == 1);
  CHECK(criterion->statistics()[0].name == "temperature");
  CHECK(criterion->statistics()[0].value == 1);
}

TEST_CASE("models embed as the reference does") {
  struct Row {
    std::string name;
    std::int64_t length;
    std::vector<double> output;
  };
  const Row rows[] = {
      {"offset10-model", 10, {0.967986, 0.251004, 0.862414, 0.506204}},
      {"offset10-model-mse", 10, {0.307466, 0.079727, 0.280690, 0.164754}},
      {"offset1-model", 1, {0.568031, 0.823007, 0.562232, 0.826979}},
      {"offset1-model-mse", 1, {0.363848, -0.261290, 0.363024, -0.261072}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto model = builtin_model(row.name, 3, 4, 2);
    fill(model->tensors());
    model->set_training(false);
    const at::Tensor output = model->forward(inp({2, 3, row.length}));
    REQUIRE(output.sizes() == at::IntArrayRef{2, 2});
    CHECK(largest_difference(output, row.output) < 2e-6);
  }
}

TEST_CASE("a convolutional model embeds a whole sequence as the reference does") {
  const auto model = builtin_model("offset10-model-mse", 3, 4, 2);
  fill(model->tensors());
  model->set_training(false);
  const at::Tensor output = model->forward(inp({1, 3, 14}));
  REQUIRE(output.sizes() == at::IntArrayRef{1, 2, 5});
  CHECK(largest_difference(output, {0.294379, 0.299499, 0.301929, 0.301525, 0.296458,  //
                                    0.149690, 0.156719, 0.159241, 0.158151, 0.152463}) < 2e-6);
}

TEST_CASE("models have as many parameters as the reference's") {
  struct Row {
    std::string name;
    std::int64_t small, large;  // (C, U, D) = (3, 4, 2) and (120, 32, 8)
  };
  const Row rows[] = {{"offset10-model", 210, 17800},
                      {"offset10-model-mse", 210, 17800},
                      {"offset1-model", 52, 5592},
                      {"offset1-model-mse", 5162, 106808}};
  const auto count = [](const ModelRef& model) {
    std::int64_t sum = 0;
    for (const NamedTensor& t : model.tensors()) sum += t.trained ? t.tensor.numel() : 0;
    return sum;
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(count(*builtin_model(row.name, 3, 4, 2)) == row.small);
    CHECK(count(*builtin_model(row.name, 120, 32, 8)) == row.large);
  }
}

TEST_CASE("single-session training takes the reference's steps") {
  for (const Training& t : trainings()) {
    CAPTURE(t.model);
    CAPTURE(t.criterion);
    const auto model = builtin_model(t.model, 3, 4, 3);
    const auto criterion = builtin_criterion(t.criterion, t.options);
    const auto solver = builtin_host().create_solver("single-session", "{}", {});
    solver->attach({*model}, {*criterion});
    fill(model->tensors());
    NamedTensors parameters = model->tensors();
    for (const NamedTensor& c : criterion->tensors()) parameters.push_back(c);
    host::AdamOptions options;
    options.learning_rate = 1e-2;
    host::Adam adam(parameters, options);

    const Batch batch = training_batch(model->info().offset.length());
    std::vector<Statistics> steps;
    for (std::size_t i = 0; i < t.total.size(); ++i)
      steps.push_back(solver->step({batch}, *adam.table()));
    check_series(steps, "total", t.total);
    check_series(steps, "pos", t.pos);
    check_series(steps, "temperature", t.temperature);
    if (!t.sum) continue;
    double sum = 0;
    for (const NamedTensor& p : model->tensors()) sum += p.tensor.sum(at::kDouble).item<double>();
    CHECK(std::abs(sum - *t.sum) < t.sum_tolerance);
  }
}

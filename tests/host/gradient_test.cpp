// Gradients of the built-in components against central differences, in float64.
#include "host/golden_support.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

using namespace grevy;
using namespace grevy::tests;

namespace {

using Loss = std::function<at::Tensor()>;

// A smooth function's central difference is off by about step^2 and 1e-16 / step.
constexpr double step = 1e-5, tolerance = 1e-8;

at::Tensor variable(const at::Tensor& values) {
  return values.detach().clone().requires_grad_(true);
}

double difference_quotient(const Loss& loss, double& value) {
  const at::NoGradGuard no_grad;
  const double before = value;
  value = before + step;
  const double above = loss().item<double>();
  value = before - step;
  const double below = loss().item<double>();
  value = before;
  return (above - below) / (2 * step);
}

// Compares every element; returns the largest gradient, so that callers see that it is not zero.
double check_gradient(const Loss& loss, const NamedTensors& inputs) {
  for (const NamedTensor& input : inputs) at::Tensor(input.tensor).mutable_grad().reset();
  loss().backward();
  double largest = 0;
  for (const NamedTensor& input : inputs) {
    CAPTURE(input.name);
    REQUIRE(input.tensor.dtype() == at::kDouble);
    REQUIRE(input.tensor.is_contiguous());
    REQUIRE(input.tensor.grad().defined());
    const at::Tensor gradient = input.tensor.grad().contiguous();
    double worst = 0;
    for (std::int64_t i = 0; i < input.tensor.numel(); ++i) {
      const double found = gradient.data_ptr<double>()[i];
      const double expected = difference_quotient(loss, input.tensor.data_ptr<double>()[i]);
      worst = std::max(worst, std::abs(found - expected) / std::max(1.0, std::abs(expected)));
      largest = std::max(largest, std::abs(found));
    }
    CHECK(worst < tolerance);
  }
  return largest;
}

// Components keep float32; replacing the data of the shared tensors turns them into float64.
void make_double(const NamedTensors& tensors) {
  for (const NamedTensor& t : tensors) {
    REQUIRE(t.tensor.dtype() == at::kFloat);
    t.tensor.set_data(t.tensor.detach().to(at::kDouble));
  }
}

NamedTensors prediction_inputs() {
  return {{"ref", variable(at::sin(counted({5, 3}))), true},
          {"pos", variable(at::sin(counted({5, 3}) + 0.5)), true},
          {"neg", variable(at::cos(1.7 * counted({4, 3}))), true}};
}

}  // namespace

TEST_CASE("gradients of criterions agree with central differences") {
  for (const std::string name : {"FixedCosineInfoNCE", "FixedEuclideanInfoNCE",
                                 "LearnableCosineInfoNCE", "LearnableEuclideanInfoNCE"}) {
    CAPTURE(name);
    const auto criterion = builtin_criterion(name, R"({"temperature": 0.7})");
    make_double(criterion->tensors());
    NamedTensors inputs = prediction_inputs();
    const Prediction p{inputs[0].tensor, inputs[1].tensor, inputs[2].tensor};
    const bool learnable = name.rfind("Learnable", 0) == 0;
    for (const NamedTensor& t : criterion->tensors()) inputs.push_back(t);
    REQUIRE(inputs.size() == (learnable ? 4 : 3));
    const auto loss = [&] { return criterion->evaluate({p}, 2).loss; };
    CHECK(check_gradient(loss, inputs) > 0.1);
  }
}

TEST_CASE("gradients of models agree with central differences") {
  struct Row {
    std::string name;
    std::int64_t length, num_output;
  };
  const Row rows[] = {{"offset10-model", 10, 2},
                      {"offset10-model", 12, 2},
                      {"offset10-model-mse", 10, 2},
                      {"offset1-model", 1, 2},
                      {"offset1-model-mse", 1, 1}};
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.length);
    const auto model = builtin_model(row.name, 2, 3, row.num_output);
    fill(model->tensors());
    make_double(model->tensors());
    NamedTensors inputs = model->tensors();
    inputs.push_back({"windows", variable(at::sin(0.9 * counted({3, 2, row.length}))), true});
    const at::Tensor windows = inputs.back().tensor;
    const auto loss = [&] {
      const at::Tensor output = model->forward(windows);
      return (output * at::cos(counted(output.sizes()))).sum();
    };
    CHECK(check_gradient(loss, inputs) > 0.1);
  }
}

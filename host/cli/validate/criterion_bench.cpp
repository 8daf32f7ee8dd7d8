#include "criterion_bench.hpp"

#include "check.hpp"

#include <cmath>
#include <sstream>

namespace grevy::cli {
namespace {

using Form = CriterionBench::Form;

constexpr std::int64_t kWidth = 3;  // features of an embedding

at::Tensor between_0_and_1(host::Random& random, at::IntArrayRef shape) {
  return normal(random, shape).sigmoid() * 0.9 + 0.05;
}

}  // namespace

CriterionBench::CriterionBench(const Subject& subject, Form form)
    : form_(form), criterion_(subject.make_criterion()), info_(criterion_->info()) {}

CriterionBench::CriterionBench(const Subject& subject)
    : CriterionBench(subject, find_form(subject)) {}

// Each form is tried on a criterion of its own: one that keeps a state is to show it to the checks.
Form CriterionBench::find_form(const Subject& subject) {
  for (const Form form : {Form::values, Form::probabilities, Form::classes}) {
    const CriterionBench bench(subject, form);
    host::Random random = subject.random("form");
    try {
      if (std::isfinite(bench.value(bench.draw(random, 4, 5)))) return form;
    } catch (const Error&) {  // not what it takes
    }
  }
  const CriterionBench bench(subject, Form::pairs);
  host::Random random = subject.random("form");
  const double value = bench.value(bench.draw(random, 4, 5));
  if (!std::isfinite(value)) throw Failed("the loss of random embeddings is " + text_of(value));
  return Form::pairs;
}

Evaluation CriterionBench::evaluate(const Predictions& predictions) const {
  return criterion_->evaluate(predictions, info_.parts.size());
}

double CriterionBench::value(const Predictions& predictions) const {
  return evaluate(predictions).loss.item<double>();
}

double CriterionBench::differentiate(Predictions& predictions) const {
  for_embeddings(predictions, [](at::Tensor& tensor, const std::string&) {
    tensor = tensor.detach().clone().requires_grad_(true);
  });
  const at::Tensor loss = evaluate(predictions).loss;
  if (!loss.requires_grad())
    throw Failed("the loss does not depend on the embeddings: it carries no graph");
  loss.backward();
  return loss.item<double>();
}

Predictions CriterionBench::draw(host::Random& random, std::int64_t n, std::int64_t m) const {
  Predictions predictions(info_.parts_are_losses ? info_.parts.size() : 1);
  for (Prediction& p : predictions) p = draw_one(random, n, m);
  return predictions;
}

Prediction CriterionBench::draw_one(host::Random& random, std::int64_t n, std::int64_t m) const {
  const auto embedding = [&](std::int64_t rows) {
    const at::Tensor values = normal(random, {rows, kWidth});
    return info_.expects_normalized ? values / values.norm(2, 1, true) : values;
  };
  switch (form_) {
    case Form::values:
      return {embedding(n), embedding(n), {}};
    case Form::probabilities:
      return {between_0_and_1(random, {n, kWidth}), between_0_and_1(random, {n, kWidth}), {}};
    case Form::classes:
      return {embedding(n), at::arange(n, at::kLong).remainder(kWidth), {}};
    case Form::pairs:
      return {embedding(n), embedding(n), embedding(m)};
  }
  return {};
}

std::string text_of(double value) {
  std::ostringstream text;
  text.precision(9);
  text << value;
  return text.str();
}

}  // namespace grevy::cli

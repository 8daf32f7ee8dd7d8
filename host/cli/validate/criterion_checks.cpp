// Criterions: is the gradient that of the loss, and is the loss a function of its arguments alone?
#include "check.hpp"
#include "criterion_bench.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace grevy::cli {
namespace {

using Bench = CriterionBench;

bool is_near(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

template <class Change>
Predictions changed(Predictions predictions, Change&& change) {
  for_embeddings(predictions,
                 [&](at::Tensor& tensor, const std::string&) { tensor = change(tensor); });
  return predictions;
}

Predictions to(const Predictions& predictions, at::ScalarType dtype) {
  Predictions result = predictions;
  for (Prediction& p : result)
    for (at::Tensor* tensor : {&p.reference, &p.positive, &p.negative})
      if (tensor->defined() && tensor->is_floating_point()) *tensor = tensor->to(dtype);
  return result;
}

// ---- the checks --------------------------------------------------------------------------------

void evaluates(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("evaluates");
  const Evaluation evaluation = bench.evaluate(bench.draw(random, 4, 5));
  if (evaluation.loss.dim() != 0)
    throw Failed("the loss has shape " + text_of_shape(evaluation.loss) + "; must be a scalar");
  for (std::size_t i = 0; i < evaluation.parts.size(); ++i)
    if (!evaluation.parts[i].defined() || evaluation.parts[i].numel() != 1)
      throw Failed("the part \"" + bench.info().parts[i] + "\" is no scalar");
}

// Central differences: their error is about the square of the step, and the loss's rounding over
// the step.
struct Differences {
  double step, tolerance;
};

void compare_gradient(const Bench& bench, const Predictions& predictions, const at::Tensor& at,
                      const at::Tensor& gradient, const std::string& name, Differences how) {
  const at::NoGradGuard no_grad;
  const at::Tensor found = (gradient.defined() ? gradient : at::zeros_like(at)).contiguous();
  auto* x = at.data_ptr<double>();
  for (std::int64_t i = 0; i < at.numel(); ++i) {
    const double before = x[i];
    x[i] = before + how.step;
    const double above = bench.value(predictions);
    x[i] = before - how.step;
    const double below = bench.value(predictions);
    x[i] = before;
    const double expected = (above - below) / (2 * how.step), given = found.data_ptr<double>()[i];
    if (is_near(given, expected, how.tolerance)) continue;
    throw Failed("d loss / d " + name + "[" + std::to_string(i / at.size(1)) + ", " +
                 std::to_string(i % at.size(1)) + "] is " + text_of(given) +
                 "; central differences give " + text_of(expected));
  }
}

void gradient(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("gradient");
  for (int draw = 0; draw < 3; ++draw) {
    Predictions predictions = bench.draw(random, 3, 4);
    bench.differentiate(predictions);
    const bool is_double = bench.evaluate(predictions).loss.scalar_type() == at::kDouble;
    const Differences how = is_double ? Differences{1e-5, 1e-5} : Differences{1e-2, 2e-2};
    const Predictions plain = predictions;
    for_embeddings(predictions, [&](at::Tensor& tensor, const std::string& name) {
      compare_gradient(bench, plain, tensor, tensor.grad(), name, how);
    });
  }
}

void repeatable(const Subject& subject) {
  const Bench bench(subject), twin(subject);
  host::Random random = subject.random("repeatable");
  const Predictions predictions = bench.draw(random, 5, 6), others = bench.draw(random, 4, 3);
  const double first = bench.value(predictions);
  bench.evaluate(others);
  const double second = bench.value(predictions);
  if (first != second)
    throw Failed("the same embeddings gave " + text_of(first) + ", then " + text_of(second));
  const double other = twin.value(predictions);
  if (first != other)
    throw Failed("two criterions of one seed give " + text_of(first) + " and " + text_of(other));
}

void precision(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("precision");
  const Predictions single = to(bench.draw(random, 8, 9), at::kFloat);
  const double coarse = bench.value(single), fine = bench.value(to(single, at::kDouble));
  if (!is_near(coarse, fine, 1e-4))
    throw Failed("float32 gives " + text_of(coarse) + ", float64 " + text_of(fine));
}

void batch_of_one(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("batch of one");
  const double value = bench.value(bench.draw(random, 1, 1));
  if (!std::isfinite(value)) throw Failed("the loss is " + text_of(value));
}

void strides(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("strides");
  const Predictions plain = bench.draw(random, 5, 6);
  const double expected = bench.value(plain);
  const auto compare = [&](const char* what, const Predictions& predictions) {
    const double value = bench.value(predictions);
    if (!is_near(value, expected, 1e-9))
      throw Failed(std::string(what) + " give " + text_of(value) + ", contiguous ones " +
                   text_of(expected));
  };
  compare("transposed embeddings",
          changed(plain, [](const at::Tensor& t) { return t.t().contiguous().t(); }));
  compare("embeddings cut from wider ones", changed(plain, [](const at::Tensor& t) {
            return at::cat({t, t}, 1).slice(1, 0, t.size(1));
          }));
}

void expect_finite(const Bench& bench, Predictions predictions, const std::string& what) {
  predictions = to(predictions, at::kFloat);
  const double value = bench.differentiate(predictions);
  if (!std::isfinite(value)) throw Failed("the loss of " + what + " is " + text_of(value));
  for_embeddings(predictions, [&](const at::Tensor& tensor, const std::string& name) {
    if (tensor.grad().defined() && !tensor.grad().isfinite().all().item<bool>())
      throw Failed("the gradient at " + what + " is not finite (" + name + ")");
  });
}

void extremes(const Subject& subject) {
  const Bench bench(subject);
  if (!bench.is_contrastive()) throw Skipped("predicts targets, which have a range of their own");
  host::Random random = subject.random("extremes");
  const Predictions plain = bench.draw(random, 5, 6);
  const at::Tensor one = plain.front().reference.slice(0, 0, 1);
  const auto same = [&](const at::Tensor& t) { return one.expand({t.size(0), -1}); };
  expect_finite(bench, changed(plain, same), "equal embeddings");
  Predictions opposite = plain;
  for (Prediction& p : opposite) p.positive = -p.reference;
  expect_finite(bench, opposite, "opposite embeddings");
  if (bench.info().expects_normalized) return;
  for (const double factor : {1e3, 1e-6, 0.0})
    expect_finite(bench, changed(plain, [&](const at::Tensor& t) { return t * factor; }),
                  "embeddings of length about " + text_of(factor));
}

struct WrongShape {
  const char* what;
  Predictions predictions;
};

// One row more, one column more: what a broadcast might take.
at::Tensor taller(const at::Tensor& t) { return at::cat({t, t.slice(0, 0, 1)}); }
at::Tensor wider(const at::Tensor& t) { return at::cat({t, t.slice(1, 0, 1)}, 1); }

std::vector<WrongShape> wrong_shapes_of(const Bench& bench, const Predictions& plain) {
  std::vector<WrongShape> wrong = {{"no prediction", {}}};
  const auto add = [&](const char* what, auto&& spoil) {
    Predictions predictions = plain;
    spoil(predictions.front());
    wrong.push_back({what, predictions});
  };
  add("no reference", [](Prediction& p) { p.reference = at::Tensor(); });
  add("no positive", [](Prediction& p) { p.positive = at::Tensor(); });
  add("a positive with one row more", [](Prediction& p) { p.positive = taller(p.positive); });
  add("a reference with one axis", [](Prediction& p) { p.reference = p.reference[0]; });
  if (!bench.is_contrastive()) return wrong;
  add("no negative", [](Prediction& p) { p.negative = at::Tensor(); });
  add("a positive with one row", [](Prediction& p) { p.positive = p.positive.slice(0, 0, 1); });
  add("a positive with one feature more", [](Prediction& p) { p.positive = wider(p.positive); });
  add("a negative with one feature more", [](Prediction& p) { p.negative = wider(p.negative); });
  return wrong;
}

void wrong_shapes(const Subject& subject) {
  const Bench bench(subject);
  host::Random random = subject.random("wrong shapes");
  for (const WrongShape& wrong : wrong_shapes_of(bench, bench.draw(random, 4, 5))) {
    try {
      bench.evaluate(wrong.predictions);
    } catch (const Error&) {
      continue;
    }
    throw Failed(std::string(wrong.what) + " was taken without an error");
  }
}

void parts(const Subject& subject) {
  const Bench bench(subject);
  const auto& names = bench.info().parts;
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool losses = bench.info().parts_are_losses;
  if (!losses && !(has("pos") && has("neg"))) throw Skipped("has no parts pos and neg");
  host::Random random = subject.random("parts");
  const Evaluation evaluation = bench.evaluate(bench.draw(random, 5, 6));
  double sum = 0;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (losses || names[i] == "pos" || names[i] == "neg") sum += evaluation.parts[i].item<double>();
  const auto total = evaluation.loss.item<double>();
  if (!is_near(sum, total, 1e-5))
    throw Failed("the parts add up to " + text_of(sum) + "; the loss is " + text_of(total));
}

}  // namespace

Checks criterion_checks() {
  return {
      {"evaluates", evaluates, "random embeddings give a finite, scalar loss",
       "compute() must reduce over the batch, with mean() for example", true},
      {"gradient", gradient, "gradients are those of central finite differences, in float64",
       "look for detach(), item(), no_grad or a backward() of your own; a gradient that is stopped "
       "on purpose fails too"},
      {"repeatable", repeatable, "the same embeddings give the same loss, in any order of calls",
       "keep no state between calls; draw from Context::generator()"},
      {"precision", precision, "float32 and float64 give the same loss",
       "subtract the maximum before exp(), use logsumexp() and log_sigmoid()"},
      {"batch-of-one", batch_of_one, "one reference and one negative give a finite loss",
       "a variance over one sample is NaN"},
      {"strides", strides, "embeddings that are not contiguous give the same loss",
       "use tensor operations, or contiguous() before data_ptr()"},
      {"extremes", extremes,
       "loss and gradient stay finite for equal, opposite, large and small "
       "embeddings",
       "sqrt() and norm() have no gradient at 0, log() none at 0, exp() overflows at 89"},
      {"wrong-shapes", wrong_shapes, "embeddings that do not fit are refused",
       "derive from ContrastiveCriterion, which checks them, or compare sizes first"},
      {"parts", parts, "the parts of the loss add up to it", "compute the loss as pos + neg"},
  };
}

}  // namespace grevy::cli

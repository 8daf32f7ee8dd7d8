// criterion: loss, its parts, gradients, temperature.
#include "runners.hpp"

#include <algorithm>

namespace grevy::agreement {
namespace {

at::Tensor input(const Case& c, const char* name) { return c.tensor(name).requires_grad_(true); }

at::Tensor part(const CriterionInfo& info, const Evaluation& evaluation, const char* name) {
  const auto found = std::find(info.parts.begin(), info.parts.end(), name);
  if (found == info.parts.end()) return {};
  return evaluation.parts[static_cast<std::size_t>(found - info.parts.begin())];
}

void compare_statistics(const Case& c, const CriterionRef& criterion, Comparison& result) {
  if (!c.params().contains("temperature")) return;
  for (const Statistic& s : criterion.statistics())
    if (s.name == "temperature")
      return result.number(s.name, s.value, c.param<double>("temperature"), tolerance::forward);
  throw Error(ErrorCode::not_found, "the criterion has no statistic \"temperature\"");
}

// What a criterion must return. Where the reference gives a vector, it is a score per sample, to be
// maximised, with the gradients of its sum: a criterion returns its negative mean, and parts that
// add up to it.
struct Expected {
  explicit Expected(const Case& c)
      : loss(c.tensor("loss")), align(c.tensor("align")), uniform(c.tensor("uniform")) {
    if (loss.dim() == 0) return;
    gradient_scale = -1.0 / static_cast<double>(loss.numel());
    uniform = (align - loss).mean();
    align = -align.mean();
    loss = -loss.mean();
  }
  at::Tensor loss, align, uniform;
  double gradient_scale = 1;
};

}  // namespace

void run_criterion(const Case& c, const Bench& bench, Comparison& result) {
  const auto criterion =
      bench.criterion(c.param<std::string>("name"), c.param("kwargs", Json(Json::object())));
  const Expected expected(c);
  load_state(criterion->tensors(), c.tensors("state/"));
  compare_statistics(c, *criterion, result);

  const Prediction prediction{input(c, "ref"), input(c, "pos"), input(c, "neg")};
  const CriterionInfo info = criterion->info();
  const Evaluation evaluation = criterion->evaluate({prediction}, info.parts.size());
  result.values("loss", evaluation.loss, expected.loss, tolerance::forward);
  result.values("align", part(info, evaluation, "pos"), expected.align, tolerance::forward);
  result.values("uniform", part(info, evaluation, "neg"), expected.uniform, tolerance::forward);

  evaluation.loss.backward();
  NamedTensors differentiated = criterion->tensors();
  differentiated.push_back({"ref", prediction.reference, true});
  differentiated.push_back({"pos", prediction.positive, true});
  differentiated.push_back({"neg", prediction.negative, true});
  for (const NamedTensor& t : differentiated)
    if (t.trained)
      result.values("grad/" + t.name, t.tensor.grad(),
                    c.tensor("grad/" + t.name) * expected.gradient_scale, tolerance::gradient);
}

}  // namespace grevy::agreement

// Several objectives: criterions, sliced models, schedulers, the Jacobian regulariser.
#include "runners.hpp"

#include <grevy/jacobian.hpp>
#include <grevy/scheduler.hpp>

#include <algorithm>
#include <limits>

namespace grevy::agreement {

// multicriterions: the loss of each prediction, and the gradients of their sum.
void run_multicriterions(const Case& c, const Bench& bench, Comparison& result) {
  const auto mode = c.param<std::string>("mode");
  Json losses = Json::array();
  for (const Json& loss : c.params().at("losses")) losses.push_back({{mode + "_loss", loss}});
  const auto criterion = bench.criterion("MultiCriterions", {{"losses", losses}, {"mode", mode}});
  std::vector<Prediction> predictions;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::string place = "inputs/" + std::to_string(i) + "/";
    const auto input = [&](const char* name) {
      return c.tensor(place + name).requires_grad_(true);
    };
    predictions.push_back({input("ref"), input("pos"), {}});
    if (mode == "contrastive") predictions.back().negative = input("neg");
  }
  const Evaluation evaluation = criterion->evaluate(predictions, losses.size());
  evaluation.loss.backward();
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::string number = std::to_string(i);
    result.values("losses/" + number, evaluation.parts[i], c.tensor("losses/" + number),
                  tolerance::forward);
    const std::pair<const char*, at::Tensor> inputs[] = {{"ref", predictions[i].reference},
                                                         {"pos", predictions[i].positive},
                                                         {"neg", predictions[i].negative}};
    for (const auto& [name, tensor] : inputs) {
      const std::string place = "grad/" + number + "/" + name;
      if (c.has_tensor(place))
        result.values(place, tensor.grad(), c.tensor(place), tolerance::gradient);
    }
  }
}

namespace {

// The case does not say which encoder it wraps; its parameters' names and shapes do.
std::string encoder_of(const Case& c) {
  if (c.params().contains("model")) return c.param<std::string>("model");
  return "offset10-model-mse";
}

// What a case says about a wrapper; renormalize_ranges is a result.
Json wrapper_options(const Case& c, const NamedTensors& state) {
  Json options = c.params();
  for (const char* key : {"renormalize_ranges", "model", "note"}) options.erase(key);
  options["module"] = width_options(c, state);
  options["module"]["name"] = encoder_of(c);
  return options;
}

}  // namespace

// multiobjective_model, subspace_model: the slices; the first tensor is the whole embedding.
void run_sliced_model(const Case& c, const Bench& bench, Comparison& result) {
  NamedTensors state = c.tensors("state/");
  const Json options = wrapper_options(c, state);
  for (NamedTensor& t : state) t.name = "module." + t.name;
  const bool subspace = c.kind() == "subspace_model";
  const at::Tensor input = c.tensor("input");
  const auto model = bench.model(subspace ? "SubspaceMultiobjectiveModel" : "MultiobjectiveModel",
                                 options, input.size(1));
  load_state(model->tensors(), state);
  model->set_training(false);
  const at::NoGradGuard no_grad;
  const auto count = model->info().num_tensors;
  const std::vector<at::Tensor> tensors = model->forward_all(input, count);
  const NamedTensors expected = c.tensors("output/");
  result.whole("slices", count - 1, static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < std::min(expected.size(), tensors.size() - 1); ++i)
    result.values("output/" + expected[i].name, tensors[i + 1], expected[i].tensor,
                  tolerance::forward);
  if (c.has_tensor("output_unsplit"))
    result.values("output_unsplit", tensors.front(), c.tensor("output_unsplit"),
                  tolerance::forward);
}

// scheduler: the weights of every step; NaN where there are none.
void run_scheduler(const Case& c, const Bench&, Comparison& result) {
  nlohmann::json spec = nlohmann::json::parse(c.params().dump());
  spec.erase("note");
  if (!spec.contains("name"))
    spec["name"] = spec.contains("initial_weights") ? "constant-weight" : "linear-scheduler";
  const at::Tensor expected = c.tensor("weights");
  const Scheduler scheduler(spec, expected.size(1));
  at::Tensor found = at::full_like(expected, std::numeric_limits<double>::quiet_NaN());
  for (std::int64_t step = 0; step < expected.size(0); ++step)
    if (const auto weights = scheduler.get_weights(step))
      found[step].copy_(at::tensor(*weights, at::kDouble));
  result.values("weights", found, expected, tolerance::exact);
}

// jacobianreg: the penalty, with stored projections where there are, and its parameter gradients.
void run_jacobian(const Case& c, const Bench& bench, Comparison& result) {
  const NamedTensors state = c.tensors("state/");
  const at::Tensor input = c.tensor("input").requires_grad_(true);
  const auto model =
      bench.model(c.param<std::string>("model"), width_options(c, state), input.size(1));
  load_state(model->tensors(), state, c.param("shared", Json(Json::object())));
  const at::Tensor embedding = model->forward(input);
  std::vector<at::Tensor> projections;
  for (const NamedTensor& t : c.tensors("projections/")) projections.push_back(t.tensor);
  const at::Tensor value =
      projections.empty() ? exact_jacobian_penalty(input, embedding)
                          : projected_jacobian_penalty(input, embedding, at::stack(projections));
  result.values("value", value, c.tensor("value"), tolerance::forward);
  value.backward();
  const NamedTensors tensors = model->tensors();
  for (const NamedTensor& expected : c.tensors("grad/")) {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const NamedTensor& t) { return t.name == expected.name; });
    const at::Tensor none = at::zeros_like(expected.tensor);
    const at::Tensor gradient = found == tensors.end()           ? at::Tensor()
                                : found->tensor.grad().defined() ? found->tensor.grad()
                                                                 : none;
    result.values("grad/" + expected.name, gradient, expected.tensor, tolerance::gradient);
  }
}

}  // namespace grevy::agreement

// model: description, outputs, gradients of sum(output * weights), whole sequences.
#include "runners.hpp"

#include <algorithm>

namespace grevy::agreement {
namespace {

// What a case says about a model; everything else among its params is an option.
constexpr const char* described[] = {"name",          "num_neurons",    "offset",
                                     "convolutional", "resample",       "mode",
                                     "shared",        "num_parameters", "note"};

Json options_of(const Case& c) {
  Json options = c.params();
  for (const char* key : described) options.erase(key);
  if (c.has_tensor("state/classifier.weight"))
    options["num_classes"] = c.tensor("state/classifier.weight").size(0);
  return options;
}

void compare_description(const Case& c, const ModelRef& model, Comparison& result) {
  const ModelInfo info = model.info();
  const auto offset = c.param<std::vector<std::int64_t>>("offset");
  result.whole("offset left", info.offset.left, offset.at(0));
  result.whole("offset right", info.offset.right, offset.at(1));
  result.whole("convolutional", info.convolutional, c.param<bool>("convolutional"));
  result.whole("resample factor", info.resample_factor, c.param<std::int64_t>("resample"));
  result.whole("num_output", info.num_output, c.param<std::int64_t>("num_output"));
  result.whole("num_parameters", num_parameters(model.tensors()),
               c.param<std::int64_t>("num_parameters"));
}

void compare_gradients(const Case& c, const ModelRef& model, const at::Tensor& windows,
                       Comparison& result) {
  const Json shared = c.param("shared", Json(Json::object()));
  result.values("grad_input", windows.grad(), c.tensor("grad_input"), tolerance::gradient);
  const NamedTensors tensors = model.tensors();
  for (const NamedTensor& expected : c.tensors("grad/")) {
    if (shared.contains(expected.name)) continue;
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const NamedTensor& t) { return t.name == expected.name; });
    const at::Tensor gradient = found == tensors.end() ? at::Tensor() : found->tensor.grad();
    result.values("grad/" + expected.name, gradient, expected.tensor, tolerance::gradient);
  }
}

}  // namespace

void run_model(const Case& c, const Bench& bench, Comparison& result) {
  const auto model = bench.model(c.param<std::string>("name"), options_of(c),
                                 c.param<std::int64_t>("num_neurons"));
  compare_description(c, *model, result);
  load_state(model->tensors(), c.tensors("state/"), c.param("shared", Json(Json::object())));
  model->set_training(c.param<std::string>("mode", "eval") == "train");

  const at::Tensor windows = c.tensor("input").requires_grad_(true);
  const NamedTensors expected = c.tensors("output/");
  result.whole("outputs", model->info().num_tensors, static_cast<std::int64_t>(expected.size()));
  const auto outputs = model->forward_all(windows, model->info().num_tensors);
  at::Tensor sum = at::zeros({});
  for (std::size_t i = 0; i < std::min(outputs.size(), expected.size()); ++i) {
    const std::string number = std::to_string(i);
    result.values("output/" + number, outputs[i], expected[i].tensor, tolerance::forward);
    sum = sum + (outputs[i] * c.tensor("weights/" + number)).sum();
  }
  sum.backward();
  compare_gradients(c, *model, windows, result);

  if (!c.has_tensor("long_input")) return;
  const at::NoGradGuard no_grad;
  result.values("long_output", model->forward(c.tensor("long_input")), c.tensor("long_output"),
                tolerance::forward);
}

}  // namespace grevy::agreement

#include "session.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace grevy::agreement {
namespace {

// What the optimiser holds for a trained parameter.
struct Slot {
  std::string end;  // the reference's name of its value after the last step
  at::Tensor parameter, exp_avg, exp_avg_sq;
};

std::vector<Slot> slots_of(const Session& session, const host::Adam& adam) {
  std::map<std::string, at::Tensor> state;
  for (const NamedTensor& t : adam.state()) state[t.name] = t.tensor;
  std::vector<Slot> slots;
  const auto add = [&](const std::string& prefix, const NamedTensors& tensors,
                       const std::string& mark) {
    for (const NamedTensor& t : tensors)
      if (t.trained)
        slots.push_back({prefix + t.name, t.tensor, state["exp_avg/" + mark + t.name],
                         state["exp_avg_sq/" + mark + t.name]});
  };
  add("end/", session.model->tensors(), "");
  if (session.reference_model)
    add("reference_end/", session.reference_model->tensors(), "reference.");
  add("criterion_end/", session.criterion->tensors(), "");
  return slots;
}

// How far Adam can have taken a parameter, about.
double farthest(const Case& c) { return c.param<double>("lr") * c.param<double>("steps"); }

// A step's length hardly depends on the gradient's: relative rounding of a small gradient is that
// of the way gone, whatever the parameter's size.
Tolerance end_tolerance(const Case& c) {
  return {tolerance::trained.relative, 5e-4 * farthest(c), 0};
}

// Adam divides by the size of the gradient. Where the true gradient is zero (the last bias under a
// Euclidean loss, which does not change when everything moves) it follows the rounding, and neither
// the direction nor the end value means anything: such elements must only stay as small and as near
// to their start as rounding can take them.
void compare_slot(const Case& c, const std::string& adam_name, const Slot& slot, double largest,
                  Comparison& result) {
  const at::Tensor end = c.tensor(slot.end);
  const at::Tensor exp_avg = c.tensor(adam_name + "exp_avg");
  const at::Tensor exp_avg_sq = c.tensor(adam_name + "exp_avg_sq");
  if (slot.parameter.sizes() != end.sizes())
    return result.values(slot.end, slot.parameter, end, tolerance::exact);

  const at::Tensor size = exp_avg_sq.sqrt();
  const at::Tensor noise = (size > 0).logical_and(size < 1e-6 * largest);
  const auto compare = [&](const std::string& what, const at::Tensor& found,
                           const at::Tensor& expected, const Tolerance& allowed,
                           const Tolerance& noise_allowed) {
    const at::Tensor clear = noise.logical_not();
    result.values(what, found.masked_select(clear), expected.masked_select(clear), allowed);
    result.values(what + " (rounding)", found.masked_select(noise), expected.masked_select(noise),
                  noise_allowed);
  };
  const Tolerance small{0, 1e-5 * largest, 0};
  compare(slot.end, slot.parameter, end, end_tolerance(c), {0, 2 * farthest(c), 0});
  compare(adam_name + "exp_avg", slot.exp_avg, exp_avg, tolerance::trained, small);
  compare(adam_name + "exp_avg_sq, root", slot.exp_avg_sq.sqrt(), size, tolerance::trained, small);
}

// Without Adam's state, every element must agree; a case may also end without parameters.
void compare_parameters(const Case& c, const std::vector<Slot>& slots, Comparison& result) {
  for (const Slot& slot : slots)
    if (c.has_tensor(slot.end))
      result.values(slot.end, slot.parameter, c.tensor(slot.end), end_tolerance(c));
}

// Params of a case that are options of its solver.
Json solver_options(const Case& c) {
  Json options = Json::object();
  for (const char* name :
       {"num_behavior_features", "renormalize_features", "output_mode", "lambda_JR"})
    if (c.params().contains(name)) options[name] = c.params().at(name);
  return options;
}

}  // namespace

Session::Session(const Case& c, const Bench& bench, const std::string& criterion_name,
                 std::int64_t num_input, const NamedTensors& state) {
  Json options = {{"temperature", c.param("temperature", 1.0)}};
  if (c.params().contains("min_temperature"))
    options["min_temperature"] = c.params().at("min_temperature");
  model = bench.model(c.param<std::string>("model"), width_options(c, state), num_input);
  criterion = bench.criterion(criterion_name, options);
  solver = bench.solver(c.param<std::string>("solver", "single-session"), solver_options(c));
  std::vector<ModelRef> models = {*model};
  if (solver->info().num_models == 2) {
    const NamedTensors reference = c.tensors("reference_start/");
    reference_model =
        bench.model(c.param<std::string>("model"), width_options(c, reference), num_input);
    load_state(reference_model->tensors(), reference);
    models.push_back(*reference_model);
  }
  solver->attach(models, {*criterion});
  load_state(model->tensors(), state, c.param("shared", Json(Json::object())));
}

NamedTensors Session::parameters() const {
  NamedTensors all = model->tensors();
  if (reference_model)
    for (const NamedTensor& t : reference_model->tensors())
      all.push_back({"reference." + t.name, t.tensor, t.trained});
  for (const NamedTensor& t : criterion->tensors()) all.push_back(t);
  for (const NamedTensor& t : solver->tensors()) all.push_back(t);
  return all;
}

host::AdamOptions adam_options(const Case& c) {
  host::AdamOptions options;
  options.learning_rate = c.param<double>("lr");
  const auto betas = c.param<std::vector<double>>("betas");
  options.beta1 = betas.at(0);
  options.beta2 = betas.at(1);
  options.eps = c.param<double>("eps");
  options.weight_decay = c.param("weight_decay", 0.0);
  options.amsgrad = c.param("amsgrad", false);
  return options;
}

Batch stored_batch(const Case& c, std::int64_t step) {
  const std::string prefix = "batch/" + std::to_string(step) + "/";
  Batch batch;
  batch.reference = c.tensor(prefix + "ref");
  const at::Tensor positive = c.tensor(prefix + "pos");
  // Sets of positives come one after the other, as many rows each as there are references.
  batch.positives = positive.split(batch.reference.size(0));
  batch.negative = c.tensor(prefix + "neg");
  return batch;
}

// The reference numbers parameters in their order: adam/0/exp_avg, ...
void compare_end(const Case& c, const Session& session, const host::Adam& adam,
                 Comparison& result) {
  double largest = 0;
  std::int64_t count = 0;
  const auto name = [](std::int64_t i) { return "adam/" + std::to_string(i) + "/"; };
  for (; c.has_tensor(name(count) + "exp_avg_sq"); ++count)
    largest =
        std::max(largest, std::sqrt(c.tensor(name(count) + "exp_avg_sq").max().item<double>()));
  const std::vector<Slot> slots = slots_of(session, adam);
  if (count == 0) return compare_parameters(c, slots, result);
  result.whole("trained parameters", static_cast<std::int64_t>(slots.size()), count);
  for (std::int64_t i = 0; i < std::min(count, static_cast<std::int64_t>(slots.size())); ++i)
    compare_slot(c, name(i), slots[static_cast<std::size_t>(i)], largest, result);
}

}  // namespace grevy::agreement

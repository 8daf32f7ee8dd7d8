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
  for (const NamedTensor& t : session.trained())
    slots.push_back({t.name, t.tensor, state["exp_avg/" + t.name], state["exp_avg_sq/" + t.name]});
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
  const Json regulariser = c.param("regulariser", Json());
  if (regulariser.is_null()) return options;
  // "JacobianReg(n=1), ..."
  const auto text = regulariser.get<std::string>();
  const auto number = text.find("n=");
  if (number == std::string::npos) throw Unsupported("regulariser " + text);
  options["regularizer"] = {{"name", "JacobianReg"}, {"n", std::stoll(text.substr(number + 2))}};
  options["scheduler_regularizer"] = c.params().at("scheduler");
  options["scheduler_regularizer"]["name"] = "linear-scheduler";
  return options;
}

bool has_slices(const Case& c) { return c.params().contains("feature_ranges"); }

// The model of the case, cut into slices where it has objectives.
std::pair<std::string, Json> model_spec(const Case& c, const NamedTensors& state) {
  const auto name = c.param<std::string>("model");
  Json options = width_options(c, state);
  if (!has_slices(c)) return {name, options};
  options["name"] = name;
  return {"SubspaceMultiobjectiveModel",
          {{"module", options},
           {"feature_ranges", c.params().at("feature_ranges")},
           {"renormalize", c.param("renormalize", false)}}};
}

std::pair<std::string, Json> criterion_spec(const Case& c) {
  const auto name = c.param<std::string>("criterion", "InfoNCE");
  Json options = Json::object();
  for (const char* key : {"temperature", "min_temperature"})
    if (c.params().contains(key)) options[key] = c.params().at(key);
  if (!has_slices(c)) return {name, options};
  const bool supervised = name.rfind("nn.", 0) == 0;
  Json losses = Json::array();
  for (const Json& range : c.params().at("feature_ranges"))
    losses.push_back({{"indices", range},
                      {supervised ? "supervised_loss" : "contrastive_loss",
                       {{"name", name}, {"kwargs", options}}}});
  return {"MultiCriterions",
          {{"losses", losses}, {"mode", supervised ? "supervised" : "contrastive"}}};
}

// Tensors of a wrapped encoder under the encoder's own names.
NamedTensors unwrapped(NamedTensors tensors) {
  const std::string prefix = "module.";
  for (NamedTensor& t : tensors)
    if (t.name.rfind(prefix, 0) == 0) t.name.erase(0, prefix.size());
  return tensors;
}

}  // namespace

Session::Session(const Case& c, const Bench& bench, const std::vector<std::int64_t>& num_inputs,
                 const std::string& state, std::uint64_t seed) {
  solver_ = bench.solver(c.param<std::string>("solver", "single-session"), solver_options(c), seed);
  const SolverInfo wanted = solver_->info();
  const bool many = wanted.sessions == SolverInfo::Sessions::several;
  const auto number = [&](std::size_t i) { return many ? std::to_string(i) + "." : ""; };
  for (std::size_t i = 0; i < num_inputs.size(); ++i)
    models_.push_back(add_model(c, bench, num_inputs[i], state + number(i), "end/" + number(i)));
  for (std::size_t i = 0; wanted.reference_models && i < num_inputs.size(); ++i)
    reference_models_.push_back(add_model(c, bench, num_inputs[i], "reference_start/" + number(i),
                                          "reference_end/" + number(i)));
  const auto [name, options] = criterion_spec(c);
  criterion_ = bench.criterion(name, options);
  load_state(criterion_->tensors(), c.tensors("criterion_start/"));
  for (const NamedTensor& t : criterion_->tensors())
    if (t.trained) trained_.push_back({"criterion_end/" + t.name, t.tensor, true});
  std::vector<ModelRef> models;
  for (const auto* owned : {&models_, &reference_models_})
    for (const Owned<ModelRef>& model : *owned) models.push_back(*model);
  solver_->attach(models, {*criterion_});
}

Owned<ModelRef> Session::add_model(const Case& c, const Bench& bench, std::int64_t num_input,
                                   const std::string& state, const std::string& end) {
  const NamedTensors start = c.tensors(state);
  const auto [name, options] = model_spec(c, start);
  Owned<ModelRef> model = bench.model(name, options, num_input);
  load_state(unwrapped(model->tensors()), start, c.param("shared", Json(Json::object())));
  for (const NamedTensor& t : unwrapped(model->tensors()))
    if (t.trained) trained_.push_back({end + t.name, t.tensor, true});
  return model;
}

void Session::set_training(bool training) const {
  for (const auto* owned : {&models_, &reference_models_})
    for (const Owned<ModelRef>& model : *owned) model->set_training(training);
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

namespace {

Batch stored_batch(const Case& c, const std::string& place) {
  Batch batch;
  batch.reference = c.tensor(place + "ref");
  for (const char* kind : {"pos/", "labels/"})
    for (const NamedTensor& set : c.tensors(place + kind)) batch.positives.push_back(set.tensor);
  // Sets of positives come one after the other, as many rows each as there are references.
  if (c.has_tensor(place + "pos"))
    batch.positives = c.tensor(place + "pos").split(batch.reference.size(0));
  if (c.has_tensor(place + "neg")) batch.negative = c.tensor(place + "neg");
  return batch;
}

}  // namespace

std::vector<Batch> stored_batches(const Case& c, std::int64_t step) {
  const std::string place = "batch/" + std::to_string(step) + "/";
  std::vector<Batch> batches;
  for (std::int64_t s = 0; c.has_tensor(place + "sessions/" + std::to_string(s) + "/ref"); ++s) {
    batches.push_back(stored_batch(c, place + "sessions/" + std::to_string(s) + "/"));
    batches.back().session = s;
    batches.back().index = c.tensor(place + "index");
    batches.back().index_reversed = c.tensor(place + "index_reversed");
  }
  if (batches.empty()) batches.push_back(stored_batch(c, place));
  return batches;
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

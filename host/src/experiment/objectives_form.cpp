// "objectives": what each slice of the embedding is trained on (Schneider et al. 2025,
// arXiv:2502.12977).
#include "experiment/schema.hpp"
#include "experiment/schema_rule.hpp"
#include "experiment/short_form.hpp"

#include <grevy/error.hpp>

#include <array>
#include <map>
#include <string>
#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;

constexpr const char* objective_list = R"json({
  "type": "array", "minItems": 1,
  "description": "What slices of the embedding are trained on: all of them on pairs (distribution), or all on labels.",
  "items": {
    "type": "object", "additionalProperties": false, "required": ["slice", "loss"],
    "properties": {
      "slice": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2,
        "description": "Features [begin, end) of the embedding."},
      "loss": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}},
        "description": "A criterion's name and options."},
      "distribution": {
        "description": "How the positive of a reference is found.",
        "anyOf": [
          {"type": "object", "additionalProperties": false, "required": ["name", "time_offset"],
           "description": "The sample time_offset later.",
           "properties": {
             "name": {"const": "time"},
             "time_offset": {"type": "integer", "minimum": 1, "description": "In samples."}}},
          {"type": "object", "additionalProperties": false, "required": ["name", "label_name", "time_delta"],
           "description": "Nearest to the reference's label plus a change that occurred over time_delta samples.",
           "properties": {
             "name": {"const": "time_delta"},
             "label_name": {"type": "string", "minLength": 1, "description": "A continuous label."},
             "time_delta": {"type": "integer", "minimum": 1, "description": "In samples."}}},
          {"type": "object", "additionalProperties": false, "required": ["name", "label_name", "delta"],
           "description": "Nearest to the reference's label plus Gaussian noise.",
           "properties": {
             "name": {"const": "delta_normal"},
             "label_name": {"type": "string", "minLength": 1, "description": "A continuous label."},
             "delta": {"type": "number", "exclusiveMinimum": 0, "description": "Standard deviation in label units."}}}]},
      "label": {"type": "string", "minLength": 1, "description": "The label that the slice is to predict."}
    }
  }
})json";

// The keys that a solver may have here in addition to its options: the model takes them.
constexpr const char* solver_keys = R"json({
  "type": "object",
  "properties": {
    "name": {"type": "string"},
    "renormalize": {"type": "boolean", "description": "Scale the slices to length 1."},
    "renormalize_mode": {"type": "string", "enum": ["auto", "pieces", "per_slice"]}
  }
})json";

constexpr std::initializer_list<Overlap> overlaps = {{"/criterion", "loss"},
                                                     {"/sampling/positives", "distribution"},
                                                     {"/sampling/targets", "label"},
                                                     {"/sampling/conditional", "distribution"},
                                                     {"/sampling/continuous", "distribution"},
                                                     {"/sampling/time_offset", "distribution"},
                                                     {"/sampling/delta", "distribution"},
                                                     {"/sampling/hybrid", "distribution"}};

struct Mode {
  const char* key;  // of an objective
  const char* name;
  const char* loss;
  const char* sampling_key;
  const char* solver;
};

constexpr Mode contrastive = {"distribution", "contrastive", "contrastive_loss", "positives",
                              "multiobjective-solver"};
constexpr Mode supervised = {"label", "supervised", "supervised_loss", "targets",
                             "supervised-solver-xcebra"};

const Mode& mode_of(const json& objective) {
  return objective.contains(supervised.key) ? supervised : contrastive;
}

std::string place(std::size_t i) { return "/objectives/" + std::to_string(i); }

[[noreturn]] void refuse(const std::string& pointer, const std::string& text) {
  throw Error(ErrorCode::invalid_value, pointer + ": " + text);
}

// ---- checks beyond the schema -------------------------------------------------------------------

void check_mode(const json& objectives, std::size_t i) {
  const bool pairs = objectives[i].contains(contrastive.key);
  const bool label = objectives[i].contains(supervised.key);
  if (pairs == label)
    refuse(place(i), std::string("found ") + (pairs ? "\"distribution\" and" : "no") +
                         " \"label\"; must have either \"distribution\" or \"label\"");
  const Mode& first = mode_of(objectives.front());
  const Mode& mode = mode_of(objectives[i]);
  if (&mode != &first)
    refuse(place(i), std::string("found \"") + mode.key + "\"; must have \"" + first.key +
                         "\", as " + place(0) + " has");
}

void check_slices(const json& objectives) {
  std::map<json, std::size_t> seen;
  for (std::size_t i = 0; i < objectives.size(); ++i) {
    const json& slice = objectives[i].at("slice");
    if (slice[0] >= slice[1])
      refuse(place(i) + "/slice",
             "found " + schema::shown(slice) + "; must be [begin, end] with begin below end");
    const auto [first, is_new] = seen.emplace(slice, i);
    if (!is_new)
      refuse(place(i) + "/slice", "found " + schema::shown(slice) + ", the slice of " +
                                      place(first->second) + "; slices must differ");
  }
}

// ---- the parts of the long form -----------------------------------------------------------------

json criterion_of(const json& objectives, const Mode& mode) {
  json losses = json::array();
  for (const json& objective : objectives) {
    json options = objective.at("loss");
    options.erase("name");
    const json loss = {{"name", objective.at("loss").at("name")}, {"kwargs", options}};
    losses.push_back({{"indices", objective.at("slice")}, {mode.loss, loss}});
  }
  return {{"name", "MultiCriterions"}, {"mode", mode.name}, {"losses", losses}};
}

json positive_of(const json& distribution) {
  static constexpr std::array<std::pair<const char*, const char*>, 3> numbers = {
      {{"time_offset", "time_offset"}, {"time_delta", "time_offset"}, {"delta", "delta"}}};
  json positive = {{"conditional", distribution.at("name")}};
  if (distribution.contains("label_name"))
    positive["continuous"] = json::array({distribution.at("label_name")});
  for (const auto& [key, sampling_key] : numbers)
    if (distribution.contains(key)) positive[sampling_key] = distribution.at(key);
  return positive;
}

json samples_of(const json& objectives, const Mode& mode) {
  json samples = json::array();
  for (const json& objective : objectives) {
    const json& what = objective.at(mode.key);
    samples.push_back(what.is_string() ? what : positive_of(what));
  }
  return samples;
}

json taken_out(json& object, const char* key) {
  json value = std::move(object[key]);
  object.erase(key);
  return value;
}

// A component may be named with its plugin: "plugin/name".
std::string without_plugin(const std::string& name) { return name.substr(name.rfind('/') + 1); }

void check_solver(const json& solver, const Mode& mode) {
  validate(solver, json::parse(solver_keys), "", "/solver");
  const Mode& other = &mode == &supervised ? contrastive : supervised;
  const std::string name = solver.value("name", mode.solver);
  if (without_plugin(name) == other.solver)
    refuse("/solver/name", "found " + schema::shown(name) + "; must be \"" + mode.solver +
                               "\" where objectives have \"" + mode.key + "\"");
}

json model_of(const json& objectives, const json& module, json& solver) {
  json ranges = json::array();
  for (const json& objective : objectives) ranges.push_back(objective.at("slice"));
  json model = {{"name", "SubspaceMultiobjectiveModel"},
                {"module", module},
                {"feature_ranges", ranges},
                {"renormalize", false}};
  for (const char* key : {"renormalize", "renormalize_mode"})
    if (solver.contains(key)) model[key] = taken_out(solver, key);
  return model;
}

}  // namespace

json objectives_schema() { return json::parse(objective_list); }

void check_objectives(const json& objectives) {
  validate(objectives, objectives_schema(), "", "/objectives");
  for (std::size_t i = 0; i < objectives.size(); ++i) check_mode(objectives, i);
  check_slices(objectives);
}

json expand_objectives(json document) {
  if (!schema::member(document, "objectives")) return document;
  const json objectives = taken_out(document, "objectives");
  check_objectives(objectives);
  refuse_overlaps(document, "/objectives", overlaps);
  const Mode& mode = mode_of(objectives.front());
  json& solver = document.emplace("solver", json::object()).first.value();
  check_solver(solver, mode);
  solver.emplace("name", mode.solver);
  // What is no model at all stays, for the check of the long form.
  const json* module = schema::member(document, "model");
  if (module && module->is_object()) document["model"] = model_of(objectives, *module, solver);
  document["criterion"] = criterion_of(objectives, mode);
  if (json* sampling = object_under(document, "sampling"))
    (*sampling)[mode.sampling_key] = samples_of(objectives, mode);
  return document;
}

}  // namespace grevy::host

// "cebra": the parameters of the reference's estimator, for those who know them.
#include "experiment/schema.hpp"
#include "experiment/schema_rule.hpp"
#include "experiment/short_form.hpp"

#include <grevy/error.hpp>
#include <grevy/host/masking.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;

constexpr const char* parameters = R"json({
  "type": "object", "additionalProperties": false,
  "description": "The parameters of the CEBRA estimator in Python, in place of sampling, model, criterion, solver, optimizer, training.num_steps and training.batch_size.",
  "properties": {
    "model_architecture": {"type": "string", "minLength": 1, "default": "offset1-model",
      "description": "Name of the encoder; not one that subsamples, resamples or is supervised."},
    "device": {"type": "string", "minLength": 1, "default": "cuda_if_available",
      "description": "Taken where the experiment has no device of its own."},
    "criterion": {"type": "string", "enum": ["infonce"], "default": "infonce",
      "description": "Other losses: criterion of an experiment without cebra."},
    "distance": {"type": "string", "enum": ["cosine", "euclidean"], "default": "cosine",
      "description": "Similarity of two embeddings."},
    "conditional": {"type": ["string", "null"], "enum": ["time", "time_delta", "delta", "delta_normal", null], "default": null,
      "description": "How the positive of a reference is found; delta: delta_normal. null: by the labels, time_delta where there is a continuous one."},
    "temperature": {"type": "number", "exclusiveMinimum": 0, "default": 1.0,
      "description": "Similarities are divided by it; where it starts with temperature_mode auto."},
    "temperature_mode": {"type": "string", "enum": ["constant", "auto"], "default": "constant",
      "description": "auto: learnt."},
    "min_temperature": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": 0.1,
      "description": "With temperature_mode auto: the temperature never falls below it; null: no such bound."},
    "time_offsets": {"type": ["integer", "array"], "minimum": 1, "minItems": 1, "maxItems": 1,
      "items": {"type": "integer", "minimum": 1}, "default": 1,
      "description": "In samples; for time and time_delta. There is no training with several."},
    "delta": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": null,
      "description": "Standard deviation in label units, for delta and delta_normal."},
    "max_iterations": {"type": "integer", "minimum": 1, "default": 10000, "description": "Optimiser steps."},
    "max_adapt_iterations": {"type": "integer", "minimum": 1, "default": 500,
      "description": "Optimiser steps with adapt."},
    "batch_size": {"type": ["integer", "null"], "minimum": 1, "maximum": 1048576, "default": null,
      "description": "References, and as many positives and negatives, per step; null: the whole recording."},
    "learning_rate": {"type": "number", "exclusiveMinimum": 0, "default": 0.0003, "description": "Of Adam."},
    "optimizer": {"type": "string", "enum": ["adam"], "default": "adam", "description": "The only one."},
    "optimizer_kwargs": {
      "type": "object", "additionalProperties": false, "default": {},
      "description": "Further settings of Adam.",
      "properties": {
        "betas": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 0.9999999}, "minItems": 2, "maxItems": 2, "default": [0.9, 0.999]},
        "eps": {"type": "number", "exclusiveMinimum": 0, "default": 1e-8},
        "weight_decay": {"type": "number", "minimum": 0, "default": 0},
        "amsgrad": {"type": "boolean", "default": false}
      }
    },
    "output_dimension": {"type": "integer", "minimum": 1, "maximum": 1048576, "default": 8,
      "description": "Width of the embedding."},
    "num_hidden_units": {"type": "integer", "minimum": 1, "maximum": 1048576, "default": 32,
      "description": "Width of the hidden layers."},
    "verbose": {"type": "boolean", "default": false,
      "description": "Without effect: the program has --quiet."},
    "pad_before_transform": {"type": "boolean", "enum": [true], "default": true,
      "description": "A run pads; for an embedding without it, grevy transform has --no-pad."},
    "hybrid": {"type": "boolean", "default": false,
      "description": "Some features follow behaviour, all of them time; needs batch_size."},
    "masking_kwargs": {"default": null, "description": "Masks of the training windows, {name: value} or [[name, value], ...]."},
    "adapt": {"type": ["string", "null"], "minLength": 1, "default": null,
      "description": "Folder of a finished run whose model is adapted to this recording."}
  }
})json";

constexpr std::initializer_list<Overlap> overlaps = {
    {"/sampling", "conditional, time_offsets, delta, hybrid, masking_kwargs"},
    {"/model", "model_architecture, num_hidden_units, output_dimension"},
    {"/criterion", "criterion, distance, temperature, temperature_mode, min_temperature"},
    {"/solver", "batch_size, hybrid"},
    {"/optimizer", "optimizer, learning_rate, optimizer_kwargs"},
    {"/training/num_steps", "max_iterations, max_adapt_iterations"},
    {"/training/batch_size", "batch_size"},
    {"/adapt", "adapt"},
    {"/objectives", "criterion, conditional"}};

[[noreturn]] void refuse(const std::string& key, const json& found, const std::string& rule) {
  throw Error(ErrorCode::invalid_value,
              "/cebra/" + key + ": found " + schema::shown(found) + "; must be " + rule);
}

// ---- checks beyond the schema -------------------------------------------------------------------

void check_architecture(const json& cebra) {
  const json& name = cebra.at("model_architecture");
  for (const std::string word : {"subsample", "resample", "supervised"})
    if (name.get_ref<const std::string&>().find(word) != std::string::npos)
      refuse("model_architecture", name,
             "a name without \"" + word +
                 "\"; such models are for /model of an experiment without /cebra");
}

bool by_delta(const json& conditional) {
  return conditional == "delta" || conditional == "delta_normal";
}

void check_combinations(const json& cebra) {
  const json& conditional = cebra.at("conditional");
  if (by_delta(conditional) && cebra.at("delta").is_null())
    refuse("delta", cebra.at("delta"),
           "a number above 0, which conditional " + conditional.dump() + " needs");
  if (!cebra.at("hybrid").get<bool>()) return;
  if (conditional == "time")
    refuse("conditional", conditional,
           "one of \"time_delta\", \"delta\", \"delta_normal\", null where hybrid is true");
  if (cebra.at("batch_size").is_null())
    refuse("batch_size", cebra.at("batch_size"),
           "an integer of at least 1 where hybrid is true; there is no hybrid training on the "
           "whole recording at once");
}

// [["RandomNeuronMask", 0.2], ...] as {"RandomNeuronMask": 0.2, ...}.
json masks_of(const json& pairs) {
  json masks = json::object();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string place = "masking_kwargs/" + std::to_string(i);
    const json& pair = pairs[i];
    if (!pair[0].is_string()) refuse(place, pair, "[name, value]");
    const auto& name = pair[0].get_ref<const std::string&>();
    if (masks.contains(name)) refuse(place, pair, "a mask that is not in the list already");
    masks[name] = pair[1];
  }
  validate(masks, json::parse(masks_schema()), "", "/cebra/masking_kwargs");
  return masks;
}

json checked(json cebra) {
  const json schema = cebra_schema();
  validate(cebra, schema, "", "/cebra");
  apply_defaults(cebra, schema);
  check_architecture(cebra);
  check_combinations(cebra);
  json& masks = cebra["masking_kwargs"];
  if (masks.is_array()) masks = masks_of(masks);
  return cebra;
}

// ---- the parts of the long form -----------------------------------------------------------------

json model_of(const json& cebra) {
  return {{"name", cebra.at("model_architecture")},
          {"num_units", cebra.at("num_hidden_units")},
          {"num_output", cebra.at("output_dimension")}};
}

json criterion_of(const json& cebra) {
  const bool learnable = cebra.at("temperature_mode") == "auto";
  const std::string similarity = cebra.at("distance") == "cosine" ? "Cosine" : "Euclidean";
  json criterion = {{"name", (learnable ? "Learnable" : "Fixed") + similarity + "InfoNCE"},
                    {"temperature", cebra.at("temperature")}};
  if (learnable && !cebra.at("min_temperature").is_null())
    criterion["min_temperature"] = cebra.at("min_temperature");
  return criterion;
}

json conditional_of(const json& cebra) {
  const json& conditional = cebra.at("conditional");
  if (by_delta(conditional)) return "delta_normal";
  if (conditional.is_null() && cebra.at("hybrid").get<bool>()) return "time_delta";
  return conditional;
}

json sampling_of(const json& cebra) {
  const json& offset = cebra.at("time_offsets");
  json sampling = {{"conditional", conditional_of(cebra)},
                   {"time_offset", offset.is_array() ? offset.front() : offset},
                   {"hybrid", cebra.at("hybrid")}};
  if (!cebra.at("delta").is_null()) sampling["delta"] = cebra.at("delta");
  if (!cebra.at("masking_kwargs").is_null()) sampling["masks"] = cebra.at("masking_kwargs");
  return sampling;
}

json solver_of(const json& cebra, bool several_sessions) {
  const std::string family = several_sessions ? "multi-session" : "single-session";
  if (cebra.at("batch_size").is_null()) return {{"name", family + "-full"}};
  if (!cebra.at("hybrid").get<bool>()) return {{"name", family}};
  const auto num_output = cebra.at("output_dimension").get<std::int64_t>();
  return {{"name", family + "-hybrid"},
          {"num_behavior_features", std::min<std::int64_t>(3, num_output)}};
}

json optimizer_of(const json& cebra) {
  json optimizer = cebra.at("optimizer_kwargs");
  optimizer["name"] = cebra.at("optimizer");
  optimizer["learning_rate"] = cebra.at("learning_rate");
  return optimizer;
}

bool has_several_sessions(const json& document) {
  const json* data = schema::member(document, "data");
  const json* sessions = data ? schema::member(*data, "sessions") : nullptr;
  return sessions && sessions->is_array();
}

}  // namespace

json cebra_schema() {
  json schema = json::parse(parameters);
  schema["properties"]["masking_kwargs"]["anyOf"] = {
      json::parse(masks_schema()),
      {{"type", "array"}, {"items", {{"type", "array"}, {"minItems", 2}, {"maxItems", 2}}}},
      {{"type", "null"}}};
  return schema;
}

json expand_cebra(json document) {
  if (!schema::member(document, "cebra")) return document;
  refuse_overlaps(document, "/cebra", overlaps);
  const json cebra = checked(std::move(document["cebra"]));
  document.erase("cebra");
  const json& run = cebra.at("adapt");
  document["model"] = model_of(cebra);
  document["criterion"] = criterion_of(cebra);
  document["sampling"] = sampling_of(cebra);
  document["solver"] = solver_of(cebra, has_several_sessions(document));
  document["optimizer"] = optimizer_of(cebra);
  if (json* training = object_under(document, "training")) {
    (*training)["num_steps"] = cebra.at(run.is_null() ? "max_iterations" : "max_adapt_iterations");
    (*training)["batch_size"] = cebra.at("batch_size");
  }
  document.emplace("device", cebra.at("device"));
  if (!run.is_null()) document["adapt"] = {{"run", run}};
  return document;
}

}  // namespace grevy::host

#include "experiment/experiment_schema.hpp"

#include "experiment/short_form.hpp"
#include "plugins/name_pattern.hpp"

#include <grevy/host/masking.hpp>

namespace grevy::host {
namespace {

using nlohmann::json;

constexpr const char* base = R"json({
  "$schema": "http://json-schema.org/draft-07/schema#",
  "title": "Grevy experiment",
  "type": "object",
  "additionalProperties": false,
  "required": ["model"],
  "properties": {
    "$schema": {"type": "string", "description": "For editors: the file that `grevy schema` wrote."},
    "description": {"type": "string", "description": "Free text.", "default": ""},
    "seed": {"type": "integer", "minimum": 0, "default": 0,
      "description": "Everything random in the run follows from it."},
    "device": {"type": "string", "default": "cpu", "description": "\"cpu\", \"cuda\", \"cuda:N\" or \"cuda_if_available\"."},
    "threads": {"type": "integer", "minimum": 0, "maximum": 1024, "default": 0,
      "description": "CPU threads; 0: one per core. Part of what makes a run repeatable."},
    "plugins": {"type": ["object", "null"], "default": null,
      "description": "The only plugins that may be loaded, by id; null: all that are found.",
      "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$",
        "description": "\"sha256:...\" of the file, as `grevy plugins list` shows it."}},
    "data": {
      "type": "object", "additionalProperties": false, "default": {},
      "description": "Files, relative to the experiment's. An application that has the recording in memory needs none.",
      "properties": {
        "neural": {"$array": true, "description": "The recording: (time, channels), .npy or .npz."},
        "labels": {"type": "object", "default": {}, "additionalProperties": {"$label": true},
          "description": "Named labels, one row per sample."},
        "trials": {"$array": true, "description": "A number per sample; windows and pairs never leave a stretch of equal numbers."},
        "sessions": {"type": ["array", "null"], "minItems": 1, "default": null,
          "description": "Several recordings, in place of neural, labels and trials: the same labels, any channels.",
          "items": {"type": "object", "additionalProperties": false, "required": ["neural"],
            "properties": {
              "neural": {"$array": true, "description": "A recording: (time, channels)."},
              "labels": {"type": "object", "default": {}, "additionalProperties": {"$label": true},
                "description": "Named labels, one row per sample."},
              "trials": {"$array": true, "description": "As above."}}}},
        "train_fraction": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.8,
          "description": "Share of the samples, from the start, to train on; the rest is held out."}
      }
    },
    "sampling": {
      "type": "object", "additionalProperties": false, "default": {},
      "properties": {
        "conditional": {"type": ["string", "null"], "enum": ["time", "time_delta", "delta_normal", "discrete", null], "default": "time",
          "description": "How the positive of a reference is found; null: as the labels allow, time_delta (inside classes if there are any), discrete or time."},
        "continuous": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1, "default": null,
          "description": "Continuous labels for time_delta and delta_normal; null: all of them."},
        "discrete": {"type": ["string", "null"], "default": null,
          "description": "Discrete label for conditional discrete (null: the only one); with time_delta or delta_normal positives stay inside its classes."},
        "prior": {"type": ["string", "null"], "enum": ["empirical", "uniform", null], "default": null,
          "description": "References and negatives: uniform over samples (empirical) or over classes (uniform); null: uniform when a discrete label restricts a continuous one, else empirical."},
        "time_offset": {"type": "integer", "minimum": 1, "default": 10, "description": "In samples; for time and time_delta."},
        "hybrid": {"type": "boolean", "default": false,
          "description": "A second set of positives, time_offset samples after the references, for single-session-hybrid."},
        "delta": {"type": "number", "exclusiveMinimum": 0, "default": 0.1,
          "description": "Standard deviation in label units, for delta_normal."},
        "positives": {"type": ["array", "null"], "minItems": 1, "default": null,
          "description": "Several sets of positives, for solvers with several objectives; in place of the keys above but prior.",
          "items": {"type": "object", "additionalProperties": false, "required": ["conditional"],
            "properties": {
              "conditional": {"type": "string", "enum": ["time", "time_delta", "delta_normal", "discrete"], "description": "As above."},
              "continuous": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1, "default": null, "description": "As above."},
              "discrete": {"type": ["string", "null"], "default": null, "description": "As above."},
              "time_offset": {"type": "integer", "minimum": 1, "default": 10, "description": "As above."},
              "delta": {"type": "number", "exclusiveMinimum": 0, "default": 0.1, "description": "As above."}}}},
        "targets": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1, "default": null,
          "description": "Labels to predict, one per objective, for supervised solvers."},
        "borders": {"type": "string", "enum": ["inside", "clamp"], "default": "inside",
          "description": "References too late for their positive in time: not drawn (inside), or paired with the last sample (clamp)."},
        "masks": {"type": "object", "default": {}, "$masks": true,
          "description": "Parts of the training windows set to zero, of references, positives and negatives independently."}
      }
    },
    "model": {"$component": "model", "description": "The encoder; with several sessions, one like it for each."},
    "adapt": {"type": ["object", "null"], "default": null, "additionalProperties": false, "required": ["run"],
      "description": "Start from a finished run on other channels: all but the first layer are taken from it and kept fixed.",
      "properties": {"run": {"type": "string", "minLength": 1, "description": "A run folder or a checkpoint."}}},
    "reference_model": {"$component": "model", "default": null,
      "description": "Encoder of the references, for solvers with two (single-session-aux); null: one like /model."},
    "criterion": {"$component": "criterion", "default": {"name": "InfoNCE"}, "description": "The loss."},
    "solver": {"$component": "solver", "default": {"name": "single-session"}, "description": "The training loop."},
    "optimizer": {
      "type": "object", "additionalProperties": false, "default": {},
      "properties": {
        "name": {"type": "string", "enum": ["adam"], "default": "adam"},
        "learning_rate": {"type": "number", "exclusiveMinimum": 0, "default": 0.0003},
        "betas": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 0.9999999}, "minItems": 2, "maxItems": 2, "default": [0.9, 0.999]},
        "eps": {"type": "number", "exclusiveMinimum": 0, "default": 1e-8},
        "weight_decay": {"type": "number", "minimum": 0, "default": 0},
        "amsgrad": {"type": "boolean", "default": false}
      }
    },
    "training": {
      "type": "object", "additionalProperties": false, "default": {},
      "properties": {
        "num_steps": {"type": "integer", "minimum": 1, "default": 1000, "description": "Optimiser steps."},
        "batch_size": {"type": ["integer", "null"], "minimum": 1, "maximum": 1048576, "default": null,
          "description": "References, and as many positives, per step and session; null: 512, or all samples for full-batch solvers."},
        "num_negatives": {"type": ["integer", "null"], "minimum": 1, "maximum": 1048576, "default": null,
          "description": "Negatives per step and session; null: as many as references."},
        "log_frequency": {"type": "integer", "minimum": 1, "default": 1, "description": "Steps between lines of the log."},
        "valid_frequency": {"type": ["integer", "null"], "minimum": 1, "default": null,
          "description": "Steps between validations on the held-out part; null: none."},
        "valid_batches": {"type": "integer", "minimum": 1, "default": 10, "description": "Batches in a validation."},
        "save_frequency": {"type": ["integer", "null"], "minimum": 1, "default": 500,
          "description": "Steps between checkpoints; null: only at the end."},
        "keep_checkpoints": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 2,
          "description": "How many of the last checkpoints are kept, besides the best."},
        "non_finite": {"type": "string", "enum": ["stop", "skip"], "default": "stop",
          "description": "When the loss, a gradient or what a step would make of a parameter is not finite: end the run, or leave the step out and count it."}
      }
    },
    "evaluation": {
      "type": "object", "additionalProperties": false, "default": {},
      "properties": {
        "neighbours": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 25, "description": "k of the decoder."},
        "metric": {"type": ["string", "null"], "enum": ["cosine", "euclidean", null], "default": null,
          "description": "null: cosine for models that normalise, else euclidean."},
        "max_samples": {"type": "integer", "minimum": 100, "default": 10000,
          "description": "Longer parts are thinned evenly to this many samples for decoding."},
        "num_batches": {"type": "integer", "minimum": 1, "default": 50, "description": "Batches for the held-out loss."}
      }
    }
  }
})json";

json array_schema(const char* description) {
  return {{"description", description},
          {"anyOf",
           {{{"type", "string"}, {"minLength", 1}, {"description", "A .npy or .npz file."}},
            {{"type", "object"},
             {"additionalProperties", false},
             {"required", {"file"}},
             {"properties",
              {{"file", {{"type", "string"}, {"minLength", 1}}},
               {"key", {{"type", "string"}, {"description", "The array of an .npz."}}}}}}}}};
}

json label_schema() {
  json schema = array_schema("A label's array.");
  schema["anyOf"][1]["properties"]["type"] = {
      {"enum", {"continuous", "discrete"}},
      {"type", "string"},
      {"description", "Default: discrete for integers and booleans, continuous for floats."}};
  return schema;
}

json any_component() {
  return {{"type", "object"},
          {"required", {"name"}},
          {"properties", {{"name", {{"type", "string"}, {"minLength", 1}}}}}};
}

// One branch a component, told apart by its name.
json known_components(const Host& host, const std::string& kind) {
  json branches = json::array();
  for (const PluginManifest& plugin : host.plugins())
    for (const ComponentManifest& component : plugin.components) {
      if (to_string(component.kind) != kind || !plugin.problem.empty()) continue;
      json branch = json::parse(component.options_schema);
      json names = component.aliases;
      names.push_back(component.name);
      names.push_back(plugin.id + "/" + component.name);
      const bool family = component.name.find('{') != std::string::npos;
      branch["properties"]["name"] =
          family ? json{{"type", "string"}, {"pattern", name_regex(component.name)}}
                 : json{{"enum", names}};
      branch["required"].push_back("name");
      branch["description"] = component.summary;
      branches.push_back(branch);
    }
  return branches.empty() ? any_component() : json{{"anyOf", branches}};
}

json optional(const json& rule) {
  return {{"description", rule.at("description")},
          {"anyOf", {rule, {{"type", "null"}}}},
          {"default", nullptr}};
}

// Replaces the marks of the text above.
void expand(json& node, const Host* host) {
  if (!node.is_structured()) return;
  if (node.is_object() && node.contains("$array")) {
    node = array_schema(node.at("description").get<std::string>().c_str());
  } else if (node.is_object() && node.contains("$label")) {
    node = label_schema();
  } else if (node.is_object() && node.contains("$component")) {
    json expanded =
        host == nullptr ? any_component() : known_components(*host, node.at("$component"));
    for (const char* key : {"description", "default"})
      if (node.contains(key)) expanded[key] = node[key];
    // A component that may be absent.
    node = node.contains("default") && node["default"].is_null() ? optional(expanded) : expanded;
  } else if (node.is_object() && node.contains("$masks")) {
    node.erase("$masks");
    node.update(json::parse(masks_schema()));
  } else {
    for (auto& child : node) expand(child, host);
  }
}

}  // namespace

json base_schema() {
  json schema = json::parse(base);
  expand(schema, nullptr);
  return schema;
}

json experiment_schema(const Host& host) {
  json schema = json::parse(base);
  expand(schema, &host);
  schema["properties"]["cebra"] = cebra_schema();
  schema["properties"]["objectives"] = objectives_schema();
  schema.erase("required");
  schema["anyOf"] = {{{"required", {"model"}}}, {{"required", {"cebra"}}}};
  return schema;
}

}  // namespace grevy::host

#include "experiment/schema.hpp"
#include "short_form_support.hpp"

#include <string>
#include <utility>

using grevy::host::apply_defaults;
using grevy::host::cebra_schema;
using grevy::test::check_refused;
using grevy::test::check_refused_with;
using grevy::test::expanded;
using grevy::test::kType;
using nlohmann::json;

namespace {

json from_cebra(const std::string& parameters) {
  return expanded(R"({"cebra": )" + parameters + "}");
}

std::string cebra(const std::string& parameters) { return R"({"cebra": )" + parameters + "}"; }

}  // namespace

TEST_CASE("short form: a document without one is unchanged") {
  for (const char* text : {"{}", "null", "3", R"(["cebra", "objectives"])",
                           R"({"model": {"name": "x"}, "solver": {"renormalize": true}})"})
    CHECK(expanded(text) == json::parse(text));
}

TEST_CASE("cebra: the reference's defaults") {
  json parameters = json::object();
  apply_defaults(parameters, cebra_schema());
  CHECK(parameters == json::parse(R"({
    "model_architecture": "offset1-model", "device": "cuda_if_available", "criterion": "infonce",
    "distance": "cosine", "conditional": null, "temperature": 1.0, "temperature_mode": "constant",
    "min_temperature": 0.1, "time_offsets": 1, "delta": null, "max_iterations": 10000,
    "max_adapt_iterations": 500, "batch_size": null, "learning_rate": 3e-4, "optimizer": "adam",
    "optimizer_kwargs": {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0, "amsgrad": false},
    "output_dimension": 8, "num_hidden_units": 32, "verbose": false, "pad_before_transform": true,
    "hybrid": false, "masking_kwargs": null, "adapt": null})"));
  CHECK(from_cebra("{}") == json::parse(R"({
    "device": "cuda_if_available",
    "model": {"name": "offset1-model", "num_units": 32, "num_output": 8},
    "criterion": {"name": "FixedCosineInfoNCE", "temperature": 1.0},
    "sampling": {"conditional": null, "time_offset": 1, "hybrid": false},
    "solver": {"name": "single-session-full"},
    "optimizer": {"name": "adam", "learning_rate": 3e-4, "betas": [0.9, 0.999], "eps": 1e-8,
                  "weight_decay": 0, "amsgrad": false},
    "training": {"num_steps": 10000, "batch_size": null}})"));
}

TEST_CASE("cebra: every parameter arrives, and what stands beside it stays") {
  const json document = expanded(R"({
    "seed": 4, "threads": 2, "description": "d", "data": {"neural": "a.npy"},
    "evaluation": {"neighbours": 3}, "training": {"valid_frequency": 7},
    "cebra": {
      "model_architecture": "offset10-model", "device": "cuda:1", "criterion": "infonce",
      "distance": "euclidean", "conditional": "delta", "temperature": 0.5,
      "temperature_mode": "auto", "min_temperature": 0.2, "time_offsets": [7], "delta": 0.3,
      "max_iterations": 20, "max_adapt_iterations": 5, "batch_size": 64, "learning_rate": 0.01,
      "optimizer": "adam", "optimizer_kwargs": {"betas": [0.8, 0.9], "amsgrad": true},
      "output_dimension": 2, "num_hidden_units": 16, "verbose": true, "pad_before_transform": true,
      "hybrid": true, "masking_kwargs": {"RandomNeuronMask": 0.2}, "adapt": "runs/a"}})");
  CHECK(document == json::parse(R"({
    "seed": 4, "threads": 2, "description": "d", "data": {"neural": "a.npy"},
    "evaluation": {"neighbours": 3}, "device": "cuda:1", "adapt": {"run": "runs/a"},
    "model": {"name": "offset10-model", "num_units": 16, "num_output": 2},
    "criterion": {"name": "LearnableEuclideanInfoNCE", "temperature": 0.5, "min_temperature": 0.2},
    "sampling": {"conditional": "delta_normal", "time_offset": 7, "delta": 0.3, "hybrid": true,
                 "masks": {"RandomNeuronMask": 0.2}},
    "solver": {"name": "single-session-hybrid", "num_behavior_features": 2},
    "optimizer": {"name": "adam", "learning_rate": 0.01, "betas": [0.8, 0.9], "eps": 1e-8,
                  "weight_decay": 0, "amsgrad": true},
    "training": {"valid_frequency": 7, "num_steps": 5, "batch_size": 64}})"));
}

TEST_CASE("cebra: the experiment's device comes first") {
  CHECK(expanded(R"({"device": "cpu", "cebra": {"device": "cuda"}})")["device"] == "cpu");
}

TEST_CASE("cebra: criterion by distance and temperature_mode") {
  struct Row {
    const char* parameters;
    const char* criterion;
  };
  const Row rows[] = {
      {R"({"distance": "cosine", "temperature": 2})",
       R"({"name": "FixedCosineInfoNCE", "temperature": 2})"},
      {R"({"distance": "euclidean", "min_temperature": 0.3})",
       R"({"name": "FixedEuclideanInfoNCE", "temperature": 1.0})"},
      {R"({"distance": "cosine", "temperature_mode": "auto"})",
       R"({"name": "LearnableCosineInfoNCE", "temperature": 1.0, "min_temperature": 0.1})"},
      {R"({"distance": "euclidean", "temperature_mode": "auto", "min_temperature": null})",
       R"({"name": "LearnableEuclideanInfoNCE", "temperature": 1.0})"}};
  for (const auto& [parameters, criterion] : rows)
    CHECK(from_cebra(parameters)["criterion"] == json::parse(criterion));
}

TEST_CASE("cebra: conditional") {
  const auto conditional = [](const char* parameters) {
    return from_cebra(parameters)["sampling"]["conditional"];
  };
  CHECK(conditional("{}").is_null());
  CHECK(conditional(R"({"conditional": "time"})") == "time");
  CHECK(conditional(R"({"conditional": "time_delta"})") == "time_delta");
  CHECK(conditional(R"({"conditional": "delta", "delta": 1})") == "delta_normal");
  CHECK(conditional(R"({"conditional": "delta_normal", "delta": 1})") == "delta_normal");
  CHECK(conditional(R"({"hybrid": true, "batch_size": 4})") == "time_delta");
  CHECK(conditional(R"({"hybrid": true, "batch_size": 4, "conditional": "delta", "delta": 1})") ==
        "delta_normal");
}

TEST_CASE("cebra: solver by sessions, batch and hybrid") {
  struct Row {
    const char* data;
    const char* parameters;
    const char* solver;
  };
  const char* one = R"({"neural": "a.npy"})";
  const char* several = R"({"sessions": [{"neural": "a.npy"}, {"neural": "b.npy"}]})";
  const char* full = R"({"batch_size": null})";
  const char* mini = R"({"batch_size": 32})";
  const char* hybrid = R"({"batch_size": 32, "hybrid": true})";
  const Row rows[] = {
      {one, full, R"({"name": "single-session-full"})"},
      {one, mini, R"({"name": "single-session"})"},
      {one, hybrid, R"({"name": "single-session-hybrid", "num_behavior_features": 3})"},
      {several, full, R"({"name": "multi-session-full"})"},
      {several, mini, R"({"name": "multi-session"})"},
      {several, hybrid, R"({"name": "multi-session-hybrid", "num_behavior_features": 3})"}};
  for (const auto& [data, parameters, solver] : rows) {
    const json document = expanded(R"({"data": )" + std::string(data) + R"(, "cebra": )" +
                                   std::string(parameters) + "}");
    CHECK(document["solver"] == json::parse(solver));
  }
  for (const char* data : {"5", "null", R"({"sessions": 2})"})
    CHECK(expanded(R"({"data": )" + std::string(data) + R"(, "cebra": {}})")["solver"]["name"] ==
          "single-session-full");
}

TEST_CASE("cebra: masks as an object or as pairs") {
  const json masks = json::parse(R"({"RandomNeuronMask": 0.2, "TimeBlockMask":
                                     {"rate": 0.1, "length": 3}})");
  for (const char* text :
       {R"({"RandomNeuronMask": 0.2, "TimeBlockMask": {"rate": 0.1, "length": 3}})",
        R"([["RandomNeuronMask", 0.2], ["TimeBlockMask", {"rate": 0.1, "length": 3}]])"})
    CHECK(from_cebra(R"({"masking_kwargs": )" + std::string(text) + "}")["sampling"]["masks"] ==
          masks);
  CHECK_FALSE(from_cebra(R"({"masking_kwargs": null})")["sampling"].contains("masks"));
}

TEST_CASE("cebra: num_steps are those of the adaptation only with adapt") {
  CHECK(from_cebra(R"({"max_iterations": 3})")["training"]["num_steps"] == 3);
  CHECK(from_cebra(R"({"max_iterations": 3, "adapt": "a"})")["training"]["num_steps"] == 500);
}

TEST_CASE("cebra: what is no object is left to the check of the long form") {
  CHECK(expanded(R"({"training": 5, "cebra": {}})")["training"] == 5);
}

TEST_CASE("cebra: parameters that are refused") {
  check_refused_with(R"({"cebra": 3})", "/cebra: found 3 (an integer); must be an object", kType);
  check_refused_with(cebra(R"({"batch_sise": 3})"),
                     R"(/cebra/batch_sise: unknown key; did you mean "batch_size"? allowed: )");
  check_refused(cebra(R"({"criterion": "mse"})"),
                "/cebra/criterion: found \"mse\"; must be \"infonce\" [Other losses: criterion of "
                "an experiment without cebra.]");
  check_refused(cebra(R"({"optimizer": "sgd"})"),
                "/cebra/optimizer: found \"sgd\"; must be \"adam\" [The only one.]");
  check_refused_with(cebra(R"({"distance": "l1"})"),
                     R"(/cebra/distance: found "l1"; must be one of "cosine", "euclidean")");
  check_refused_with(
      cebra(R"({"temperature_mode": "learn"})"),
      R"(/cebra/temperature_mode: found "learn"; must be one of "constant", "auto")");
  check_refused_with(cebra(R"({"conditional": "delta_vmf"})"),
                     "/cebra/conditional: found \"delta_vmf\"; must be one of \"time\", "
                     "\"time_delta\", \"delta\", \"delta_normal\", null");
  check_refused_with(cebra(R"({"temperature": 0})"),
                     "/cebra/temperature: found 0; must be a number above 0");
  check_refused_with(cebra(R"({"batch_size": 0})"),
                     "/cebra/batch_size: found 0; must be an integer from 1 to 1048576, or null");
  check_refused_with(cebra(R"({"optimizer_kwargs": {"beta": 1}})"),
                     "/cebra/optimizer_kwargs/beta: unknown key; did you mean \"betas\"? "
                     "allowed: amsgrad, betas, eps, weight_decay");
  check_refused(cebra(R"({"pad_before_transform": false})"),
                "/cebra/pad_before_transform: found false; must be true [A run pads; for an "
                "embedding without it, grevy transform has --no-pad.]");
}

TEST_CASE("cebra: one time offset") {
  const std::string rule =
      "; must be an integer of at least 1, or an array of 1 item, each item an integer of at least "
      "1 [In samples; for time and time_delta. There is no training with several.]";
  check_refused(cebra(R"({"time_offsets": [1, 2]})"),
                "/cebra/time_offsets: found [1, 2] (2 items)" + rule);
  check_refused(cebra(R"({"time_offsets": []})"), "/cebra/time_offsets: found [] (0 items)" + rule);
  check_refused(cebra(R"({"time_offsets": 0})"), "/cebra/time_offsets: found 0" + rule);
  check_refused(cebra(R"({"time_offsets": 1.5})"),
                "/cebra/time_offsets: found 1.5 (a number)" + rule, kType);
  check_refused(cebra(R"({"time_offsets": [0]})"),
                "/cebra/time_offsets/0: found 0; must be an integer of at least 1");
}

TEST_CASE("cebra: architectures that the estimator does not take") {
  const auto text = [](const std::string& name, const std::string& word) {
    return "/cebra/model_architecture: found \"" + name + "\"; must be a name without \"" + word +
           "\"; such models are for /model of an experiment without /cebra";
  };
  const std::pair<const char*, const char*> names[] = {{"offset4-model-2x-subsample", "subsample"},
                                                       {"resample1-model", "resample"},
                                                       {"supervised10-model", "supervised"}};
  for (const auto& [name, word] : names)
    check_refused(cebra(R"({"model_architecture": ")" + std::string(name) + "\"}"),
                  text(name, word));
}

TEST_CASE("cebra: combinations that are refused") {
  check_refused(cebra(R"({"conditional": "delta"})"),
                "/cebra/delta: found null; must be a number above 0, which conditional \"delta\" "
                "needs");
  check_refused(cebra(R"({"hybrid": true})"),
                "/cebra/batch_size: found null; must be an integer of at least 1 where hybrid is "
                "true; there is no hybrid training on the whole recording at once");
  check_refused(cebra(R"({"hybrid": true, "batch_size": 4, "conditional": "time"})"),
                "/cebra/conditional: found \"time\"; must be one of \"time_delta\", \"delta\", "
                "\"delta_normal\", null where hybrid is true");
}

TEST_CASE("cebra: masks that are refused") {
  check_refused_with(cebra(R"({"masking_kwargs": {"RandomNeuronMask": 2}})"),
                     "/cebra/masking_kwargs/RandomNeuronMask: found 2; must be ");
  check_refused_with(cebra(R"({"masking_kwargs": [["RandomNeuronMask", 2]]})"),
                     "/cebra/masking_kwargs/RandomNeuronMask: found 2; must be ");
  check_refused_with(cebra(R"({"masking_kwargs": [["NeuronMask", 0.2]]})"),
                     "/cebra/masking_kwargs/NeuronMask: unknown key; ");
  check_refused(cebra(R"({"masking_kwargs": [["RandomNeuronMask"]]})"),
                R"(/cebra/masking_kwargs/0: found ["RandomNeuronMask"] (1 item); must be an array )"
                "of 2 items");
  check_refused(cebra(R"({"masking_kwargs": [[1, 2]]})"),
                "/cebra/masking_kwargs/0: found [1, 2]; must be [name, value]");
  check_refused(cebra(R"({"masking_kwargs": [["TimeMask", 1], ["TimeMask", 2]]})"),
                R"(/cebra/masking_kwargs/1: found ["TimeMask", 2]; must be a mask that is not in )"
                "the list already");
  check_refused_with(cebra(R"({"masking_kwargs": "RandomNeuronMask"})"),
                     "/cebra/masking_kwargs: found \"RandomNeuronMask\" (a string); must be an "
                     "object, an array, each item an array of 2 items, or null",
                     kType);
}

TEST_CASE("cebra: what it sets must not stand beside it") {
  const std::pair<const char*, const char*> rows[] = {
      {R"("model": {"name": "x"})",
       "/model: found beside /cebra, which says the same (model_architecture, num_hidden_units, "
       "output_dimension); one of them must be left out"},
      {R"("sampling": {})", "/sampling: found beside /cebra, which says the same (conditional, "},
      {R"("criterion": {})", "/criterion: found beside /cebra, which says the same (criterion, "},
      {R"("solver": null)", "/solver: found beside /cebra, which says the same (batch_size, "},
      {R"("optimizer": {})", "/optimizer: found beside /cebra, which says the same (optimizer, "},
      {R"("training": {"num_steps": 1})", "/training/num_steps: found beside /cebra, which "},
      {R"("training": {"batch_size": 1})", "/training/batch_size: found beside /cebra, which "},
      {R"("adapt": {})", "/adapt: found beside /cebra, which says the same (adapt)"},
      {R"("objectives": [])",
       "/objectives: found beside /cebra, which says the same (criterion, "}};
  for (const auto& [member, text] : rows)
    check_refused_with(R"({"cebra": {}, )" + std::string(member) + "}", text);
}

TEST_CASE("cebra: every parameter has a default, and what it means is said") {
  const json schema = cebra_schema();
  for (const json& rule : schema.at("properties")) {
    CAPTURE(rule);
    CHECK(rule.contains("default"));
    CHECK(rule.contains("description"));
  }
}

#include "short_form_support.hpp"

#include <string>

using grevy::host::objectives_schema;
using grevy::test::check_refused;
using grevy::test::check_refused_with;
using grevy::test::expanded;
using grevy::test::kType;
using nlohmann::json;

namespace {

std::string objectives(const std::string& list) { return R"({"objectives": )" + list + "}"; }

// One objective with other members than slice and loss.
std::string objective(const std::string& members) {
  return objectives(R"([{"slice": [0, 2], "loss": {"name": "InfoNCE"})" + members + "}]");
}

constexpr const char* kPairs = R"([
  {"slice": [0, 8], "loss": {"name": "FixedEuclideanInfoNCE", "temperature": 0.5},
   "distribution": {"name": "time", "time_offset": 10}},
  {"slice": [0, 4], "loss": {"name": "InfoNCE"},
   "distribution": {"name": "time_delta", "label_name": "position", "time_delta": 3}},
  {"slice": [4, 6], "loss": {"name": "InfoNCE"},
   "distribution": {"name": "delta_normal", "label_name": "speed", "delta": 0.1}}])";

constexpr const char* kLabels = R"([
  {"slice": [0, 2], "loss": {"name": "nn.MSELoss"}, "label": "position"},
  {"slice": [2, 3], "loss": {"name": "nn.HuberLoss", "delta": 2}, "label": "speed"}])";

// An experiment with pairs and these members besides.
std::string with_pairs(const std::string& members) {
  return R"({"objectives": )" + std::string(kPairs) + ", " + members + "}";
}

}  // namespace

TEST_CASE("objectives: pairs") {
  const json document = expanded(with_pairs(R"("seed": 2, "model": {"name": "m", "num_output": 8},
    "sampling": {"prior": null, "num_negatives": 3, "borders": "b", "masks": {}})"));
  CHECK(document == json::parse(R"({
    "seed": 2,
    "model": {"name": "SubspaceMultiobjectiveModel", "module": {"name": "m", "num_output": 8},
              "feature_ranges": [[0, 8], [0, 4], [4, 6]], "renormalize": false},
    "criterion": {"name": "MultiCriterions", "mode": "contrastive", "losses": [
      {"indices": [0, 8],
       "contrastive_loss": {"name": "FixedEuclideanInfoNCE", "kwargs": {"temperature": 0.5}}},
      {"indices": [0, 4], "contrastive_loss": {"name": "InfoNCE", "kwargs": {}}},
      {"indices": [4, 6], "contrastive_loss": {"name": "InfoNCE", "kwargs": {}}}]},
    "sampling": {"prior": null, "num_negatives": 3, "borders": "b", "masks": {}, "positives": [
      {"conditional": "time", "time_offset": 10},
      {"conditional": "time_delta", "continuous": ["position"], "time_offset": 3},
      {"conditional": "delta_normal", "continuous": ["speed"], "delta": 0.1}]},
    "solver": {"name": "multiobjective-solver"}})"));
}

TEST_CASE("objectives: labels") {
  const json document =
      expanded(R"({"model": {"name": "m"}, "objectives": )" + std::string(kLabels) + "}");
  CHECK(document == json::parse(R"({
    "model": {"name": "SubspaceMultiobjectiveModel", "module": {"name": "m"},
              "feature_ranges": [[0, 2], [2, 3]], "renormalize": false},
    "criterion": {"name": "MultiCriterions", "mode": "supervised", "losses": [
      {"indices": [0, 2], "supervised_loss": {"name": "nn.MSELoss", "kwargs": {}}},
      {"indices": [2, 3], "supervised_loss": {"name": "nn.HuberLoss", "kwargs": {"delta": 2}}}]},
    "sampling": {"targets": ["position", "speed"]},
    "solver": {"name": "supervised-solver-xcebra"}})"));
}

TEST_CASE("objectives: the solver's options, of which the model takes the scaling") {
  const json document = expanded(with_pairs(R"("model": {"name": "m"}, "solver": {
    "name": "grevy.solvers/multiobjective-solver", "use_sam": true, "renormalize": true,
    "renormalize_mode": "per_slice"})"));
  CHECK(document["solver"] ==
        json::parse(R"({"name": "grevy.solvers/multiobjective-solver", "use_sam": true})"));
  CHECK(document["model"]["renormalize"] == true);
  CHECK(document["model"]["renormalize_mode"] == "per_slice");
}

TEST_CASE("objectives: what is no object is left to the check of the long form") {
  const json document = expanded(with_pairs(R"("model": 3, "sampling": "x")"));
  CHECK(document["model"] == 3);
  CHECK(document["sampling"] == "x");
  CHECK_FALSE(expanded(objectives(kPairs)).contains("model"));
}

TEST_CASE("objectives: lists that are refused") {
  const std::string about =
      " [What slices of the embedding are trained on: all of them on pairs (distribution), or all "
      "on labels.]";
  check_refused(objectives("[]"),
                "/objectives: found [] (0 items); must be an array of at least 1 item, each item "
                "an object" +
                    about);
  check_refused(objectives("{}"),
                "/objectives: found {} (an object); must be an array of at least 1 item, each item "
                "an object" +
                    about,
                kType);
  check_refused(objectives(R"([{"slice": [0, 2]}])"),
                "/objectives/0: the key \"loss\" is missing; allowed keys: distribution, label, "
                "loss, slice");
  check_refused(objectives(R"([{"loss": {"name": "InfoNCE"}}])"),
                "/objectives/0: the key \"slice\" is missing; allowed keys: distribution, label, "
                "loss, slice");
  check_refused(objective(R"(, "distributions": {})"),
                "/objectives/0/distributions: unknown key; did you mean \"distribution\"? allowed: "
                "distribution, label, loss, slice");
  check_refused(objectives(R"([{"slice": [0, 2], "loss": {}, "label": "a"}])"),
                "/objectives/0/loss: the key \"name\" is missing; allowed keys: name [A "
                "criterion's name and options.]");
  check_refused(objective(R"(, "label": "")"),
                "/objectives/0/label: found \"\"; must be a non-empty string [The label that the "
                "slice is to predict.]");
}

TEST_CASE("objectives: slices") {
  const auto slice = [](const std::string& text) {
    return objectives(R"([{"slice": )" + text + R"(, "loss": {"name": "x"}, "label": "a"}])");
  };
  const std::string rule =
      "; must be an array of 2 items, each item an integer of at least 0 [Features [begin, end) of "
      "the embedding.]";
  check_refused(slice("[0]"), "/objectives/0/slice: found [0] (1 item)" + rule);
  check_refused(slice("3"), "/objectives/0/slice: found 3 (an integer)" + rule, kType);
  check_refused(slice("[-1, 3]"),
                "/objectives/0/slice/0: found -1; must be an integer of at least 0");
  for (const char* text : {"[3, 2]", "[2, 2]"})
    check_refused(slice(text), "/objectives/0/slice: found " + std::string(text) +
                                   "; must be [begin, end] with begin below end");
  check_refused(
      objectives(R"([{"slice": [0, 2], "loss": {"name": "x"}, "label": "a"},
                               {"slice": [2, 3], "loss": {"name": "x"}, "label": "a"},
                               {"slice": [0, 2], "loss": {"name": "y"}, "label": "b"}])"),
      "/objectives/2/slice: found [0, 2], the slice of /objectives/0; slices must differ");
}

TEST_CASE("objectives: distributions") {
  const auto distribution = [](const std::string& text) {
    return objective(R"(, "distribution": )" + text);
  };
  check_refused(distribution(R"({"name": "delta_vmf"})"),
                "/objectives/0/distribution/name: found \"delta_vmf\"; must be one of \"time\", "
                "\"time_delta\", \"delta_normal\"");
  check_refused(distribution(R"({"name": "time"})"),
                "/objectives/0/distribution: the key \"time_offset\" is missing; allowed keys: "
                "name, time_offset [The sample time_offset later.]");
  check_refused_with(distribution(R"({"name": "time_delta", "time_delta": 1})"),
                     "/objectives/0/distribution: the key \"label_name\" is missing; ");
  check_refused_with(distribution(R"({"name": "time_delta", "label_name": "a"})"),
                     "/objectives/0/distribution: the key \"time_delta\" is missing; ");
  check_refused_with(distribution(R"({"name": "delta_normal", "label_name": "a"})"),
                     "/objectives/0/distribution: the key \"delta\" is missing; ");
  check_refused(distribution(R"({"name": "time", "time_offset": 0})"),
                "/objectives/0/distribution/time_offset: found 0; must be an integer of at least 1 "
                "[In samples.]");
  check_refused_with(distribution(R"({"name": "time", "time_offset": 1, "delta": 1})"),
                     "/objectives/0/distribution/delta: unknown key; allowed: name, time_offset");
  check_refused(distribution(R"({"name": "delta_normal", "label_name": "a", "delta": 0})"),
                "/objectives/0/distribution/delta: found 0; must be a number above 0 [Standard "
                "deviation in label units.]");
}

TEST_CASE("objectives: either pairs or labels") {
  const std::string rule = "; must have either \"distribution\" or \"label\"";
  check_refused(objective(""), "/objectives/0: found no \"label\"" + rule);
  check_refused(objective(R"(, "label": "a", "distribution": {"name": "time", "time_offset": 1})"),
                "/objectives/0: found \"distribution\" and \"label\"" + rule);
  check_refused(objectives(R"([{"slice": [0, 2], "loss": {"name": "x"}, "label": "a"},
                               {"slice": [2, 3], "loss": {"name": "x"},
                                "distribution": {"name": "time", "time_offset": 1}}])"),
                "/objectives/1: found \"distribution\"; must have \"label\", as /objectives/0 has");
}

TEST_CASE("objectives: solvers that are refused") {
  check_refused(with_pairs(R"("solver": {"name": "supervised-solver-xcebra"})"),
                "/solver/name: found \"supervised-solver-xcebra\"; must be "
                "\"multiobjective-solver\" where objectives have \"distribution\"");
  check_refused(R"({"solver": {"name": "grevy.solvers/multiobjective-solver"}, "objectives": )" +
                    std::string(kLabels) + "}",
                "/solver/name: found \"grevy.solvers/multiobjective-solver\"; must be "
                "\"supervised-solver-xcebra\" where objectives have \"label\"");
  check_refused(with_pairs(R"("solver": null)"), "/solver: found null; must be an object", kType);
  check_refused(with_pairs(R"("solver": {"renormalize": 1})"),
                "/solver/renormalize: found 1 (an integer); must be true or false [Scale the "
                "slices to length 1.]",
                kType);
  check_refused(with_pairs(R"("solver": {"renormalize_mode": "all"})"),
                "/solver/renormalize_mode: found \"all\"; must be one of \"auto\", \"pieces\", "
                "\"per_slice\"");
}

TEST_CASE("objectives: what they set must not stand beside them") {
  const auto text = [](const std::string& pointer, const std::string& key) {
    return pointer + ": found beside /objectives, which says the same (" + key +
           "); one of them must be left out";
  };
  check_refused(with_pairs(R"("criterion": {"name": "InfoNCE"})"), text("/criterion", "loss"));
  check_refused(with_pairs(R"("sampling": {"targets": []})"), text("/sampling/targets", "label"));
  for (const std::string key :
       {"positives", "conditional", "continuous", "time_offset", "delta", "hybrid"})
    check_refused(with_pairs(R"("sampling": {")" + key + R"(": null})"),
                  text("/sampling/" + key, "distribution"));
}

TEST_CASE("objectives: what every member means is said") {
  const json schema = objectives_schema();
  for (const json& rule : schema.at("items").at("properties")) {
    CAPTURE(rule);
    CHECK(rule.contains("description"));
  }
}

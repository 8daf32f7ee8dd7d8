// Checkpoints of the reference whose settings are missing, of other types, or of several groups.
#include "exchange/exchange_experiment.hpp"
#include "exchange/exchange_names.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace grevy;
using namespace grevy::host;
using Json = nlohmann::json;
using Form = CebraCheckpoint::Form;

namespace {

StoredTensors tensors(const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& all) {
  StoredTensors content;
  for (const auto& [name, shape] : all) content.tensors[name] = {"F32", shape, {}};
  return content;
}

CebraCheckpoint solver() {
  CebraCheckpoint checkpoint;
  checkpoint.form = Form::solver;
  checkpoint.model = tensors({{"net.0.weight", {8, 5, 2}}, {"net.10.weight", {3, 8, 3}}});
  return checkpoint;
}

CebraCheckpoint estimator(const Json& arguments) {
  CebraCheckpoint checkpoint = solver();
  checkpoint.form = Form::estimator;
  checkpoint.args = {
      {"model_architecture", "offset10-model"}, {"max_iterations", 4}, {"batch_size", 64}};
  checkpoint.args.update(arguments);
  checkpoint.state = {{"solver_name_", 7}};
  return checkpoint;
}

DescribedExperiment describe(const CebraCheckpoint& checkpoint) {
  const std::string model = checkpoint.form == Form::solver ? "offset10-model" : "";
  return describe_experiment(checkpoint, split_encoders(checkpoint.model), model);
}

bool has(const Notes& notes, const std::string& note) {
  return std::find(notes.begin(), notes.end(), note) != notes.end();
}

}  // namespace

TEST_CASE("temperatures that are none leave the default") {
  for (const Json& found : {Json(0.5), Json::array(), Json{"warm"}, Json{-1.0}}) {
    CAPTURE(found.dump());
    CebraCheckpoint checkpoint = solver();
    checkpoint.log = {{"temperature", found}};
    CHECK_FALSE(describe(checkpoint).document.at("criterion").contains("temperature"));
  }
}

TEST_CASE("an optimiser with several groups, or settings of some kinds alone") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.param_groups = {{{"lr", 0.1}}, {{"lr", 0.2}}};
  const DescribedExperiment several = describe(checkpoint);
  CHECK(has(several.left_out, "the optimiser: settings for groups of parameters"));
  CHECK(has(several.assumed, "optimizer: has its defaults"));
  checkpoint.param_groups = {7};
  CHECK(has(describe(checkpoint).assumed, "optimizer: has its defaults"));
  checkpoint.param_groups = {{{"lr", 0.1}}};
  CHECK(describe(checkpoint).document.at("optimizer") == Json{{"learning_rate", 0.1}});
}

TEST_CASE("an estimator without settings of its optimiser, or with one that is no pair") {
  const DescribedExperiment described = describe(estimator({{"optimizer_kwargs", nullptr}}));
  CHECK(described.document.at("model").at("num_units") == 8);
  CHECK(described.document.at("solver").at("name") == "single-session");
  CHECK_FALSE(has(described.assumed, "optimizer: has its defaults"));
  const Json pairs = Json::array({Json::array({"eps", 0.5}), Json::array({"amsgrad", true})});
  const Json optimizer = describe(estimator({{"optimizer_kwargs", pairs}})).document["optimizer"];
  CHECK(optimizer.at("eps") == 0.5);
  CHECK(optimizer.at("amsgrad") == true);
  for (const Json& pair : {Json{"eps"}, Json{1, 2}, Json{"eps", 1, 2}}) {
    CAPTURE(pair.dump());
    CHECK_THROWS_WITH_AS(describe(estimator({{"optimizer_kwargs", {pair}}})),
                         doctest::Contains("args/optimizer_kwargs: found "), Error);
  }
}

TEST_CASE("a criterion with more than a temperature is not InfoNCE") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.criterion = tensors({{"log_inverse_temperature", {}}, {"margin", {}}});
  CHECK_THROWS_WITH_AS(
      describe(checkpoint),
      doctest::Contains("the criterion has the tensor \"log_inverse_temperature\", which InfoNCE"),
      Error);
}

TEST_CASE("encoders without layers whose widths are known") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.model = tensors({{"net.weight", {8, 5}},
                              {"net.x.weight", {8, 5}},
                              {"net.0.bias", {8}},
                              {"net.1.weight", {8}},
                              {"other.0.weight", {8, 5}},
                              {".weight", {8, 5}}});
  CHECK_FALSE(widths_of(split_encoders(checkpoint.model).sessions.at(0)).has_value());
  CHECK_FALSE(describe(checkpoint).document.at("model").contains("num_units"));
  checkpoint = estimator(Json::object());
  checkpoint.model = tensors({{"weight", {8, 5}}});
  CHECK(describe(checkpoint).document.at("model").at("num_units") != 8);
  CHECK_FALSE(split_encoders({}).wrapped);
}

TEST_CASE("a log with lists of other lengths, or none") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.log = {{"pos", {1, 2, 3}}, {"neg", {1}}, {"empty", Json::array()}, {"mode", "cosine"}};
  CHECK(steps_done(checkpoint) == 3);
  Notes left_out;
  const std::string lines = log_lines(checkpoint, left_out);
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 3);
  CHECK(left_out ==
        Notes{"log/mode: 1 entries; there are 3 steps", "log/neg: 1 entries; there are 3 steps"});
}

TEST_CASE("a layer that is applied several times inside another model") {
  const Json model = {{"module", {{"name", "offset1-model-mse-v2-4layers"}}}};
  CHECK(tied_names(model, {"net.3.weight"}) == tied_names(model["module"], {"net.3.weight"}));
  CHECK(tied_names({{"name", "x"}, {"module", "offset1-model-mse-v2-4layers"}}, {"net.3.weight"})
            .empty());
}

// Names and settings in the reference's checkpoints.
#include "exchange/exchange_experiment.hpp"
#include "exchange/exchange_names.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::CebraCheckpoint;
using grevy::host::describe_experiment;
using grevy::host::DescribedExperiment;
using grevy::host::log_lines;
using grevy::host::Notes;
using grevy::host::split_encoders;
using grevy::host::steps_done;
using grevy::host::StoredEncoders;
using grevy::host::StoredTensors;
using grevy::host::tied_names;
using grevy::host::widths_of;
using Json = nlohmann::json;
using Form = CebraCheckpoint::Form;
using Shapes = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

namespace {

// Without bytes: only names and shapes are looked at.
StoredTensors tensors(const Shapes& shapes) {
  StoredTensors content;
  for (const auto& [name, shape] : shapes) content.tensors[name] = {"F32", shape, {}};
  return content;
}

Shapes convolutional() {
  return {{"net.0.weight", {8, 5, 2}},
          {"net.0.bias", {8}},
          {"net.10.weight", {3, 8, 3}},
          {"net.2.module.0.weight", {8, 8, 3}}};
}

Shapes prefixed(const std::string& prefix, Shapes shapes) {
  for (auto& [name, shape] : shapes) name.insert(0, prefix);
  return shapes;
}

template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::invalid_value);
    return e.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

CebraCheckpoint solver() {
  CebraCheckpoint checkpoint;
  checkpoint.form = Form::solver;
  checkpoint.model = tensors(convolutional());
  checkpoint.loss = {2.5, 1.5};
  checkpoint.log = {{"pos", {1, 2}}, {"temperature", {0.5, 0.5}}};
  checkpoint.param_groups = {{{"lr", 0.01},
                              {"betas", {0.8, 0.9}},
                              {"eps", 1e-7},
                              {"weight_decay", 0},
                              {"amsgrad", true},
                              {"foreach", nullptr},
                              {"params", {0, 1}}}};
  return checkpoint;
}

CebraCheckpoint estimator(const Json& changes = Json::object()) {
  CebraCheckpoint checkpoint = solver();
  checkpoint.form = Form::estimator;
  checkpoint.args = {{"model_architecture", "offset10-model"},
                     {"device", "cuda:3"},
                     {"distance", "euclidean"},
                     {"temperature", 0.25},
                     {"max_iterations", 40},
                     {"batch_size", 64},
                     {"optimizer_kwargs", {{"betas", {0.5, 0.5}}, {"eps", 1e-3}}}};
  checkpoint.args.update(changes);
  checkpoint.state = {{"solver_name_", "single-session"}};
  return checkpoint;
}

DescribedExperiment describe(const CebraCheckpoint& checkpoint, const std::string& model = "") {
  return describe_experiment(checkpoint, split_encoders(checkpoint.model), model);
}

}  // namespace

TEST_CASE("encoders are found under the names of lone ones") {
  for (const std::string prefix : {"", "module."}) {
    CAPTURE(prefix);
    const StoredTensors model = tensors(prefixed(prefix, convolutional()));
    const StoredEncoders encoders = split_encoders(model);
    CHECK_FALSE(encoders.numbered);
    CHECK(encoders.wrapped == (prefix == "module."));
    REQUIRE(encoders.sessions.size() == 1);
    CHECK(encoders.sessions[0].size() == 4);
    CHECK(encoders.sessions[0].at("net.0.weight") == &model.tensors.at(prefix + "net.0.weight"));
    CHECK(encoders.full_name(0, "net.0.weight") == prefix + "net.0.weight");
  }
}

TEST_CASE("numbers before the names are sessions") {
  Shapes shapes;
  for (int i = 0; i < 11; ++i)
    shapes.push_back({std::to_string(i) + ".net.0.weight", {i + 1, 2, 3}});
  const StoredTensors model = tensors(shapes);
  const StoredEncoders encoders = split_encoders(model);
  CHECK(encoders.numbered);
  REQUIRE(encoders.sessions.size() == 11);
  for (std::size_t i = 0; i < 11; ++i)
    CHECK(encoders.sessions[i].at("net.0.weight")->shape[0] == static_cast<std::int64_t>(i) + 1);
  CHECK(encoders.full_name(10, "net.0.weight") == "10.net.0.weight");

  const auto split = [](const Shapes& some) { split_encoders(tensors(some)); };
  CHECK(message_of([&] {
          split({{"0.net.0.bias", {1}}, {"net.0.bias", {1}}});
        }) ==
        "found the tensor \"net.0.bias\" beside tensors whose names begin with a session's number; "
        "all must have one, or none");
  CHECK(message_of([&] {
          split({{"0.net.0.bias", {1}}, {"2.net.0.bias", {1}}});
        }) == "found tensors of session 2 and of 2 sessions in all; none may be left out");
}

TEST_CASE("widths are those of the first and last layer") {
  const StoredTensors model = tensors(convolutional());
  const auto widths = widths_of(split_encoders(model).sessions[0]);
  REQUIRE(widths);
  CHECK(widths->num_input == 5);
  CHECK(widths->num_units == 8);
  CHECK(widths->num_output == 3);
  const StoredTensors other = tensors({{"weight", {2, 3}}, {"net.0.bias", {3}}});
  CHECK_FALSE(widths_of(split_encoders(other).sessions[0]));
}

TEST_CASE("a layer that is applied several times has several names") {
  const std::vector<std::string> names = {"net.1.weight", "net.3.weight", "net.5.weight"};
  const std::map<std::string, std::string> expected = {{"net.5.weight", "net.3.weight"},
                                                       {"net.7.weight", "net.3.weight"}};
  CHECK(tied_names({{"name", "offset1-model-mse-v2-3layers"}}, names) == expected);
  CHECK(tied_names({{"name", "grevy.models/offset1-model-mse-resnet-3layers-tanh"}}, names) ==
        expected);
  CHECK(tied_names({{"name", "offset1-model-mse-v2-7layers"}, {"n_intermediate_layers", 3}},
                   names) == expected);
  CHECK(tied_names({{"name", "offset1-model-mse-v2-1layers"}}, names).empty());
  CHECK(tied_names({{"name", "offset1-model-mse-v2-3layers-untied"}}, names).empty());
  CHECK(tied_names({{"name", "offset1-model"}}, names).empty());
  CHECK(tied_names({{"name", "MultiobjectiveModel"},
                    {"module", {{"name", "offset1-model-mse-v2-2layers"}}}},
                   {"module.net.3.weight"}) ==
        std::map<std::string, std::string>{{"module.net.5.weight", "module.net.3.weight"}});
}

TEST_CASE("a solver's file gives widths, optimiser, steps and temperature") {
  const DescribedExperiment described = describe(solver(), "offset10-model");
  const Json& document = described.document;
  CHECK(document.at("model") ==
        Json{{"name", "offset10-model"}, {"num_units", 8}, {"num_output", 3}});
  CHECK(document.at("criterion") == Json{{"name", "FixedCosineInfoNCE"}, {"temperature", 0.5}});
  CHECK(document.at("solver") == Json{{"name", "single-session"}});
  CHECK(document.at("optimizer") == Json{{"learning_rate", 0.01},
                                         {"betas", {0.8, 0.9}},
                                         {"eps", 1e-7},
                                         {"weight_decay", 0},
                                         {"amsgrad", true}});
  CHECK(document.at("training") == Json{{"num_steps", 2}});
  CHECK(described.left_out.empty());
  REQUIRE(described.assumed.size() == 3);
  CHECK(described.assumed[0] == "criterion: the similarity is the cosine's");
  CHECK(message_of([] { describe(solver()); }) ==
        "the file does not say which encoder it holds; name it with --model (grevy plugins list "
        "shows the names)");
}

TEST_CASE("what a solver's file does not say is said to be assumed") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.log = Json::object();
  checkpoint.param_groups = Json();
  const DescribedExperiment described = describe(checkpoint, "offset10-model");
  CHECK(described.document.at("criterion") == Json{{"name", "FixedCosineInfoNCE"}});
  CHECK_FALSE(described.document.contains("optimizer"));
  CHECK(described.assumed.size() == 5);
  CHECK(described.assumed[1] == "criterion: the temperature is 1");
  CHECK(described.assumed.back() == "optimizer: has its defaults");
}

TEST_CASE("tensors of the criterion say which one it is") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.criterion = tensors({{"log_inverse_temperature", {}}});
  CHECK(describe(checkpoint, "offset10-model").document.at("criterion") ==
        Json{{"name", "LearnableCosineInfoNCE"}});
  checkpoint.criterion = tensors({{"criterions.0.log_inverse_temperature", {}}});
  CHECK(message_of([&] { describe(checkpoint, "offset10-model"); }) ==
        "the criterion has the tensor \"criterions.0.log_inverse_temperature\", which InfoNCE has "
        "not; describe the training with --experiment");
  checkpoint.model = tensors(prefixed("module.", convolutional()));
  const DescribedExperiment described = describe(checkpoint, "offset10-model");
  CHECK(described.document.at("model").at("num_output") == 3);
  REQUIRE(described.left_out.size() == 1);
  CHECK(contains(described.left_out[0], "the objectives and their slices"));
}

TEST_CASE("an estimator's arguments are an experiment") {
  const DescribedExperiment described = describe(estimator());
  const Json& document = described.document;
  CHECK(document.at("model") ==
        Json{{"name", "offset10-model"}, {"num_units", 8}, {"num_output", 3}});
  CHECK(document.at("device") == "cpu");
  CHECK(document.at("criterion") == Json{{"name", "FixedEuclideanInfoNCE"}, {"temperature", 0.25}});
  CHECK(document.at("solver") == Json{{"name", "single-session"}});
  CHECK(document.at("training") == Json{{"num_steps", 40}, {"batch_size", 64}});
  CHECK(document.at("optimizer").at("betas") == Json{0.8, 0.9});
  CHECK(described.assumed.empty());
  CHECK(described.left_out.empty());
  CHECK(describe(estimator({{"num_hidden_units", 16}})).document.at("model").at("num_units") == 16);
  CHECK(describe(estimator({{"max_iterations", 1}})).document.at("training").at("num_steps") == 2);
}

TEST_CASE("an estimator's solver has its options from the arguments and its name from the file") {
  const Json hybrid = {{"hybrid", true}, {"output_dimension", 2}};
  CebraCheckpoint checkpoint = estimator(hybrid);
  checkpoint.state["solver_name_"] = "single-session-hybrid";
  CHECK(describe(checkpoint).document.at("solver") ==
        Json{{"name", "single-session-hybrid"}, {"num_behavior_features", 2}});
  checkpoint = estimator();
  checkpoint.model = tensors(prefixed("0.", convolutional()));
  checkpoint.state = Json::object();
  CHECK(describe(checkpoint).document.at("solver") == Json{{"name", "multi-session"}});
  checkpoint.state["solver_name_"] = "unified-session";
  CHECK(describe(checkpoint).document.at("solver") == Json{{"name", "unified-session"}});
}

TEST_CASE("arguments that an experiment cannot have") {
  const DescribedExperiment described =
      describe(estimator({{"pad_before_transform", false}, {"novelty", {1, 2}}}));
  CHECK(described.left_out ==
        Notes{"args/novelty: [1,2]",
              "args/pad_before_transform: false; grevy transform has --no-pad"});
  CHECK(contains(message_of([] {
                   describe(estimator({{"temperature", -1}}));
                 }),
                 "/cebra/temperature"));
  CHECK(message_of([] {
          describe(estimator({{"optimizer_kwargs", {"eps"}}}));
        }) == "args/optimizer_kwargs: found \"eps\"; must be (name, value)");
  CHECK(message_of([] { describe(estimator(), "offset5-model"); }) ==
        "args/model_architecture: found \"offset10-model\" in the file; the model asked for is "
        "\"offset5-model\"; an estimator's file needs none");
  CHECK_NOTHROW(describe(estimator(), "offset10-model"));
}

TEST_CASE("the history becomes a run's log") {
  CebraCheckpoint checkpoint = solver();
  checkpoint.log["neg"] = {1};
  checkpoint.log["unused"] = Json::array();
  Notes left_out;
  CHECK(log_lines(checkpoint, left_out) ==
        "{\"pos\":1,\"step\":0,\"temperature\":0.5,\"total\":2.5}\n"
        "{\"pos\":2,\"step\":1,\"temperature\":0.5,\"total\":1.5}\n");
  CHECK(left_out == Notes{"log/neg: 1 entries; there are 2 steps"});
  CHECK(steps_done(checkpoint) == 2);
  checkpoint.loss.clear();
  checkpoint.log = {{"sum_loss_train", {3, 2, 1}}};
  left_out.clear();
  CHECK(log_lines(checkpoint, left_out).substr(0, 33) == "{\"step\":0,\"sum_loss_train\":3}\n{\"s");
  CHECK(steps_done(checkpoint) == 3);
  checkpoint.log = Json();
  CHECK(log_lines(checkpoint, left_out).empty());
  checkpoint.optimizer[4].step = 7;
  CHECK(steps_done(checkpoint) == 7);
  CHECK(left_out.empty());
}

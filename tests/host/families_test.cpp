// Every built-in encoder: values and parameter counts computed with CEBRA 0.6.1 (Python, float32,
// CPU), and what families and options do.
#include "golden_support.hpp"

#include <grevy/host/experiment.hpp>
#include <grevy/host/simulate.hpp>
#include <grevy/host/trainer.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

struct Row {
  const char* name;
  std::int64_t length;         // receptive field
  std::int64_t small, large;   // parameters for (C, U, D) = (3, 4, 2) and (120, 32, 8)
  std::vector<double> output;  // two rows for inp(2, 3, L), filled parameters; empty: not recorded
};

const Row rows[] = {
    {"offset5-model", 5, 98, 11336, {0.807609, -0.589718, 0.931378, -0.364054}},
    {"offset10-model", 10, 210, 17800, {0.967986, 0.251004, 0.862414, 0.506204}},
    {"offset10-model-mse", 10, 210, 17800, {0.307466, 0.079727, 0.280690, 0.164754}},
    {"offset10-model-mse-tanh", 10, 210, 17800, {0.298130, 0.079559, 0.273544, 0.163280}},
    {"offset15-model", 15, 358, 26856, {-0.963400, -0.268066, -0.952756, -0.303736}},
    {"offset20-model", 20, 470, 33320, {-0.600285, -0.799786, -0.476116, -0.879382}},
    {"offset36-model", 36, 886, 58152, {0.056987, 0.998375, -0.628469, 0.777834}},
    {"offset36-model-dropout", 36, 886, 58152, {0.056987, 0.998375, -0.628469, 0.777834}},
    {"offset36-model-more-dropout", 36, 886, 58152, {0.056987, 0.998375, -0.628469, 0.777834}},
    {"offset40-model", 40, 990, 64360, {0.199421, -0.979914, 0.330043, -0.943966}},
    {"offset50-model", 50, 1250, 79880, {-0.902407, -0.430884, -0.883416, -0.468590}},
    {"offset40-model-4x-subsample", 40, 322, 40104, {0.556622, 0.830766, 0.666731, 0.745298}},
    {"offset20-model-4x-subsample", 20, 210, 33640, {0.352602, 0.935773, 0.958511, 0.285054}},
    {"offset4-model-2x-subsample", 4, 120, 22008, {-0.598842, 0.800867, -0.618027, 0.786157}},
    {"offset1-model", 1, 52, 5592, {0.568031, 0.823007, 0.562232, 0.826979}},
    {"offset1-model-v2", 1, 66, 6248, {0.989800, -0.142467, 0.990130, -0.140153}},
    {"offset1-model-v3", 1, 66, 6248, {0.920304, -0.391205, 0.944140, -0.329545}},
    {"offset1-model-v4", 1, 106, 8360, {-0.918560, -0.395283, -0.848711, -0.528857}},
    {"offset1-model-v5", 1, 106, 8360, {-0.828292, -0.560297, -0.807683, -0.589617}},
    {"offset1-model-mse", 1, 5162, 106808, {0.363848, -0.261290, 0.363024, -0.261072}},
    {"offset1-model-mse-tanh", 1, 5162, 106808, {0.348599, -0.255501, 0.347875, -0.255298}},
    {"offset1-model-mse-clip-1-5", 1, 5162, 106808, {0.363848, -0.261290, 0.363024, -0.261072}},
    {"offset1-model-mse-v2-1layers", 1, 52, 5592, {0.172599, 0.250075, 0.171220, 0.251845}},
    {"offset1-model-mse-v2-3layers-tanh", 1, 52, 5592, {0.170772, 0.246524, 0.170784, 0.246501}},
    {"offset1-model-mse-resnet-1layers", 1, 52, 5592, {0.192734, -0.097801, 0.147596, 0.202284}},
    {"offset1-model-mse-resnet-3layers-tanh",
     1,
     52,
     5592,
     {0.179794, 0.018645, 0.113337, 0.181520}},
    // Layers of their own: two more of 4 x 4 + 4, or 32 x 32 + 32.
    {"offset1-model-mse-v2-3layers-untied", 1, 92, 7704, {}},
    {"offset1-model-mse-resnet-3layers-untied", 1, 92, 7704, {}},
};

std::int64_t count_trained(const ModelRef& model) {
  std::int64_t count = 0;
  for (const NamedTensor& t : model.tensors()) count += t.trained ? t.tensor.numel() : 0;
  return count;
}

json document(const std::string& model) {
  return {{"seed", 3},
          {"sampling", {{"conditional", "time"}, {"time_offset", 2}}},
          {"model", {{"name", model}, {"num_units", 4}, {"num_output", 4}}},
          {"training", {{"num_steps", 6}, {"batch_size", 16}}}};
}

const host::Recording& recording() {
  static const host::Recording made = [] {
    host::SimulationOptions options;
    options.num_samples = 300;
    options.num_neurons = 5;
    const host::SimulatedRecording simulated = host::simulate(options);
    host::Recording result(at::tensor(simulated.spikes).reshape({300, 5}));
    result.add_continuous("position", at::tensor(simulated.position));
    return result;
  }();
  return made;
}

host::Trainer make_trainer(const json& document) {
  return host::Trainer(builtin_host(), host::Experiment(builtin_host(), document), recording());
}

std::string error_of(const json& document) {
  try {
    make_trainer(document);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

Statistics last_statistics(host::Trainer& trainer) {
  Statistics last;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) { last = report.statistics; };
  REQUIRE(trainer.fit(callbacks));
  return last;
}

double value_of(const Statistics& statistics, const std::string& name) {
  for (const Statistic& s : statistics)
    if (s.name == name) return s.value;
  FAIL("no statistic " << name);
  return 0;
}

}  // namespace

TEST_CASE("every encoder has the reference's parameters, receptive field and values") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto model = builtin_model(row.name, 3, 4, 2);
    CHECK(count_trained(*model) == row.small);
    CHECK(count_trained(*builtin_model(row.name, 120, 32, 8)) == row.large);
    CHECK(model->info().offset.length() == row.length);
    host::CreateOptions create;
    create.num_input = 3;
    CHECK_NOTHROW(host::check_model(*model, create));
    fill(model->tensors());
    model->set_training(false);
    if (!row.output.empty())
      CHECK(largest_difference(model->forward(inp({2, 3, row.length})), row.output) < 2e-6);
  }
}

TEST_CASE("transform pads with the first and last row") {
  struct Transformed {
    const char* model;
    std::int64_t samples;
    std::vector<double> rows;
  };
  const Transformed cases[] = {
      {"offset5-model",
       7,
       {0.721614, -0.692296, 0.705723, -0.708488, 0.692817, -0.721114, 0.685065, -0.728482,
        0.683020, -0.730400, 0.698962, -0.715159, 0.715900, -0.698202}},
      {"offset20-model-4x-subsample",
       9,
       {0.789019, 0.614368, 0.989374, 0.145391, 0.543459, 0.839436}},
  };
  for (const Transformed& c : cases) {
    json d = document(c.model);
    d["model"]["num_output"] = 2;
    const host::Recording small(inp({60, 3}));
    const host::Trainer trainer(builtin_host(), host::Experiment(builtin_host(), d), small);
    fill(trainer.model().tensors());
    CHECK(largest_difference(trainer.transform(inp({c.samples, 3})), c.rows) < 2e-6);
  }
}

TEST_CASE("every encoder trains, embeds and stores") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    host::Trainer trainer = make_trainer(document(row.name));
    REQUIRE(trainer.fit());
    const at::Tensor embedding = trainer.transform(recording().neural());
    const std::int64_t factor = trainer.model_info().resample_factor;
    CHECK((embedding.sizes() == at::IntArrayRef{(300 + factor - 1) / factor, 4}));
    CHECK(embedding.isfinite().all().item<bool>());
  }
}

TEST_CASE("a family answers to numbers in its name, and options win over the name") {
  const auto clipped = builtin_model("offset1-model-mse-clip-0.001-0.002", 3, 4, 2);
  const at::Tensor output = clipped->forward(100 * inp({50, 3, 1}));
  CHECK(output.min().item<float>() == -0.001f);
  CHECK(output.max().item<float>() == 0.002f);
  CHECK(clipped->component() == "offset1-model-mse-clip-0.001-0.002");
  const host::Experiment experiment(builtin_host(), [] {
    json d = document("offset1-model-mse-clip-7-3");
    d["model"]["clip_max"] = 9;
    return d;
  }());
  CHECK(experiment.at("/model/clip_min") == 7);
  CHECK(experiment.at("/model/clip_max") == 9);
  CHECK(error_of(document("offset1-model-mse-v2-0layers"))
            .find("/model/n_intermediate_layers: found 0") != std::string::npos);
  CHECK(error_of(document("offset1-model-mse-clip-7")).find("there is no model") !=
        std::string::npos);
}

TEST_CASE("aliases are the same encoder") {
  const auto alias = builtin_model("resample-model", 3, 4, 2);
  CHECK(alias->component() == "offset40-model-4x-subsample");
}

TEST_CASE("dropout works in training alone, and goes on where a stored run stopped") {
  const auto model = builtin_model("offset36-model-dropout", 3, 4, 2);
  const at::Tensor windows = inp({6, 3, 36});
  CHECK_FALSE(at::equal(model->forward(windows), model->forward(windows)));
  model->set_training(false);
  CHECK(at::equal(model->forward(windows), model->forward(windows)));

  const auto run = [](std::int64_t stop_after) {
    host::Trainer trainer = make_trainer(document("offset36-model-more-dropout"));
    host::FitCallbacks callbacks;
    callbacks.should_stop = [&] { return trainer.step() == stop_after; };
    const bool finished = trainer.fit(callbacks);
    CHECK(finished == (stop_after == 0));
    const auto file = std::filesystem::temp_directory_path() / "grevy-dropout-test.safetensors";
    trainer.save(file);
    host::Trainer later = make_trainer(document("offset36-model-more-dropout"));
    later.load(file);
    std::filesystem::remove(file);
    if (!finished) later.fit();
    return later.transform(recording().neural());
  };
  CHECK(at::equal(run(0), run(3)));
}

TEST_CASE("the hybrid solver trains two objectives and validates") {
  json d = document("offset10-model");
  d["sampling"] = {{"conditional", "time_delta"}, {"hybrid", true}};
  d["solver"] = {{"name", "single-session-hybrid"}, {"num_behavior_features", 2}};
  host::Trainer trainer = make_trainer(d);
  const Statistics last = last_statistics(trainer);
  CHECK(value_of(last, "total") ==
        doctest::Approx(value_of(last, "behavior_total") + value_of(last, "time_total")));
  CHECK(value_of(last, "time_total") ==
        doctest::Approx(value_of(last, "time_pos") + value_of(last, "time_neg")));
  CHECK(std::isfinite(trainer.loss_on({recording()}, 3).loss));
}

TEST_CASE("the hybrid solver refuses features and batches that do not fit") {
  json d = document("offset10-model");
  d["sampling"] = {{"conditional", "time_delta"}, {"hybrid", true}};
  const auto with = [&](const json& solver) {
    json changed = d;
    changed["solver"] = solver;
    changed["solver"]["name"] = "single-session-hybrid";
    return error_of(changed);
  };
  const auto mentions = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(mentions(with({{"num_behavior_features", 5}}), "must be at most the number of features"));
  CHECK(
      mentions(with({{"num_behavior_features", 4}, {"output_mode", "separate"}}), "separate mode"));
  CHECK(mentions(with({{"num_behavior_features", 3}, {"renormalize_features", true}}),
                 "renormalised"));
  CHECK(with({{"num_behavior_features", 4}}) == "no error");
  d["sampling"]["conditional"] = "time";
  CHECK(mentions(with({}), "/sampling/hybrid: found true"));
}

TEST_CASE("the regularised solver makes the Jacobian smaller") {
  const auto reg_after = [](double lambda) {
    json d = document("offset10-model-mse");
    d["criterion"] = {{"name", "InfoMSE"}};
    d["optimizer"] = {{"learning_rate", 0.01}};
    d["training"]["num_steps"] = 40;
    d["solver"] = {{"name", "regularized-solver"}, {"lambda_JR", lambda}};
    host::Trainer trainer = make_trainer(d);
    const Statistics last = last_statistics(trainer);
    CHECK(value_of(last, "reg_lambda") == doctest::Approx(lambda * value_of(last, "reg")));
    CHECK(value_of(last, "total") ==
          doctest::Approx(value_of(last, "loss") + value_of(last, "reg_lambda")));
    CHECK(std::isfinite(trainer.loss_on({recording()}, 3).loss));
    return value_of(last, "reg");
  };
  CHECK(reg_after(10) < 0.5 * reg_after(0));
}

TEST_CASE("the auxiliary solver starts from a copy, trains both encoders and stores them") {
  json d = document("offset10-model");
  d["solver"] = {{"name", "single-session-aux"}};
  host::Trainer trainer = make_trainer(d);
  // Before a step, the copy embeds as the model does.
  json by_reference = d;
  by_reference["solver"]["use_reference_model"] = true;
  host::Trainer other = make_trainer(by_reference);
  const at::Tensor neural = recording().neural();
  CHECK(at::equal(trainer.transform(neural), other.transform(neural)));
  CHECK(trainer.num_parameters() == 2 * count_trained(trainer.model()));

  REQUIRE(trainer.fit());
  const auto file = std::filesystem::temp_directory_path() / "grevy-aux-test.safetensors";
  trainer.save(file);
  const auto restored = host::Trainer::from_checkpoint(builtin_host(), file);
  CHECK(at::equal(restored.transform(neural), trainer.transform(neural)));
  other.load(file);
  CHECK_FALSE(at::allclose(other.transform(neural), trainer.transform(neural)));
  std::filesystem::remove(file);
}

TEST_CASE("reference models that do not fit are refused") {
  json d = document("offset10-model");
  d["reference_model"] = {{"name", "offset5-model"}, {"num_output", 4}};
  CHECK(error_of(d).find("/reference_model: the solver single-session has no use for it") !=
        std::string::npos);
  d["solver"] = {{"name", "single-session-aux"}};
  CHECK(error_of(d).find("must have the receptive field and num_output of offset10-model") !=
        std::string::npos);
  d["reference_model"] = {{"name", "offset10-model"}, {"num_output", 4}, {"num_units", 7}};
  CHECK(error_of(d) == "no error");
}

TEST_CASE("classifiers give features and scores") {
  for (const char* name : {"supervised1-model", "supervised10-model"}) {
    host::CreateOptions create;
    create.num_input = 3;
    const auto model =
        builtin_host().create_model(name, R"({"num_output": 4, "num_classes": 5})", create);
    CHECK_NOTHROW(host::check_model(*model, create));
    const auto outputs = model->forward_all(inp({6, 3, model->info().offset.length()}), 2);
    CHECK((outputs[0].sizes() == at::IntArrayRef{6, 4}));
    CHECK((outputs[1].sizes() == at::IntArrayRef{6, 5}));
    CHECK(outputs[0].min().item<float>() >= 0);
    const at::Tensor windows = inp({6, 3, model->info().offset.length()});
    CHECK(model->forward(windows).equal(outputs[0]));
    CHECK_THROWS_WITH(model->forward_all(windows, 3),
                      doctest::Contains("returns 2 tensor(s); asked for 3"));
  }
}

#include "experiment/schema.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/experiment.hpp>
#include <grevy/host/simulate.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::host;
using nlohmann::json;

namespace {

const Host& host_of_tests() {
  static const Host host([] {
    HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    return options;
  }());
  return host;
}

Experiment make(json document, const std::filesystem::path& file = "experiment") {
  return Experiment(host_of_tests(), std::move(document), file);
}

json minimal() { return {{"model", {{"name", "offset10-model"}}}}; }

json changed(const std::string& pointer, const json& value) {
  json document = minimal();
  document[json::json_pointer(pointer)] = value;
  return document;
}

struct Message {
  ErrorCode code = ErrorCode::internal;
  std::string text;
  bool has(const std::string& part) const { return text.find(part) != std::string::npos; }
};

template <class Body>
Message message_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

}  // namespace

TEST_CASE("a document in memory is checked and completed") {
  const Experiment experiment = make(minimal());
  CHECK(experiment.seed() == 0);
  CHECK(experiment.device() == "cpu");
  CHECK(experiment.num_steps() == 1000);
  CHECK(experiment.batch_size() == 512);
  CHECK(experiment.at("/model/num_units") == 32);
  CHECK(experiment.at("/model/num_output") == 8);
  CHECK(experiment.at("/criterion/name") == "InfoNCE");
  CHECK(experiment.at("/criterion/temperature") == 1.0);
  CHECK(experiment.at("/solver/name") == "single-session");
  CHECK(experiment.at("/optimizer/learning_rate") == 3e-4);
  CHECK(experiment.at("/sampling/conditional") == "time");
  CHECK(experiment.at("/data/train_fraction") == 0.8);
  CHECK(experiment.at("/evaluation/neighbours") == 25);
  CHECK(experiment.where("/seed") == "experiment: /seed: ");
  // What it completes to is an experiment itself, and means the same.
  CHECK(make(experiment.document()).document() == experiment.document());
  CHECK_NOTHROW(validate(experiment.document(), experiment_schema(host_of_tests()), "experiment"));
}

TEST_CASE("criterion options without a name are those of the default criterion") {
  json document = minimal();
  document["criterion"] = {{"temperature", 0.25}};
  document["solver"] = json::object();
  const Experiment experiment = make(document);
  CHECK(experiment.at("/criterion") == json{{"name", "InfoNCE"}, {"temperature", 0.25}});
  CHECK(experiment.at("/solver/name") == "single-session");
}

TEST_CASE("given values stay, defaults fill the rest of their object") {
  json document = minimal();
  document["model"]["num_units"] = 4;
  document["criterion"] = {{"name", "LearnableCosineInfoNCE"}, {"temperature", 0.5}};
  const Experiment experiment = make(document);
  CHECK(experiment.at("/model") ==
        json{{"name", "offset10-model"}, {"num_units", 4}, {"num_output", 8}, {"normalize", true}});
  CHECK(experiment.at("/criterion/temperature") == 0.5);
  CHECK(experiment.at("/criterion/min_temperature").is_null());
}

TEST_CASE("relative paths start from the experiment's folder") {
  json document = minimal();
  document["data"] = {{"neural", "../spikes.npy"},
                      {"labels", {{"a", {{"file", "a.npy"}}}, {"b", "/elsewhere/b.npy"}}}};
  const Experiment experiment = make(document, "/study/first/experiment.json");
  CHECK(experiment.at("/data/neural") == "/study/spikes.npy");
  CHECK(experiment.at("/data/labels/a/file") == "/study/first/a.npy");
  CHECK(experiment.at("/data/labels/b") == "/elsewhere/b.npy");
}

TEST_CASE("load reads a file, comments included, and makes changes in order") {
  const tests::TemporaryFolder folder;
  const auto file = folder.write("study.json",
                                 "{\"seed\": 1, // a comment\n"
                                 "\"optimizer\": {\"betas\": [0.9, 0.99]},\n"
                                 "\"model\": {\"name\": \"offset10-model\"}}");
  const Experiment experiment = Experiment::load(
      host_of_tests(), file,
      {"seed=2", "seed=3", "description=a=b, c", "training.num_steps=7", "optimizer.betas.0=0.5",
       "data.labels.a/b=labels.npy", "model={\"name\": \"offset1-model\"}", "model.num_units=2"});
  CHECK(experiment.seed() == 3);
  CHECK(experiment.file() == file);
  CHECK(experiment.at("/description") == "a=b, c");
  CHECK(experiment.num_steps() == 7);
  CHECK(experiment.at("/optimizer/betas") == json{0.5, 0.99});
  CHECK(experiment.at("/model/name") == "offset1-model");
  CHECK(experiment.at("/model/num_units") == 2);
  CHECK(experiment.at("/data/labels/a~1b") == (folder / "labels.npy").string());
}

TEST_CASE("load's errors name the file or the change") {
  const tests::TemporaryFolder folder;
  const auto file = folder.write("study.json", minimal().dump());
  const auto torn = folder.write("torn.json", "{\"seed\":\n 1,");
  const auto load = [&](const std::filesystem::path& path, const std::string& change = "seed=1") {
    return message_of([&] { Experiment::load(host_of_tests(), path, {change}); });
  };
  CHECK(load(folder / "no.json").code == ErrorCode::not_found);
  CHECK(load(folder / "no.json").has("no.json: no such file"));
  CHECK(load(torn).code == ErrorCode::invalid_value);
  CHECK(load(torn).has("torn.json: is not JSON: "));
  CHECK(load(torn).has("line 2, column"));
  CHECK(load(file, "seed").has("--set seed: must be of the form a.b=value"));
  CHECK(load(file, "=1").has("--set =1: must be of the form a.b=value"));
  CHECK(load(file, "model.name.x=1").has("nothing to set at /model/name/x"));
  CHECK(load(file, "description=\xff").has("is not UTF-8"));
  CHECK(load(file, "seed=x").has("study.json: /seed: found \"x\" (a string); must be an integer"));
}

TEST_CASE("every error is one line with the pointer of the place") {
  struct Case {
    std::string pointer;
    json value;
    ErrorCode code;
    std::string text;
  };
  const Case cases[] = {
      {"/sed", 1, ErrorCode::invalid_value,
       "experiment: /sed: unknown key; did you mean \"seed\"?"},
      {"/seed", "1", ErrorCode::invalid_type, "experiment: /seed: found \"1\" (a string); must be"},
      {"/seed", -1, ErrorCode::invalid_value, "experiment: /seed: found -1; must be"},
      {"/training", 3, ErrorCode::invalid_type, "experiment: /training: found 3"},
      {"/training/batch_size", 0, ErrorCode::invalid_value, "experiment: /training/batch_size: "},
      {"/model/name", "offset9-model", ErrorCode::not_found,
       "experiment: /model/name: there is no"},
      {"/model/num_units", 2.5, ErrorCode::invalid_type, "experiment: /model/num_units: found 2.5"},
      {"/model/temperature", 1, ErrorCode::invalid_value,
       "experiment: /model/temperature: unknown"},
      {"/model", json::object(), ErrorCode::invalid_value, "experiment: /model: the key"},
      {"/criterion",
       {{"name", "InfoNCE"}, {"temperature", 0}},
       ErrorCode::invalid_value,
       "experiment: /criterion/temperature: found 0; must be a number above 0"},
      {"/criterion/name", "offset10-model", ErrorCode::not_found,
       "experiment: /criterion/name: there is no criterion"},
      {"/solver/name", "", ErrorCode::invalid_value, "experiment: /solver/name: found \"\""},
      {"/device", "gpu", ErrorCode::invalid_value, "experiment: /device: device \"gpu\""},
      {"/data/neural", 3, ErrorCode::invalid_type, "experiment: /data/neural: found 3"},
      {"/data/labels",
       {{"a", {{"key", "x"}}}},
       ErrorCode::invalid_value,
       "experiment: /data/labels/a: the key \"file\" is missing"},
      {"/optimizer/betas", {0.9}, ErrorCode::invalid_value, "experiment: /optimizer/betas: found"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.pointer);
    const Message message = message_of([&] { make(changed(c.pointer, c.value)); });
    CAPTURE(message.text);
    CHECK(message.code == c.code);
    CHECK(message.text.rfind(c.text, 0) == 0);
    CHECK_FALSE(message.has("\n"));
  }
}

TEST_CASE("a document of another type, and components that are none") {
  CHECK(message_of([] { make(json::array()); }).text ==
        "experiment: found [] (an array); must be an object");
  const Message message = message_of([] { make(changed("/solver", 3)); });
  CHECK(message.code == ErrorCode::invalid_type);
  CHECK(message.has("experiment: /solver: found 3 (an integer); must be an object"));
}

TEST_CASE("sessions stand in the place of one recording's files") {
  json document = minimal();
  document["data"] = {{"sessions", {{{"neural", "a.npy"}}}}, {"labels", json::object()}};
  CHECK_NOTHROW(make(document));
  document["data"]["labels"]["x"] = "x.npy";
  CHECK(message_of([&] { make(document); }).text ==
        "experiment: /data/labels: found beside /data/sessions, which stands in its place");
}

TEST_CASE("options of plugins that cannot be checked, and plugins that cannot be used") {
  HostOptions options;
  for (const char* name : {"refers", "other-abi"})
    options.plugin_path.push_back(std::filesystem::path(GREVY_TEST_PLUGINS) / "bad" / name);
  options.plugin_path.push_back(GREVY_BUILTIN_PLUGINS);
  options.search_default_folders = false;
  const Host host(options);
  const Message message = message_of([&] {
    Experiment(host, changed("/criterion", {{"name", "refers"}}), "experiment");
  });
  CHECK(message.code == ErrorCode::incompatible);
  CHECK(
      message.text ==
      "experiment: /criterion: the schema itself is wrong: its keyword \"$ref\" is not supported");
  const std::string schema = experiment_schema(host).dump();
  CHECK(schema.find("zoo.refers/refers") != std::string::npos);
  CHECK(schema.find("other-abi") == std::string::npos);
}

TEST_CASE("without plugins the schema lets a component have any name") {
  HostOptions options;
  options.search_default_folders = false;
  const json model = experiment_schema(Host(options)).at("properties").at("model");
  CHECK(model.count("anyOf") == 0);
  CHECK(model.at("properties").at("name").at("type") == "string");
}

TEST_CASE("a recording is loaded with the labels that the experiment names") {
  const tests::TemporaryFolder folder;
  SimulationOptions options;
  options.num_samples = 200;
  options.num_neurons = 4;
  write_recording(simulate(options), folder.path());
  json document = minimal();
  document["data"] = {{"neural", "spikes.npy"},
                      {"labels",
                       {{"position", "position.npy"},
                        {"direction", "direction.npy"},
                        {"heading", {{"file", "direction.npy"}, {"type", "continuous"}}}}}};
  const auto file = folder / "experiment.json";
  const Recording recording = load_recordings(make(document, file)).front();
  CHECK(recording.num_samples() == 200);
  CHECK(recording.num_channels() == 4);
  CHECK_FALSE(recording.label("position").discrete);
  CHECK(recording.label("direction").discrete);
  CHECK_FALSE(recording.label("heading").discrete);

  document["data"]["labels"]["gone"] = "gone.npy";
  const Message gone = message_of([&] { load_recordings(make(document, file)); });
  CHECK(gone.code == ErrorCode::not_found);
  CHECK(gone.has("experiment.json: /data/labels/gone: "));
  const Message none = message_of([&] { load_recordings(make(minimal(), file)); });
  CHECK(none.has("experiment.json: /data: the key \"neural\" is missing"));
}

TEST_CASE("the training part is the share of the samples, at least one") {
  const Recording recording(at::zeros({10, 1}));
  struct Case {
    double share;
    std::int64_t wanted;
  };
  for (const Case& c : {Case{1, 10}, Case{0.8, 8}, Case{0.75, 7}, Case{0.1, 1}, Case{0.01, 1}}) {
    CAPTURE(c.share);
    CHECK(num_train_samples(make(changed("/data/train_fraction", c.share)), recording) == c.wanted);
  }
}

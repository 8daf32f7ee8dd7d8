// Checkpoints of CEBRA in Python become runs, and runs become TorchScript and safetensors.
// tests/data/torch says what is in the checkpoints.
#include "files/cebra_checkpoint.hpp"
#include "training/checkpoint.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/exchange.hpp>
#include <grevy/host/run.hpp>
#include <grevy/host/safetensors.hpp>
#include <grevy/host/simulate.hpp>
#include <grevy/host/trainer.hpp>

#include <doctest/doctest.h>
#include <torch/csrc/jit/serialization/import.h>

#include <set>

using namespace grevy;
using namespace grevy::host;
using grevy::tests::file_bytes;
using grevy::tests::TemporaryFolder;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

Host make_host(const std::vector<std::string>& folders) {
  HostOptions options;
  options.plugin_path = {folders.begin(), folders.end()};
  options.search_default_folders = false;
  return Host(options);
}

Host& host_of_tests() {
  static Host host = make_host({GREVY_BUILTIN_PLUGINS});
  return host;
}

fs::path data_file(const std::string& name) { return fs::path(GREVY_TEST_DATA) / "torch" / name; }

json read_json(const fs::path& file) { return json::parse(file_bytes(file)); }

std::pair<ErrorCode, std::string> error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {ErrorCode::internal, "no error"};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// (time, channels), different at every place.
at::Tensor samples(std::int64_t time, std::int64_t channels) {
  return at::arange(time * channels, at::kDouble)
      .mul_(0.61)
      .sin_()
      .to(at::kFloat)
      .reshape({time, channels});
}

at::Tensor embed(const Trainer& trainer, std::int64_t time, std::int64_t session = 0,
                 bool pad = true) {
  TransformOptions options;
  options.session = session;
  options.pad = pad;
  return trainer.transform(samples(time, trainer.model_info(session).num_input), options);
}

const NamedTensor& tensor_of(const NamedTensors& tensors, const std::string& name) {
  for (const NamedTensor& t : tensors)
    if (t.name == name) return t;
  throw std::runtime_error("no tensor " + name);
}

// ---- import -------------------------------------------------------------------------------------

// `how`: the encoder's name, or an experiment.
ImportReport import(const TemporaryFolder& folder, const std::string& file, const json& how = "") {
  ImportOptions options;
  options.folder = folder / "run";
  if (how.is_string())
    options.model = how.get<std::string>();
  else
    options.experiment = Experiment(host_of_tests(), how, folder / "given.json");
  return import_checkpoint(host_of_tests(), data_file(file), options);
}

Trainer load(const TemporaryFolder& folder) {
  return Trainer::from_checkpoint(host_of_tests(), folder / "run/checkpoint.safetensors");
}

// A Trainer of the imported experiment with the file's tensors put in by hand.
Trainer by_hand(const Trainer& imported, const StoredTensors& model,
                const std::vector<std::int64_t>& num_inputs) {
  Trainer trainer = Trainer::without_data(host_of_tests(), imported.experiment(), num_inputs);
  NamedTensors targets;
  for (const NamedTensor& t : trainer.tensors())
    if (t.name.rfind("model.", 0) == 0) targets.push_back({t.name.substr(6), t.tensor, t.trained});
  restore(targets, model);
  return trainer;
}

void check_embeds_as_the_file(const std::string& file, const std::string& model,
                              const std::vector<std::int64_t>& num_inputs) {
  const TemporaryFolder folder;
  import(folder, file, model);
  const Trainer imported = load(folder);
  const Trainer expected =
      by_hand(imported, read_cebra_checkpoint(data_file(file)).model, num_inputs);
  REQUIRE(imported.num_sessions() == static_cast<std::int64_t>(num_inputs.size()));
  for (std::int64_t s = 0; s < imported.num_sessions(); ++s) {
    CHECK(imported.model_info(s).num_input == num_inputs[static_cast<std::size_t>(s)]);
    CHECK(embed(imported, 30, s).equal(embed(expected, 30, s)));
  }
}

}  // namespace

TEST_CASE("an imported encoder embeds with the file's tensors") {
  check_embeds_as_the_file("solver.pt", "offset10-model", {2});
  check_embeds_as_the_file("estimator.pt", "", {3});
  check_embeds_as_the_file("sessions.pt", "offset5-model", {2, 3});
}

TEST_CASE("the optimiser's state and the criterion come along") {
  const TemporaryFolder folder;
  const ImportReport report = import(folder, "solver.pt", "offset10-model");
  CHECK(report.document.at("optimizer") == true);
  CHECK(report.document.at("tensors") == 11);
  CHECK(report.document.at("step") == 2);
  CHECK(report.document.at("form") == "solver");
  CHECK(report.document.at("version") == "0.6.1");
  CHECK(contains(report.report(),
                 "solver's state of CEBRA 0.6.1\noffset10-model: 11 tensors, 2 "
                 "steps, with the optimiser's state\nassumed"));
  const json info = read_checkpoint_info(folder / "run/checkpoint.safetensors");
  CHECK(info.at("step") == 2);
  CHECK(info.at("optimizer_steps") == 2);
  // Parameter i of the file has the moments i/8, (i + 1)/8, ... and 2i/8, (2i + 1)/8, ...; the
  // fourth is the bias of the second convolution, the last the criterion's.
  const Trainer trainer = load(folder);
  const NamedTensors state = trainer.state();
  const auto check = [&](const std::string& name, const at::Tensor& expected) {
    CAPTURE(name);
    CHECK(tensor_of(state, name).tensor.equal(expected));
  };
  check("optimizer.exp_avg/model.net.2.module.0.bias", at::tensor({3 / 8.f, 4 / 8.f}));
  check("optimizer.exp_avg_sq/model.net.2.module.0.bias", at::tensor({6 / 8.f, 7 / 8.f}));
  check("optimizer.exp_avg/criterion.log_inverse_temperature", at::tensor(10 / 8.f).squeeze());
  check("criterion.log_inverse_temperature", at::tensor(0.75f).squeeze());
}

TEST_CASE("a run folder is written") {
  const TemporaryFolder folder;
  import(folder, "solver.pt", "offset10-model");
  CHECK(file_bytes(folder / "run/log.jsonl") ==
        "{\"neg\":4.0,\"pos\":0.5,\"step\":0,\"temperature\":1,\"total\":4.5}\n"
        "{\"neg\":3.5,\"pos\":0.25,\"step\":1,\"temperature\":1,\"total\":3.75}\n");
  const json experiment = read_json(folder / "run/experiment.json");
  CHECK(experiment == load(folder).experiment().document());
  CHECK(experiment.at("optimizer").at("learning_rate") == 0.01);
  const json summary = read_json(folder / "run/summary.json");
  CHECK(summary.at("finished") == true);
  CHECK(summary.at("step") == 2);
  CHECK(summary.at("plugins").size() == 3);
  CHECK(summary.at("imported").at("file") == data_file("solver.pt").string());
  CHECK(summary.at("imported").at("assumed").size() == 3);
}

TEST_CASE("an estimator's file says what was trained") {
  const TemporaryFolder folder;
  const ImportReport report = import(folder, "estimator.pt");
  const json experiment = read_json(folder / "run/experiment.json");
  CHECK(experiment.at("model").at("name") == "offset1-model");
  CHECK(experiment.at("model").at("num_output") == 2);
  CHECK(experiment.at("training").at("num_steps") == 10);
  CHECK(experiment.at("training").at("batch_size") == 512);
  CHECK(experiment.at("device") == "cpu");
  CHECK(read_json(folder / "run/summary.json").at("finished") == false);
  REQUIRE(report.document.at("assumed").size() == 1);
  CHECK(contains(report.document.at("assumed")[0], "no moments yet of model.net.3.weight"));
}

TEST_CASE("an imported run goes on where it stopped") {
  const TemporaryFolder folder;
  SimulationOptions simulation;
  simulation.num_samples = 200;
  simulation.num_neurons = 2;
  write_recording(simulate(simulation), folder / "recording");
  const json document = {
      {"threads", 1},
      {"data",
       {{"neural", "recording/spikes.npy"}, {"labels", {{"position", "recording/position.npy"}}}}},
      {"model", {{"name", "offset10-model"}, {"num_units", 2}, {"num_output", 2}}},
      {"criterion", {{"name", "LearnableCosineInfoNCE"}}},
      {"training", {{"num_steps", 5}, {"batch_size", 16}}},
      {"evaluation", {{"num_batches", 2}}}};
  const ImportReport report = import(folder, "solver.pt", document);
  CHECK(report.document.at("assumed").empty());
  const Experiment experiment = Experiment::load(host_of_tests(), folder / "run/experiment.json");
  RunOptions options;
  options.folder = folder / "run";
  options.resume = true;
  std::vector<std::int64_t> steps;
  options.on_step = [&](const StepReport& step) { steps.push_back(step.step); };
  CHECK(run(host_of_tests(), experiment, options).finished);
  CHECK(steps == std::vector<std::int64_t>{2, 3, 4});
  CHECK(contains(file_bytes(folder / "run/log.jsonl"), "\"total\":3.75}\n{"));
}

TEST_CASE("a wrapped encoder takes an encoder's tensors") {
  const TemporaryFolder folder;
  const json inner = {{"name", "offset5-model"}, {"num_units", 2}, {"num_output", 2}};
  import(folder, "sessions.pt",
         {{"model",
           { {"name", "MultiobjectiveModel"},
             {"module", inner},
             { "dimensions",
               { 1,
                 2 } } }},
          { "solver",
            {
              { "name",
                "multi-session" }
            } }});
  const Trainer trainer = load(folder);
  const StoredTensors file = read_cebra_checkpoint(data_file("sessions.pt")).model;
  const at::Tensor& weight = tensor_of(trainer.tensors(), "model.1.module.net.3.weight").tensor;
  StoredTensors stored;
  store({{"weight", weight, true}}, stored);
  CHECK(stored.tensors.at("weight").bytes == file.tensors.at("1.net.3.weight").bytes);
}

TEST_CASE("what does not fit is refused by name, and nothing is written") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& file, const json& how, const std::string& text) {
    CAPTURE(text);
    const auto error = error_of([&] { import(folder, file, how); });
    CHECK_MESSAGE(contains(error.second, text), error.second);
    CHECK(contains(error.second, file));
    CHECK_FALSE(fs::exists(folder / "run"));
    return error.first;
  };
  const auto model = [](const std::string& name, int units, int output) {
    return json{{"name", name}, {"num_units", units}, {"num_output", output}};
  };
  CHECK(refused("solver.pt", "offset5-model",
                "solver.pt: there is no model tensor \"net.3.bias\", which offset5-model has") ==
        ErrorCode::invalid_value);
  CHECK(refused("solver.pt", "offset10-modell", "/model/name: there is no model") ==
        ErrorCode::not_found);
  refused("solver.pt", "", "name it with --model");
  refused("solver.pt", json{{"model", model("offset10-model", 3, 2)}},
          "the model tensor \"net.0.bias\" is F32 [2]; needed: F32 [3]");
  refused("solver.pt", json{{"model", model("offset10-model", 2, 2)}},
          "the criterion tensor \"log_inverse_temperature\" is none of the experiment's criterion");
  refused("sessions.pt",
          json{{"model", model("offset5-model", 2, 2)},
               {"criterion", {{"name", "LearnableCosineInfoNCE"}}},
               {"solver", {{"name", "multi-session"}}}},
          "there is no criterion tensor \"log_inverse_temperature\", which LearnableCosineInfoNCE");
  refused("sessions.pt", json{{"model", model("offset5-model", 2, 2)}},
          "found 2; the solver single-session works with one");
  refused("sessions.pt",
          json{{"model", model("offset5-model", 2, 2)}, {"solver", {{"name", "unified-session"}}}},
          "the file holds encoders of 2 session(s); the experiment has 1");
  refused(
      "sessions.pt",
      json{{"model", model("offset5-model", 2, 2)}, {"solver", {{"name", "multi-session-aux"}}}},
      "there is no tensor for \"reference_model.0.net.0.weight\", which the solver "
      "multi-session-aux needs");
  refused("views.pt", "offset10-model", "neither \"n_features\" nor a tensor \"net.N.weight\"");
  refused("command.pt", "offset10-model", "no code is run");
}

TEST_CASE("what of an optimiser does not fit is left out and said") {
  const TemporaryFolder folder;
  const json document = {
      {"model", {{"name", "offset10-model"}, {"num_units", 2}, {"num_output", 2}}},
      {"criterion", {{"name", "LearnableCosineInfoNCE"}}},
      {"optimizer", {{"amsgrad", true}}}};
  const ImportReport report = import(folder, "solver.pt", document);
  CHECK(report.document.at("optimizer") == false);
  CHECK(report.document.at("step") == 2);
  CHECK(report.document.at("left_out") ==
        json{"the optimiser's state: the experiment is with amsgrad"});
  CHECK(read_checkpoint_info(folder / "run/checkpoint.safetensors").at("optimizer_steps") == 0);
}

TEST_CASE("a trainer without data embeds, but does not train") {
  const Experiment experiment(host_of_tests(), {{"model", {{"name", "offset10-model"}}}});
  Trainer trainer = Trainer::without_data(host_of_tests(), experiment, {4});
  CHECK(embed(trainer, 20).sizes() == at::IntArrayRef({20, 8}));
  CHECK(trainer.state().size() == 3 * trainer.tensors().size());
  trainer.set_steps(7, 3);
  CHECK(trainer.step() == 7);
  CHECK(contains(error_of([&] { trainer.fit(); }).second, "no recording to train on"));
  CHECK(error_of([&] { trainer.set_steps(-1, 3); }).second ==
        "found -1 steps and 3 of the optimiser; must be at least 0");
  CHECK(error_of([&] { Trainer::without_data(host_of_tests(), experiment, {}); }).first ==
        ErrorCode::invalid_value);
}

TEST_CASE("an import without a folder, and one of a criterion that cannot be made") {
  CHECK(error_of([] { import_checkpoint(host_of_tests(), data_file("solver.pt"), {}); }).second ==
        data_file("solver.pt").string() + ": an imported run needs a folder");
  Host host = make_host(
      {GREVY_BUILTIN_PLUGINS, std::string(GREVY_TEST_PLUGINS) + "/bad/throws-in-constructor"});
  const TemporaryFolder folder;
  ImportOptions options;
  options.folder = folder / "run";
  options.experiment = Experiment(host, {{"model", {{"name", "offset10-model"}}},
                                         {"criterion", {{"name", "throws-in-constructor"}}}});
  const std::string message =
      error_of([&] { import_checkpoint(host, data_file("solver.pt"), options); }).second;
  CHECK(message.rfind(data_file("solver.pt").string() + ": ", 0) == 0);
  CHECK_MESSAGE(contains(message, "no luck today"), message);
  CHECK_FALSE(fs::exists(options.folder));
}

TEST_CASE("a run in the folder is replaced only by force") {
  const TemporaryFolder folder;
  import(folder, "solver.pt", "offset10-model");
  folder.write("run/embedding.npy", "old");
  folder.write("run/notes.txt", "mine");
  const auto [code, message] = error_of([&] { import(folder, "estimator.pt"); });
  CHECK(code == ErrorCode::invalid_value);
  CHECK(message ==
        (folder / "run").string() + ": exists and is not empty; use --force to replace the run");
  ImportOptions options;
  options.folder = folder / "run";
  options.force = true;
  import_checkpoint(host_of_tests(), data_file("estimator.pt"), options);
  CHECK(load(folder).model().component() == "offset1-model");
  CHECK_FALSE(fs::exists(folder / "run/embedding.npy"));
  CHECK(file_bytes(folder / "run/notes.txt") == "mine");
  options.folder = folder.write("file", "");
  CHECK(contains(error_of([&] {
                   import_checkpoint(host_of_tests(), data_file("estimator.pt"), options);
                 }).second,
                 "is a file; a run needs a folder"));
}

// ---- export -------------------------------------------------------------------------------------

namespace {

// Stores an untrained run and returns it.
Trainer store_run(Host& host, const TemporaryFolder& folder, const json& document,
                  const std::vector<std::int64_t>& num_inputs) {
  Trainer trainer = Trainer::without_data(host, Experiment(host, document), num_inputs);
  trainer.save(folder / "checkpoint.safetensors");
  return trainer;
}

std::vector<std::string> export_to(Host& host, const TemporaryFolder& folder,
                                   std::optional<std::int64_t> session = std::nullopt) {
  ExportOptions options;
  options.folder = folder / "export";
  options.session = session;
  std::vector<std::string> names;
  for (const fs::path& file : export_run(host, folder.path(), options)) {
    CHECK(file.parent_path() == options.folder);
    names.push_back(file.filename().string());
  }
  return names;
}

// What a script makes of all windows of some samples.
at::Tensor embed_windows(torch::jit::Module& script, const ModelInfo& info, std::int64_t time) {
  const std::int64_t length = info.offset.length();
  CHECK(script.attr("offset_left").toInt() == info.offset.left);
  CHECK(script.attr("offset_right").toInt() == info.offset.right);
  return script
      .forward({samples(time, info.num_input).unfold(0, length, info.resample_factor).contiguous()})
      .toTensor();
}

at::Tensor embed_sequence(torch::jit::Module& script, const ModelInfo& info, std::int64_t time) {
  const at::Tensor rows = samples(time, info.num_input).t().unsqueeze(0).contiguous();
  return script.forward({rows}).toTensor()[0].t();
}

void check_close(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  CHECK(at::allclose(found, expected, 1e-5, 1e-5));
}

torch::jit::Module load_script(const fs::path& file) { return torch::jit::load(file.string()); }

// Every built-in encoder that needs no options, families with the number 3.
std::vector<std::string> encoder_names() {
  std::vector<std::string> names;
  for (const PluginManifest& plugin : host_of_tests().plugins())
    for (const ComponentManifest& component : plugin.components) {
      const json schema = json::parse(component.options_schema);
      if (component.kind != Kind::model || !schema.value("required", json::array()).empty())
        continue;
      std::string name = component.name;
      for (std::size_t brace; (brace = name.find('{')) != std::string::npos;)
        name.replace(brace, name.find('}') - brace + 1, "3");
      names.push_back(name);
    }
  return names;
}

void check_export(const json& model) {
  CAPTURE(model.at("name"));
  const TemporaryFolder folder;
  const Trainer trainer = store_run(host_of_tests(), folder, {{"model", model}}, {4});
  const ModelInfo& info = trainer.model_info();
  CHECK(export_to(host_of_tests(), folder) ==
        std::vector<std::string>{"model.safetensors", "encoder.pt"});
  torch::jit::Module script = load_script(folder / "export/encoder.pt");
  const std::int64_t time = info.offset.length() + 21;
  const at::Tensor expected = embed(trainer, time, 0, false);
  check_close(embed_windows(script, info, time), expected);
  if (info.convolutional) check_close(embed_sequence(script, info, time), expected);
  std::set<std::string> parameters, expected_names;
  for (const auto& parameter : script.named_parameters()) parameters.insert(parameter.name);
  const StoredTensors file = read_safetensors(folder / "export/model.safetensors");
  CHECK(file.metadata.at("format") == "pt");
  for (const NamedTensor& t : trainer.model().tensors()) {
    if (!t.trained) continue;
    expected_names.insert(t.name);
    StoredTensors stored;
    store({t}, stored);
    REQUIRE(file.tensors.count(t.name) == 1);
    CHECK(file.tensors.at(t.name).bytes == stored.tensors.at(t.name).bytes);
  }
  CHECK(parameters == expected_names);
}

}  // namespace

TEST_CASE("every built-in encoder is the same as TorchScript") {
  const std::vector<std::string> names = encoder_names();
  CHECK(names.size() > 25);
  for (const std::string& name : names)
    check_export({{"name", name}, {"num_units", 6}, {"num_output", 3}});
  const json inner = {{"name", "offset5-model"}, {"num_output", 3}};
  check_export({{"name", "MultiobjectiveModel"}, {"module", inner}, {"dimensions", {1, 3}}});
  check_export({{"name", "SubspaceMultiobjectiveModel"},
                {"module", inner},
                {"feature_ranges", {{0, 2}, {2, 3}}},
                {"renormalize", true}});
}

TEST_CASE("a layer that is applied several times is exported as often, and imported once") {
  const TemporaryFolder folder;
  const Trainer trainer = store_run(
      host_of_tests(), folder,
      {{"model",
        {{"name", "offset1-model-mse-resnet-3layers"}, {"num_units", 4}, {"num_output", 2}}}},
      {3});
  export_to(host_of_tests(), folder);
  const StoredTensors file = read_safetensors(folder / "export/model.safetensors");
  CHECK(file.tensors.size() == 12);
  for (const char* name : {"net.5.module.weight", "net.7.module.weight"})
    CHECK(file.tensors.at(name).bytes == file.tensors.at("net.3.module.weight").bytes);
}

TEST_CASE("sessions are exported together or one by one") {
  const TemporaryFolder folder;
  const Trainer trainer =
      store_run(host_of_tests(), folder,
                {{"model", {{"name", "offset5-model"}, {"num_units", 3}, {"num_output", 2}}},
                 {"criterion", {{"name", "LearnableCosineInfoNCE"}, {"temperature", 0.5}}},
                 {"solver", {{"name", "multi-session"}}}},
                {4, 3});
  CHECK(export_to(host_of_tests(), folder) ==
        std::vector<std::string>{"model.safetensors", "criterion.safetensors", "encoder_0.pt",
                                 "encoder_1.pt"});
  StoredTensors file = read_safetensors(folder / "export/model.safetensors");
  CHECK(file.tensors.size() == 12);
  CHECK(file.tensors.at("1.net.0.weight").shape == std::vector<std::int64_t>{3, 3, 2});
  CHECK(read_safetensors(folder / "export/criterion.safetensors")
            .tensors.count("log_inverse_temperature") == 1);
  const std::vector<std::string> alone = export_to(host_of_tests(), folder, 1);
  CHECK(alone ==
        std::vector<std::string>{"model.safetensors", "criterion.safetensors", "encoder.pt"});
  file = read_safetensors(folder / "export/model.safetensors");
  CHECK(file.tensors.size() == 6);
  CHECK(file.tensors.at("net.0.weight").shape == std::vector<std::int64_t>{3, 3, 2});
  for (const char* name : {"encoder_1.pt", "encoder.pt"}) {
    torch::jit::Module script = load_script(folder / "export" / name);
    check_close(embed_sequence(script, trainer.model_info(1), 40), embed(trainer, 40, 1, false));
  }
  const auto [code, message] = error_of([&] { export_to(host_of_tests(), folder, 2); });
  CHECK(code == ErrorCode::out_of_range);
  CHECK(contains(message, "session 2 does not exist; there are 2"));
}

TEST_CASE("the script of a model with a buffer has it") {
  Host host = make_host({GREVY_BUILTIN_PLUGINS, std::string(GREVY_TEST_PLUGINS) + "/good"});
  const TemporaryFolder folder;
  Trainer trainer = store_run(host, folder, {{"model", {{"name", "centred"}}}}, {4});
  tensor_of(trainer.tensors(), "model.mean").tensor.fill_(0.5);
  trainer.save(folder / "checkpoint.safetensors");
  export_to(host, folder);
  torch::jit::Module script = load_script(folder / "export/encoder.pt");
  CHECK(script.named_buffers().size() == 1);
  check_close(embed_windows(script, trainer.model_info(), 9), embed(trainer, 9));
}

TEST_CASE("an encoder that a script cannot repeat is refused, and nothing is written") {
  Host host =
      make_host({GREVY_BUILTIN_PLUGINS, std::string(GREVY_TEST_PLUGINS) + "/bad/baked-size"});
  const TemporaryFolder folder;
  store_run(host, folder, {{"model", {{"name", "baked-size"}}}}, {4});
  const auto error = error_of([&] { export_to(host, folder); });
  CHECK(error.first == ErrorCode::unimplemented);
  CHECK_MESSAGE(contains(error.second,
                         "the encoder baked-size cannot be written as TorchScript: it does "
                         "something else for windows of [3, 4, 1] than for those it was traced "
                         "with, [2, 4, 1]"),
                error.second);
  CHECK_FALSE(fs::exists(folder / "export"));
  store_run(host, folder,
            {{"model", {{"name", "offset1-model"}, {"num_units", 4}, {"num_output", 2}}},
             {"reference_model", {{"name", "offset1-model"}, {"num_units", 5}, {"num_output", 2}}},
             {"solver", {{"name", "single-session-aux"}, {"use_reference_model", true}}}},
            {4});
  CHECK(contains(error_of([&] { export_to(host, folder); }).second,
                 "the solver embeds with something else than this encoder"));
}

TEST_CASE("encoders whose tensors or sizes no script can have, or that fail") {
  Host host =
      make_host({GREVY_BUILTIN_PLUGINS, std::string(GREVY_TEST_PLUGINS) + "/bad/unscriptable"});
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& model) {
    store_run(host, folder, {{"model", {{"name", model}}}}, {4});
    const std::string message = error_of([&] { export_to(host, folder); }).second;
    CHECK_FALSE(contains(message, "\n"));
    CHECK_FALSE(fs::exists(folder / "export"));
    return message;
  };
  const std::string begin = " cannot be written as TorchScript: ";
  CHECK(contains(refused("named-training"),
                 "named-training" + begin + "its tensors cannot be parts of modules: "));
  CHECK(contains(refused("counted-rows"),
                 "counted-rows" + begin + "it does something else for windows of [3, 4, 1]"));
  CHECK(contains(refused("no-pairs"), "no-pairs (zoo.unscriptable) forward: found two windows"));
}

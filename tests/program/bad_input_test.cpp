// What a person gets wrong: each mistake ends in one line that says where it is, what was found and
// what is allowed, and leaves nothing behind.
#include "program.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>
#include <zip.h>

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace grevy::tests;

namespace {

struct Case {
  Arguments arguments;             // added to the command's
  std::vector<std::string> parts;  // of the line
  int code = 2;
};

void check_refused(const Workspace& workspace, Arguments arguments, const Case& c) {
  arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
  const Outcome outcome = workspace.grevy(arguments);
  std::string shown;
  for (const std::string& word : arguments) shown += word + " ";
  CAPTURE(shown);
  CAPTURE(outcome.err);
  CHECK(outcome.code == c.code);
  CHECK(outcome.out.empty());
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rfind("grevy: ", 0) == 0);
  for (const std::string& part : c.parts) CHECK_MESSAGE(contains(found[0], part), part);
}

Case set(const std::string& change, std::vector<std::string> parts) {
  return {{"--set", change}, std::move(parts)};
}

// Cases of `grevy run experiment.json`, none of which may leave a run folder.
void check_runs(const Workspace& workspace, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    check_refused(workspace, {"run", "experiment.json", "--out", "run"}, c);
    CHECK_FALSE(workspace.has("run"));
  }
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + data;
}

void write_npz(const std::filesystem::path& file, const std::vector<std::string>& keys,
               const std::string& member) {
  int problem = 0;
  zip_t* archive = zip_open(file.c_str(), ZIP_CREATE | ZIP_EXCL, &problem);
  REQUIRE(archive != nullptr);
  for (const std::string& key : keys) {
    zip_source_t* source = zip_source_buffer(archive, member.data(), member.size(), 0);
    REQUIRE(zip_file_add(archive, (key + ".npy").c_str(), source, 0) >= 0);
  }
  REQUIRE(zip_close(archive) == 0);
}

void write_floats(const std::filesystem::path& file, std::int64_t rows, std::int64_t columns,
                  std::int64_t odd_place = -1, float odd = 0) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns), 0.5f);
  if (odd_place >= 0) values[static_cast<std::size_t>(odd_place)] = odd;
  grevy::host::write_npy(file, {rows, columns}, values.data());
}

}  // namespace

TEST_CASE("mistakes in the command line") {
  const Workspace workspace;
  workspace.write_experiment();
  workspace.write("text.so", "no library");
  const std::vector<Case> cases = {
      {{}, {"subcommand is required", "grevy --help"}},
      {{"trian"}, {"trian", "grevy --help"}},
      {{"plugins", "lst"}, {"lst", "grevy --help"}},
      {{"run"}, {"file is required"}},
      {{"run", "experiment.json", "--outt", "x"}, {"--outt"}},
      {{"run", "experiment.json", "--resume", "--force"}, {"--resume", "--force"}},
      {{"run", "nothing.json"}, {"nothing.json: no such file"}},
      {{"run", "experiment.json", "--plugin-path", "nothing"},
       {"nothing: no such plugin folder or file"}},
      {{"run", "experiment.json", "--plugin-path", "text.so"},
       {"text.so: is not an ELF shared library"}},
      {{"plugins", "info", "nothing"}, {"\"nothing\"", "grevy plugins list"}},
      {{"simulate", "--out", "x", "--samples", "5"}, {"num_samples", "5", "100"}},
      {{"simulate", "--out", "x", "--samples", "many"}, {"--samples", "many"}},
      {{"schema", "-o", "nothing/schema.json"}, {"nothing/schema.json: cannot be written"}, 3},
  };
  for (const Case& c : cases) check_refused(workspace, {}, c);
  CHECK_FALSE(workspace.has("runs"));
  CHECK_FALSE(workspace.has("x"));
}

TEST_CASE("mistakes in the experiment's text") {
  const Workspace workspace;
  const std::vector<std::pair<std::string, std::vector<std::string>>> texts = {
      {"{\"seed\": 3,\n \"model\"", {"is not JSON", "line 2, column"}},
      {"", {"is not JSON"}},
      {"[1, 2]", {"found [1, 2] (an array); must be an object"}},
      {"{}", {"the key \"model\" is missing"}},
      {std::string(100000, '['), {"nested deeper than 64 levels"}},
  };
  for (const auto& [text, parts] : texts) {
    workspace.write("experiment.json", text);
    std::vector<std::string> wanted = parts;
    wanted.emplace_back("experiment.json: ");
    check_runs(workspace, {{{}, wanted}});
  }
}

TEST_CASE("mistakes in the experiment's values") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::string file = "experiment.json: ";
  check_runs(
      workspace,
      {
          set("trainin.num_steps=3",
              {file + "/trainin: unknown key; did you mean \"training\"?", "optimizer"}),
          set("training.num_step=3", {file + "/training/num_step: unknown key", "\"num_steps\"?"}),
          set("training.num_steps=abc",
              {file + "/training/num_steps: found \"abc\" (a string); must be an integer of at "
                      "least 1"}),
          set("training.num_steps=0", {file + "/training/num_steps: found 0; must be"}),
          set("optimizer.betas=[0.9, 1]", {file + "/optimizer/betas/1: found 1; must be"}),
          set("model.units=4", {file + "/model/units: unknown key; ", "num_units"}),
          set("model.normalize=1", {file + "/model/normalize: found 1", "true or false"}),
          set("model.name=offset10-modell",
              {file + "/model/name: there is no model \"offset10-modell\"; did you mean "
                      "\"offset10-model\"?",
               "known: ", "offset1-model-mse", "folders searched: ", GREVY_BUILTIN_PLUGINS}),
          set("criterion={\"name\": \"InfoNC\"}",
              {file + "/criterion/name: there is no criterion \"InfoNC\"; did you mean "
                      "\"InfoNCE\"?",
               "FixedCosineInfoNCE", GREVY_BUILTIN_PLUGINS}),
          set("solver={\"name\": \"other\"}",
              {file + "/solver/name: there is no solver \"other\"; known: ", "single-session",
               GREVY_BUILTIN_PLUGINS}),
          set("model.name=\"two\\nlines\"",
              {file + "/model/name: there is no model \"two lines\""}),
          set("device=nonsense",
              {file + "/device: device \"nonsense\" is not known", "\"cuda:N\""}),
          set("sampling={\"conditional\": \"time_delta\", \"continuous\": [\"speed\"]}",
              {file + "/sampling/continuous: there is no label \"speed\"", "\"position\""}),
          set("sampling={\"conditional\": \"time_delta\", \"continuous\": [\"direction\"]}",
              {file + "/sampling/continuous: label \"direction\" is discrete; a continuous"}),
          set("sampling={\"conditional\": \"discrete\", \"discrete\": \"position\"}",
              {file + "/sampling/discrete: label \"position\" is continuous; a discrete"}),
          set("sampling.continuous=[\"position\"]",
              {file + "/sampling/continuous: conditional \"time\"", "must be null"}),
          set("sampling.discrete=direction",
              {file + "/sampling/discrete: conditional \"time\"", "must be null"}),
          set("sampling.prior=uniform",
              {file + "/sampling/prior: found \"uniform\"", "must be \"empirical\" or null"}),
          set("sampling.time_offset=480",
              {file + "/sampling/time_offset: found 480; must be below", "480"}),
          set("training.batch_size=481",
              {file + "/training/batch_size: found 481; must be at most", "480"}),
          {{"--set", "data.train_fraction=1", "--set", "training.valid_frequency=2"},
           {file + "/training/valid_frequency: ", "/data/train_fraction leaves none"}},
          {{"--set", "data.train_fraction=0.995", "--set", "training.valid_frequency=2"},
           {file + "/data/train_fraction: ", "has 3 samples", "at least 10"}},
          set("data.train_fraction=0.001",
              {file + "/data/neural: ", "has 1 samples", "at least 10"}),
          set("seed", {"--set seed: must be of the form a.b=value"}),
          set("description=\xff", {"is not UTF-8"}),
      });
}

TEST_CASE("a device without CUDA") {
  const Workspace workspace;
  workspace.write_experiment();
  const auto devices =
      nlohmann::json::parse(workspace.grevy({"doctor", "--json"}).out).at("devices");
  // The first device that is not there, whatever this machine has.
  const std::string count = std::to_string(devices.size() - 1);
  const std::string missing = count == "0" ? "cuda" : "cuda:" + count;
  check_runs(workspace, {set("device=" + missing, {"experiment.json: /device: device \"" + missing +
                                                       "\" is not available",
                                                   count + " CUDA device(s)", "\"cpu\""})});
}

TEST_CASE("mistakes in the data") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::string spikes = workspace.bytes("recording/spikes.npy");
  workspace.write("short.npy", spikes.substr(0, 1000));
  workspace.write("text.npy", "1,2,3\n4,5,6\n");
  workspace.write("object.npy", npy("|O", "(600, 6)", "\x80\x04\x95"));
  workspace.write("no_rows.npy", npy("<f4", "(0, 6)", ""));
  write_npz(workspace / "two.npz", {"spikes", "speed"}, spikes);
  write_floats(workspace / "nan.npy", 600, 6, 17 * 6 + 4, NAN);
  write_floats(workspace / "inf.npy", 600, 6, 599 * 6, -std::numeric_limits<float>::infinity());
  write_floats(workspace / "nan_label.npy", 600, 1, 41, NAN);
  write_floats(workspace / "label.npy", 599, 1);
  write_floats(workspace / "few.npy", 9, 6);
  const std::string neural = "experiment.json: /data/neural: ";
  const std::string position = "experiment.json: /data/labels/position: ";
  check_runs(
      workspace,
      {
          set("data.neural=nothing.npy", {neural, "nothing.npy: no such file"}),
          set("data.neural=short.npy", {neural, "short.npy: truncated: needs ", "has 1000"}),
          set("data.neural=text.npy", {neural, "text.npy: not a NumPy file; allowed: "}),
          set("data.neural=object.npy", {neural, "object.npy: dtype '|O'", "allowed: ", "float32"}),
          set("data.neural=no_rows.npy", {neural, "no_rows.npy: is empty, shape [0, 6]"}),
          set("data.neural=two.npz",
              {neural, "two.npz", "2 arrays", "key", "\"speed\"", "\"spikes\""}),
          set("data.neural={\"file\": \"two.npz\", \"key\": \"rate\"}",
              {neural, "two.npz", "no array \"rate\"", "\"spikes\""}),
          set("data.neural={\"file\": \"two.npz\", \"name\": \"spikes\"}",
              {"experiment.json: /data/neural/name: unknown key", "key"}),
          set("data.neural=recording/direction.npy",
              {neural, "direction.npy: found shape [600]; must be (time, channels)"}),
          set("data.neural=nan.npy", {neural, "nan.npy: found nan at row 17, column 4"}),
          set("data.neural=inf.npy", {neural, "inf.npy: found -inf at row 599, column 0"}),
          {{"--set", "data.neural=few.npy", "--set", "data.labels={}"},
           {neural, "samples; the model's receptive field needs at least 10"}},
          set("data.labels.position=label.npy",
              {position, "label.npy: has 599 rows", "has 600 samples"}),
          set("data.labels.position=nan_label.npy", {position, "found nan at row 41, column 0"}),
          set("data.labels.position={\"file\": \"label.npy\", \"type\": \"discrete\"}",
              {position, "label.npy: holds floats; a discrete label needs integers"}),
          set("data.labels.position=recording/nothing.npy",
              {position, "nothing.npy: no such file"}),
      });
}

TEST_CASE("places that cannot be written to") {
  const Workspace workspace;
  workspace.write_experiment();
  workspace.write("file", "in the way");
  const Arguments run = {"run", "experiment.json"};
  check_refused(workspace, run, {{"--out", "file"}, {"file: is a file; a run needs a folder"}});
  check_refused(workspace, run, {{"--out", "file/run"}, {"file/run: cannot be made: "}, 3});
  CHECK(workspace.bytes("file") == "in the way");
}

TEST_CASE("mistakes with transform") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(workspace.grevy({"run", "experiment.json", "--out", "run"}).code == 0);
  write_floats(workspace / "narrow.npy", 100, 5);
  write_floats(workspace / "few.npy", 9, 6);
  write_floats(workspace / "nan.npy", 20, 6, 7, NAN);
  const std::string spikes = "recording/spikes.npy";
  const auto damaged = [&](std::size_t length) {
    const std::string name = "damaged-" + std::to_string(length) + ".safetensors";
    workspace.write(name, workspace.bytes("run/checkpoint.safetensors").substr(0, length));
    return Case{{name, spikes}, {name + ": is "}};
  };
  const std::size_t length = workspace.bytes("run/checkpoint.safetensors").size();
  auto other = grevy::host::read_safetensors(workspace / "run/checkpoint.safetensors");
  other.metadata["format"] = "\"other.checkpoint/2\"";
  grevy::host::write_safetensors(workspace / "other.safetensors", other);
  std::string altered = workspace.bytes("run/checkpoint.safetensors");
  altered.back() = static_cast<char>(altered.back() ^ 1);
  workspace.write("altered.safetensors", altered);
  const std::vector<Case> cases = {
      {{"run", "narrow.npy"}, {"narrow.npy: ", "6 channels", "[100, 5]"}},
      {{"run", "few.npy", "--no-pad"}, {"few.npy: found 9 samples", "at least 10"}},
      {{"run", "nan.npy"}, {"nan.npy: found nan at row 1, column 1"}},
      {{"run", "nothing.npy"}, {"nothing.npy: no such file"}},
      {{"run", spikes, "--key", "x"}, {"spikes.npy", "\"x\""}},
      {{"run", spikes, "--device", "nonsense"}, {"--device: device \"nonsense\" is not known"}},
      {{"run", spikes, "--chunk", "0"}, {"--chunk", "0"}},
      {{"nothing", spikes}, {"nothing: no such file"}},
      {{"recording", spikes}, {"recording/checkpoint.safetensors: no such file"}},
      {{spikes, spikes}, {"spikes.npy: is not a safetensors file"}},
      {{"other.safetensors", spikes}, {"other.safetensors: is a checkpoint of format \"other"}},
      {{"altered.safetensors", spikes}, {"altered.safetensors: is damaged: its bytes do not"}},
      damaged(0),
      damaged(300),
      damaged(length / 2),
      damaged(length - 1),
  };
  for (const Case& c : cases) {
    check_refused(workspace, {"transform", "-o", "out.npy"}, c);
    CHECK_FALSE(workspace.has("out.npy"));
  }
  check_refused(workspace, {"transform", "run", spikes, "-o", "nothing/out.npy"},
                {{}, {"nothing/out.npy: cannot be "}, 3});
}

namespace {

// `grevy run` with one bad plugin of the zoo, used as `kind`.
Case with_plugin(const std::string& name, const std::string& kind, std::vector<std::string> parts) {
  const std::string file = std::string(GREVY_TEST_PLUGINS) + "/bad/" + name + "/" + name + ".so";
  return {{"--plugin-path", file, "--set", kind + "={\"name\": \"" + name + "\"}"},
          std::move(parts)};
}

}  // namespace

TEST_CASE("plugins that do not fit or fail") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::string criterion = "experiment.json: /criterion: ",
                    model = "experiment.json: /model: ";
  check_runs(
      workspace,
      {
          with_plugin("no-note", "criterion", {"no-note.so: ", "not a Grevy plugin"}),
          with_plugin("other-abi", "criterion",
                      {"other-abi.so: was built for ABI ", "this host has "}),
          with_plugin("other-libtorch", "criterion",
                      {"other-libtorch.so: was built against ", "this host has "}),
          with_plugin("undefined-symbol", "criterion",
                      {criterion, "undefined-symbol.so: does not load: ", "undefined symbol"}),
          with_plugin("no-entry", "criterion", {criterion, "no-entry.so: does not export"}),
          with_plugin("disagrees", "criterion", {criterion, "disagrees.so: "}),
          with_plugin("throws-in-constructor", "criterion",
                      {criterion + "throws-in-constructor (zoo.throws-in-constructor) create: "}),
          with_plugin("no-instance", "criterion", {criterion, "gave no instance"}),
          with_plugin("wrong-shape", "model",
                      {model + "wrong-shape (zoo.wrong-shape) forward: returned shape "}),
          with_plugin("undefined-tensor", "model", {model, "forward: returned no tensor"}),
          with_plugin("lying-model", "model", {model, "describes itself with num_input "}),
      });
}

TEST_CASE("plugins that others may change, and plugins that are not on the list") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::filesystem::path folder = workspace / "plugins";
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file(std::string(GREVY_TEST_PLUGINS) + "/good/shortest.so",
                             folder / "shortest.so");
  using std::filesystem::perms;
  std::filesystem::permissions(folder, perms::all);
  const Case writable = {{"--plugin-path", "plugins"},
                         {"plugins: may be changed by others: the folder ", " and has mode 0777;",
                          "--allow-writable-plugins"}};
  check_runs(workspace, {writable});
  check_refused(workspace, {"plugins", "list"}, writable);
  Arguments allowed = {"plugins", "list", "--json", "--allow-writable-plugins"};
  allowed.insert(allowed.end(), writable.arguments.begin(), writable.arguments.end());
  const Outcome outcome = workspace.grevy(allowed);
  CHECK(outcome.code == 0);
  const nlohmann::json printed = nlohmann::json::parse(outcome.out);
  nlohmann::json list = nlohmann::json::object();
  for (const auto& plugin : printed.at("plugins"))
    list[plugin.at("id").get<std::string>()] = plugin.at("hash");
  CHECK(list.size() == 4);
  const Arguments run = {"run",    "experiment.json", "--out",
                         "listed", "--set",           "plugins=" + list.dump()};
  CHECK(workspace.grevy(run).code == 0);
  list.erase("grevy.solvers");
  check_runs(workspace, {set("plugins=" + list.dump(),
                             {"experiment.json: /solver: ", "the plugin \"grevy.solvers\" has the",
                              "which is not allowed; allowed plugins: \"grevy.criterions\""})});
}

TEST_CASE("steps that are skipped are in the log, the summary and the report") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::string file = std::string(GREVY_TEST_PLUGINS) + "/bad/spoils/spoils.so";
  const Outcome outcome =
      workspace.grevy({"run", "experiment.json", "--out", "run", "--plugin-path", file, "--set",
                       "criterion.name=spoils", "--set", "training.non_finite=skip", "--set",
                       "training.log_frequency=100"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  CHECK(contains(outcome.err, "the step is left out, as are others like it"));
  CHECK(contains(outcome.out, "2 steps were left out: something in them was not finite"));
  CHECK(workspace.json("run/summary.json").at("skipped_steps") == 2);
  std::istringstream log(workspace.bytes("run/log.jsonl"));
  std::vector<nlohmann::json> skipped;
  for (std::string line; std::getline(log, line);) {
    const auto entry = nlohmann::json::parse(line);
    if (entry.contains("skipped")) skipped.push_back(entry);
  }
  REQUIRE(skipped.size() == 2);
  CHECK(skipped[0].at("step") == 2);
  CHECK(skipped[1].at("skipped") == 2);
  CHECK(contains(skipped[1].at("reason"), "spoils returned the loss nan"));
}

TEST_CASE("targets of another width leave no run folder") {
  const Workspace workspace;
  auto document = Workspace::experiment();
  document["solver"] = {{"name", "supervised-solver-xcebra"}};
  document["objectives"] = {
      {{"slice", {0, 3}}, {"loss", {{"name", "nn.MSELoss"}}}, {"label", "position"}}};
  workspace.write_experiment(document);
  check_runs(workspace, {{{},
                          {"experiment.json: /sampling/targets: nn.MSELoss (",
                           "needs a target of the prediction's shape", ", 1]"}}});
}

TEST_CASE("losses that are no numbers stop the run and leave its log readable") {
  const Workspace workspace;
  workspace.write_experiment();
  check_refused(workspace, {"run", "experiment.json", "--out", "run"},
                with_plugin("nan-loss", "criterion", {"step 3", "nan-loss", "loss"}));
  std::istringstream log(workspace.bytes("run/log.jsonl"));
  int lines = 0;
  for (std::string line; std::getline(log, line); ++lines)
    CHECK(nlohmann::json::parse(line).at("step") == lines);
  CHECK(lines == 3);
  check_refused(
      workspace, {"run", "experiment.json", "--out", "throws"},
      with_plugin("throws-int", "criterion", {"throws-int (zoo.throws-int) evaluate: threw"}));
  check_refused(workspace, {"run", "experiment.json", "--out", "vector"},
                with_plugin("vector-loss", "criterion", {"must be a scalar"}));
}

TEST_CASE("names of files may be any bytes, but for what is stored as JSON text") {
  const Workspace workspace;
  workspace.write_experiment();
  workspace.write_experiment(Workspace::experiment(), "strange\xff.json");
  const Outcome done = workspace.grevy({"run", "experiment.json", "--out", "run\xff"});
  REQUIRE_MESSAGE(done.code == 0, done.err);
  const std::string summary = workspace.bytes("run\xff/summary.json");
  check_refused(workspace, {"run", "strange\xff.json", "--out", "run\xff", "--force"},
                {{}, {"the experiment's path: found \"strange\\xff.json\"; must be UTF-8"}});
  check_refused(workspace, {"import", "strange\xff.pt", "--out", "run\xff", "--force"},
                {{}, {"the checkpoint's path: found \"strange\\xff.pt\"; must be UTF-8"}});
  CHECK(workspace.bytes("run\xff/summary.json") == summary);
  CHECK(workspace.grevy({"run", "experiment.json", "--out", "run\xff", "--resume"}).code == 0);
  // What --json prints is UTF-8 all the same.
  const auto told = [&](std::vector<std::string> command) {
    command.emplace_back("--json");
    const Outcome outcome = workspace.grevy(command);
    CHECK_MESSAGE(outcome.code == 0, outcome.err);
    return nlohmann::json::parse(outcome.out);
  };
  const std::string name = "out\ufffd";
  CHECK(told({"transform", "run\xff", "recording/spikes.npy", "-o", "out\xff.npy"}).at("file") ==
        name + ".npy");
  CHECK(told({"simulate", "--out", "out\xff", "--samples", "100"}).at("folder") == name);
  CHECK(told({"export", "run\xff", "--out", "out\xff"}).at("files").dump().find(name) !=
        std::string::npos);
  CHECK(told({"new", "criterion", "my-loss", "--dir", "new\xff"}).at("folder") == "new\ufffd");
  CHECK(told({"doctor", "--plugin-path", "out\xff"}).dump().find(name) != std::string::npos);
}

TEST_CASE("results that cannot be written are an error") {
  if (!std::filesystem::exists("/dev/full")) return;
  const Workspace workspace;
  for (const std::string command : {"schema", "plugins list --json"}) {
    CAPTURE(command);
    const std::string place = (workspace / "").string();
    const int status = std::system(
        ("cd " + place + " && " GREVY_PROGRAM " " + command + " >/dev/full 2>complaint").c_str());
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(workspace.bytes("complaint") == "grevy: stdout: cannot be written\n");
  }
}

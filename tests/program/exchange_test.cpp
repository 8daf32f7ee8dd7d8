// grevy import and grevy export.
#include "program.hpp"
#include "unit/torch_writer.hpp"

#include <grevy/host/array.hpp>

#include <doctest/doctest.h>

using namespace grevy::tests;
using grevy::host::Array;
using nlohmann::json;

namespace {

// A checkpoint of tests/data/torch.
std::string data_file(const std::string& name) {
  return std::string(GREVY_TEST_DATA) + "/torch/" + name;
}

using Shapes = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

// A dict of float tensors full of zeros but for the last element of each; their storages go to
// `members`.
std::string make_tensors(const Shapes& shapes, std::vector<ZipMember>& members) {
  std::vector<std::pair<std::string, std::string>> items;
  for (const auto& [tensor, shape] : shapes) {
    TensorText text;
    text.key = std::to_string(members.size());
    text.shape = shape;
    text.stride.assign(shape.size(), 1);
    for (std::size_t axis = shape.size(); axis-- > 1;)
      text.stride[axis - 1] = text.stride[axis] * shape[axis];
    text.elements = text.stride[0] * shape[0];
    items.emplace_back(tensor, pickle_tensor(text));
    std::string bytes(static_cast<std::size_t>(text.elements) * 4, '\0');
    bytes[bytes.size() - 1] = static_cast<char>(0x40);  // 2.0
    members.push_back({"archive/data/" + text.key, bytes});
  }
  return pickle_dict(items);
}

// A model's state dict.
void write_model(const Workspace& workspace, const std::string& name, const Shapes& shapes) {
  std::vector<ZipMember> members;
  const std::string model = make_tensors(shapes, members);
  members.insert(members.begin(), {"archive/data.pkl", pickle(model)});
  write_zip(workspace / name, members);
}

// A solver's state dict without steps.
void write_solver(const Workspace& workspace, const std::string& name, const Shapes& model,
                  const Shapes& criterion,
                  const std::vector<std::pair<std::string, std::string>>& others) {
  std::vector<ZipMember> members;
  std::vector<std::pair<std::string, std::string>> items = {
      {"model", make_tensors(model, members)},
      {"criterion", make_tensors(criterion, members)},
      {"loss", pickle_tensor({"loss", 0, 0, {0}, {1}})},
      {"optimizer", pickle_dict({{"state", "}"}, {"param_groups", "]"}})},
      {"version", pickle_text("0.6.1")},
      {"log", "}"}};
  items.insert(items.end(), others.begin(), others.end());
  members.push_back({"archive/data/loss", ""});
  members.insert(members.begin(), {"archive/data.pkl", pickle(pickle_dict(items))});
  write_zip(workspace / name, members);
}

// The tensors of offset1-model-mse-v2-2layers with 3 channels, 4 units and 2 outputs, as the
// reference lists them: layers 3 and 5 are the same.
Shapes tied_layers() {
  return {{"net.1.weight", {4, 3}}, {"net.1.bias", {4}},      {"net.3.weight", {4, 4}},
          {"net.3.bias", {4}},      {"net.5.weight", {4, 4}}, {"net.5.bias", {4}},
          {"net.7.weight", {2, 4}}, {"net.7.bias", {2}},      {"net.9.weight", {2, 2}},
          {"net.9.bias", {2}}};
}

}  // namespace

TEST_CASE("import makes a run that transform embeds with") {
  const Workspace workspace;
  const Outcome outcome = workspace.grevy(
      {"import", data_file("solver.pt"), "--model", "offset10-model", "--out", "a"});
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  CHECK(lines_of(outcome.out) ==
        std::vector<std::string>{
            data_file("solver.pt") + ": solver's state of CEBRA 0.6.1",
            "offset10-model: 11 tensors, 2 steps, with the optimiser's state",
            "assumed, since the file does not say it:",
            "  criterion: the similarity is the cosine's, the temperature has no minimum",
            "  model: the other options of offset10-model have their defaults, normalize too",
            "  sampling, training/batch_size: have their defaults", "written to a"});
  for (const char* file :
       {"experiment.json", "log.jsonl", "checkpoint.safetensors", "summary.json"})
    CHECK_MESSAGE(workspace.has("a/" + std::string(file)), file);
  // Six channels, where the encoder has two.
  CHECK(workspace.grevy({"transform", "a", "recording/spikes.npy", "-o", "e.npy"}).code == 2);

  // A member of an archive is a copy, a file of its own is used in place.
  const std::vector<float> samples(60, 0.5f);
  grevy::host::write_npy(workspace / "two.npy", {30, 2}, samples.data());
  write_zip(workspace / "two.npz", {{"spikes.npy", workspace.bytes("two.npy")}});
  CHECK(workspace.grevy({"transform", "a", "two.npy", "-o", "file.npy"}).code == 0);
  CHECK(
      workspace.grevy({"transform", "a", "two.npz", "--key", "spikes", "-o", "member.npy"}).code ==
      0);
  CHECK(workspace.bytes("member.npy") == workspace.bytes("file.npy"));

  const json told = json::parse(
      workspace.grevy({"import", data_file("estimator.pt"), "--out", "a", "--force", "--json"})
          .out);
  CHECK(told.at("form") == "estimator");
  CHECK(told.at("model") == "offset1-model");
  CHECK(told.at("folder") == "a");
  CHECK(
      workspace.grevy({"import", data_file("estimator.pt"), "--out", "b", "--quiet"}).out.empty());
}

TEST_CASE("export writes the weights and the encoder") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(workspace.grevy({"run", "experiment.json", "--out", "run"}).code == 0);
  const Outcome outcome = workspace.grevy({"export", "run"});
  CHECK(outcome.code == 0);
  CHECK(outcome.err.empty());
  CHECK(outcome.out == "run/export/model.safetensors\nrun/export/encoder.pt\n");
  const Outcome other = workspace.grevy(
      {"export", "run/checkpoint.safetensors", "--out", "new/weights", "--session", "0", "--json"});
  CHECK(json::parse(other.out) ==
        json{{"files", {"new/weights/model.safetensors", "new/weights/encoder.pt"}}});
  for (const char* file : {"model.safetensors", "encoder.pt"})
    CHECK_MESSAGE(workspace.bytes(std::string("new/weights/") + file) ==
                      workspace.bytes(std::string("run/export/") + file),
                  file);
  const Outcome quiet = workspace.grevy({"export", "run", "--out", "quiet", "--quiet"});
  CHECK(quiet.code == 0);
  CHECK(quiet.out.empty());
}

TEST_CASE("a layer that is applied several times must be the same each time") {
  const Workspace workspace;
  const Arguments import = {"import", "model.pt", "--model", "offset1-model-mse-v2-2layers",
                            "--out",  "run",      "--force"};
  write_model(workspace, "model.pt", tied_layers());
  CHECK(workspace.grevy(import).code == 0);
  CHECK(workspace.json("run/summary.json").at("imported").at("tensors") == 8);

  auto layers = tied_layers();
  layers[5].second = {5};
  write_model(workspace, "model.pt", layers);
  CHECK(complaints(workspace.grevy(import)) ==
        std::vector<std::string>{
            "grevy: model.pt: the model tensor \"net.5.bias\" differs from \"net.3.bias\"; "
            "offset1-model-mse-v2-2layers applies that layer several times"});
  layers[5] = {"net.11.bias", {4}};
  write_model(workspace, "model.pt", layers);
  CHECK(complaints(workspace.grevy(import)) ==
        std::vector<std::string>{"grevy: model.pt: the model tensor \"net.11.bias\" is none of "
                                 "offset1-model-mse-v2-2layers's"});
}

TEST_CASE("the number of channels is that of the first layer") {
  const Workspace workspace;
  const auto import = [&](const std::string& num_features,
                          const Shapes& model = {{"net.1.weight", {2, 3}}}) {
    write_solver(workspace, "solver.pt", model, {},
                 {{"decode", "]"}, {"n_features", num_features}});
    return complaints(
        workspace.grevy({"import", "solver.pt", "--model", "offset1-model", "--out", "run"}));
  };
  using Lines = std::vector<std::string>;
  CHECK(import(pickle_integer(1000000000000)) ==
        Lines{"grevy: solver.pt: n_features is 1000000000000; the first layer takes 3 channels"});
  CHECK(
      import(pickle_list({pickle_integer(3), pickle_integer(3)})) ==
      Lines{"grevy: solver.pt: n_features has 2 entries; the file holds encoders of 1 session(s)"});
  CHECK(
      import(pickle_integer(3)) ==
      Lines{"grevy: solver.pt: there is no model tensor \"net.1.bias\", which offset1-model has"});
  CHECK(
      import(pickle_integer(3), {{"net.1.bias", {32}}}) ==
      Lines{
          "grevy: solver.pt: there is no model tensor \"net.1.weight\", which offset1-model has"});
}

TEST_CASE("of a solver with several objectives the encoder is taken over alone") {
  const Workspace workspace;
  Shapes model = tied_layers();
  for (auto& [name, shape] : model) name.insert(0, "module.");
  const Shapes criterion = {{"criterions.0.a", {1}}, {"criterions.1.b", {1}}};
  const Arguments import = {"import", "solver.pt", "--model", "offset1-model-mse-v2-2layers",
                            "--out",  "run",       "--force", "--json"};
  write_solver(workspace, "solver.pt", model, criterion, {{"decode", pickle_list({"K\1"})}});
  const json told = json::parse(workspace.grevy(import).out);
  CHECK(told.at("left_out") ==
        json{"the objectives and their slices: the encoder is taken over as one of single-session",
             "the criterion's tensors criterions.0.a, criterions.1.b",
             "decode: scores from during the training"});
  write_solver(workspace, "solver.pt", model, {}, {{"decode", "N"}});
  CHECK(json::parse(workspace.grevy(import).out).at("left_out").size() == 1);

  json document = Workspace::experiment();
  document["model"] = {
      {"name", "offset1-model-mse-v2-2layers"}, {"num_units", 4}, {"num_output", 2}};
  workspace.write_experiment(document);
  write_solver(workspace, "solver.pt", model, criterion, {{"decode", "]"}});
  CHECK(
      complaints(workspace.grevy(
          {"import", "solver.pt", "--experiment", "experiment.json", "--out", "new"})) ==
      std::vector<std::string>{"grevy: solver.pt: the criterion tensor \"criterions.0.a\" is none "
                               "of the experiment's criterion"});
}

TEST_CASE("an import into a folder that cannot be used is a failure to write") {
  const Workspace workspace;
  const Outcome outcome =
      workspace.grevy({"import", data_file("estimator.pt"), "--out", std::string(300, 'x')});
  CHECK(outcome.code == 3);
  REQUIRE(complaints(outcome).size() == 1);
  CHECK_MESSAGE(contains(complaints(outcome)[0], "xxx: cannot be used: File name too long"),
                complaints(outcome)[0]);
}

TEST_CASE("an import counts what killed processes have left half written as nothing") {
  const Workspace workspace;
  std::filesystem::create_directory(workspace / "a");
  workspace.write("a/.grevy-1-0.tmp", "half");
  CHECK(workspace.grevy({"import", data_file("estimator.pt"), "--out", "a"}).code == 0);
  CHECK_FALSE(workspace.has("a/.grevy-1-0.tmp"));
  CHECK(workspace.has("a/checkpoint.safetensors"));
}

TEST_CASE("bad exchanges are one line and exit code 2") {
  const Workspace workspace;
  workspace.write("text.pt", "not a checkpoint");
  workspace.write_experiment();
  const std::string solver = data_file("solver.pt");
  const std::pair<Arguments, std::string> cases[] = {
      {{"import", solver, "--out", "r"}, "name it with --model"},
      {{"import", solver, "--model", "none", "--out", "r"}, "there is no model \"none\""},
      {{"import", solver, "--model", "offset5-model", "--out", "r"}, "\"net.3.bias\""},
      {{"import", solver, "--model", "offset10-model"}, "--out is required"},
      {{"import", solver, "--out", "r", "--set", "seed=1"}, "--set requires --experiment"},
      {{"import", solver, "--out", "r", "--model", "x", "--experiment", "y"}, "excludes"},
      {{"import", solver, "--out", "r", "--experiment", "experiment.json"}, "needed: F32 [4]"},
      {{"import", solver, "--out", "r", "--experiment", "none.json"}, "none.json: no such file"},
      {{"import", solver, "--out", "recording", "--model", "offset10-model"}, "is not empty"},
      {{"import", "none.pt", "--out", "r"}, "none.pt: no such file"},
      {{"import", "text.pt", "--out", "r"}, "text.pt"},
      {{"import", data_file("command.pt"), "--out", "r"}, "no code is run"},
      {{"export", "none"}, "no such file"},
      {{"export", "recording"}, "no such file"},
  };
  for (const auto& example : cases) {
    const std::string& text = example.second;
    CAPTURE(text);
    const Outcome outcome = workspace.grevy(example.first);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    REQUIRE(complaints(outcome).size() == 1);
    CHECK_MESSAGE(contains(complaints(outcome)[0], text), complaints(outcome)[0]);
    CHECK_FALSE(workspace.has("r"));
  }
}

TEST_CASE("what an export cannot write is refused") {
  const Workspace workspace;
  REQUIRE(
      workspace
          .grevy({"import", data_file("sessions.pt"), "--model", "offset5-model", "--out", "run"})
          .code == 0);
  const Outcome outcome = workspace.grevy({"export", "run", "--session", "2"});
  CHECK(outcome.code == 2);
  CHECK(contains(outcome.err, "session 2 does not exist; there are 2, counted from 0"));
  workspace.write("file", "");
  CHECK(workspace.grevy({"export", "run", "--out", "file"}).code == 3);
  CHECK(workspace.grevy({"export", "run", "--session", "1"}).code == 0);
  CHECK_FALSE(workspace.has("run/export/encoder_1.pt"));
}

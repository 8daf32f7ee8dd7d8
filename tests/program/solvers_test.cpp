// Every experiment of examples/solvers: it runs, what it has learned shows in its summary, and it
// can be repeated.
#include "program.hpp"

#include <grevy/host/array.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace grevy::tests;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const fs::path examples = fs::path(GREVY_TEST_DATA) / "../../examples/solvers";

void simulate(const Workspace& workspace, const std::string& name, std::int64_t samples,
              std::int64_t neurons, std::uint64_t seed) {
  grevy::host::SimulationOptions options;
  options.num_samples = samples;
  options.num_neurons = neurons;
  options.seed = seed;
  grevy::host::write_recording(grevy::host::simulate(options), workspace / name);
}

// The experiments with the recordings that their README names; made once.
const Workspace& workspace() {
  static const Workspace made;
  static const bool filled = [] {
    simulate(made, "recording", 4000, 30, 1);
    simulate(made, "recording_b", 3500, 24, 2);
    simulate(made, "recording_c", 3000, 20, 3);
    simulate(made, "short_a", 1500, 30, 4);
    simulate(made, "short_b", 1300, 24, 5);
    for (const auto& entry : fs::directory_iterator(examples))
      fs::copy_file(entry.path(), made / entry.path().filename().string());
    return true;
  }();
  REQUIRE(filled);
  return made;
}

Outcome run(const std::string& example, const std::string& folder, const Arguments& more = {}) {
  Arguments arguments = {"run", example + ".json", "--out", folder, "--quiet"};
  for (const char* change :
       {"threads=1", "evaluation.num_batches=10", "evaluation.max_samples=2000"}) {
    arguments.emplace_back("--set");
    arguments.emplace_back(change);
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  return workspace().grevy(arguments);
}

struct Example {
  std::string name;
  std::int64_t num_steps;             // that are enough to show it
  std::vector<std::int64_t> samples;  // of each session
  std::int64_t num_output;
  double margin;  // of the held-out InfoNCE below chance; 0: has no chance
};

// Margins are far from what is reached, and from what an untrained embedding reaches.
const Example all_examples[] = {
    {"cebra", 120, {4000}, 6, 0.5},
    {"multi-session", 100, {4000, 3500, 3000}, 6, 0.4},
    {"multi-session-aux", 120, {4000, 3500}, 6, 0.3},
    {"multi-session-full", 40, {1500, 1300}, 6, 0.5},
    {"multi-session-hybrid", 100, {4000, 3500}, 6, 1.3},
    {"multiobjective-solver", 120, {4000}, 6, 1.0},
    {"regularized-solver", 50, {4000}, 6, 0.3},
    {"single-session", 100, {4000}, 6, 0.6},
    {"single-session-aux", 120, {4000}, 6, 0.5},
    {"single-session-full", 40, {1500}, 6, 0.5},
    {"single-session-hybrid", 100, {4000}, 6, 1.0},
    {"supervised-solver-xcebra", 300, {4000}, 3, 0},
    {"unified-session", 100, {4000, 3500}, 6, 0.6},
};

Arguments steps(const std::string& example, std::int64_t count) {
  const char* key = example == "cebra" ? "cebra.max_iterations=" : "training.num_steps=";
  return {"--set", key + std::to_string(count)};
}

// The example's run, made once.
json summary_of(const std::string& example) {
  const std::string folder = "runs/" + example;
  if (!workspace().has(folder)) {
    const auto* found = std::find_if(std::begin(all_examples), std::end(all_examples),
                                     [&](const Example& e) { return e.name == example; });
    REQUIRE(found != std::end(all_examples));
    const Outcome outcome = run(example, folder, steps(example, found->num_steps));
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  }
  return workspace().json(folder + "/summary.json");
}

double position_r2(const json& decoding) {
  return decoding.at("labels").at("position").at("embedding").at("mean_r2");
}

void check_loss(const Example& example, const json& summary) {
  const json& loss = summary.at("infonce");
  CHECK(loss.at("chance").is_null() == (example.margin == 0));
  if (example.margin == 0) return;
  CHECK(loss.at("held_out").get<double>() < loss.at("chance").get<double>() - example.margin);
}

void check_decoding(const Example& example, const json& summary) {
  if (example.samples.size() == 1) {
    CHECK(position_r2(summary.at("decoding")) > 0.8);
    return;
  }
  REQUIRE(summary.at("sessions").size() == example.samples.size());
  REQUIRE(summary.at("recordings").size() == example.samples.size());
  for (std::size_t s = 0; s < example.samples.size(); ++s) {
    CHECK(summary.at("recordings")[s].at("samples") == example.samples[s]);
    const json& session = summary.at("sessions")[s];
    CHECK(position_r2(session.at("decoding")) > 0.8);
    // Lined-up sessions have one loss, not one each.
    CHECK(session.contains("infonce") == (example.name != "unified-session"));
    if (!session.contains("infonce")) continue;
    const json& own = session.at("infonce");
    CHECK(own.at("held_out").get<double>() < own.at("chance").get<double>() - 0.3);
  }
  CHECK(summary.at("consistency").at("label") == "position");
  CHECK(summary.at("consistency").at("mean_r2").get<double>() > 0.8);
}

void check_files(const Example& example) {
  const std::string folder = "runs/" + example.name;
  for (const char* file : {"experiment.json", "log.jsonl", "checkpoint.safetensors"})
    CHECK(workspace().has(folder + "/" + file));
  const bool one = example.samples.size() == 1;
  CHECK(workspace().has(folder + "/embedding.npy") == one);
  for (std::size_t s = 0; s < example.samples.size(); ++s) {
    const std::string file = one ? "/embedding.npy" : "/embedding_" + std::to_string(s) + ".npy";
    const auto embedding = grevy::host::Array::open(workspace() / (folder + file));
    CHECK(embedding.shape() == std::vector<std::int64_t>{example.samples[s], example.num_output});
    const auto values = embedding.to_float32();
    const std::int64_t count = example.samples[s] * example.num_output;
    CHECK(
        std::all_of(values.get(), values.get() + count, [](float v) { return std::isfinite(v); }));
  }
}

// A few steps with validations.
Outcome run_short(const std::string& example, const std::string& folder, std::int64_t count,
                  Arguments more) {
  for (const char* change : {"training.valid_frequency=2", "training.valid_batches=1"}) {
    more.emplace_back("--set");
    more.emplace_back(change);
  }
  const Arguments change = steps(example, count);
  more.insert(more.end(), change.begin(), change.end());
  return run(example, folder, more);
}

void check_same_bytes(const std::string& a, const std::string& b) {
  for (const auto& entry : fs::directory_iterator(workspace() / a)) {
    const std::string name = "/" + entry.path().filename().string();
    if (name == "/summary.json") continue;  // says how long it took
    CAPTURE(name);
    REQUIRE(workspace().has(b + name));
    CHECK(workspace().bytes(a + name) == workspace().bytes(b + name));
  }
}

}  // namespace

TEST_CASE("every example is listed here") {
  std::vector<std::string> found, listed;
  for (const auto& entry : fs::directory_iterator(examples))
    if (entry.path().extension() == ".json") found.push_back(entry.path().stem().string());
  for (const Example& example : all_examples) listed.push_back(example.name);
  std::sort(found.begin(), found.end());
  CHECK(found == listed);
}

TEST_CASE("every example learns, and its run folder is complete") {
  for (const Example& example : all_examples) {
    CAPTURE(example.name);
    const json summary = summary_of(example.name);
    CHECK(summary.at("finished") == true);
    check_loss(example, summary);
    check_decoding(example, summary);
    check_files(example);
  }
}

TEST_CASE("grevy transform embeds each session as the run did") {
  summary_of("multi-session");
  const std::pair<const char*, const char*> sessions[] = {
      {"0", "recording"}, {"1", "recording_b"}, {"2", "recording_c"}};
  for (const auto& [number, recording] : sessions) {
    const Outcome outcome = workspace().grevy({"transform", "runs/multi-session",
                                               std::string(recording) + "/spikes.npy", "--session",
                                               number, "-o", "again.npy", "--threads", "1"});
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    CHECK(workspace().bytes("again.npy") ==
          workspace().bytes(std::string("runs/multi-session/embedding_") + number + ".npy"));
  }
  const auto refused = [](const std::string& folder, const char* session, const char* text) {
    const Outcome outcome =
        workspace().grevy({"transform", "runs/" + folder, "recording_b/spikes.npy", "--session",
                           session, "-o", "refused.npy"});
    CHECK(outcome.code == 2);
    CHECK_MESSAGE(contains(outcome.err, text), outcome.err);
    CHECK_FALSE(workspace().has("refused.npy"));
  };
  refused("multi-session", "3", "session 3 does not exist; there are 3, counted from 0");
  refused("multi-session", "-1", "session -1 does not exist");
  refused("multi-session", "2", "20 channels");
  summary_of("unified-session");
  refused("unified-session", "1", "54 channels");  // those of both recordings
}

TEST_CASE("a subspace that only position shapes knows less of the direction than the whole") {
  const json subspaces = summary_of("multiobjective-solver").at("decoding").at("subspaces");
  REQUIRE(subspaces.size() == 2);
  CHECK(subspaces[0].at("features") == json{0, 6});
  CHECK(subspaces[1].at("features") == json{3, 6});
  const auto direction = [&](std::size_t i) {
    return subspaces[i].at("labels").at("direction").at("balanced_accuracy").get<double>();
  };
  CHECK(direction(0) > direction(1) + 0.05);
  CHECK(subspaces[1].at("labels").at("position").at("mean_r2").get<double>() > 0.8);
}

TEST_CASE("supervised slices predict their own labels") {
  const json summary = summary_of("supervised-solver-xcebra");
  const json subspaces = summary.at("decoding").at("subspaces");
  REQUIRE(subspaces.size() == 2);
  CHECK(subspaces[0].at("labels").at("position").at("mean_r2").get<double>() > 0.8);
  CHECK(subspaces[1].at("labels").at("direction").at("balanced_accuracy").get<double>() > 0.85);
  CHECK(subspaces[0].at("labels").at("direction").at("balanced_accuracy").get<double>() < 0.7);
  const json& training = summary.at("training");
  CHECK(training.at("last").at("total").get<double>() <
        0.2 * training.at("first").at("total").get<double>());
}

TEST_CASE("the regulariser keeps the Jacobian small") {
  const double with = summary_of("regularized-solver").at("training").at("last").at("reg");
  const Outcome outcome = run("regularized-solver", "runs/without",
                              {"--set", "solver.lambda_JR=0", "--set", "training.num_steps=50"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const double without =
      workspace().json("runs/without/summary.json").at("training").at("last").at("reg");
  CHECK(with < 0.75 * without);
}

TEST_CASE("the estimator's parameters are stored as the long form") {
  REQUIRE(run("cebra", "runs/short-form", steps("cebra", 5)).code == 0);
  const json resolved = workspace().json("runs/short-form/experiment.json");
  CHECK_FALSE(resolved.contains("cebra"));
  CHECK(resolved.at("model").at("name") == "offset10-model");
  CHECK(resolved.at("model").at("num_units") == 16);
  CHECK(resolved.at("model").at("num_output") == 6);
  CHECK(resolved.at("sampling").at("conditional") == "time_delta");
  CHECK(resolved.at("criterion") == json{{"name", "FixedCosineInfoNCE"}, {"temperature", 0.2}});
  CHECK(resolved.at("solver").at("name") == "single-session");
  CHECK(resolved.at("training").at("num_steps") == 5);
  const Outcome outcome = workspace().grevy(
      {"run", "runs/short-form/experiment.json", "--out", "runs/long-form", "--quiet"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  CHECK(workspace().bytes("runs/long-form/embedding.npy") ==
        workspace().bytes("runs/short-form/embedding.npy"));
}

TEST_CASE("the same example gives the same bytes") {
  for (const std::string name : {"multi-session", "multiobjective-solver"}) {
    const std::string folder = "same/" + name;
    CAPTURE(folder);
    REQUIRE(run_short(name, folder + "-a", 6, {}).code == 0);
    REQUIRE(run_short(name, folder + "-b", 6, {}).code == 0);
    check_same_bytes(folder + "-a", folder + "-b");
  }
}

TEST_CASE("every example goes on from an odd step as if it had not been killed") {
  const auto resume = [](const Example& example, const std::string& threads,
                         const Arguments& more) {
    const std::string whole = "killed/" + example.name + "-" + threads, killed = whole + "-resumed";
    CAPTURE(whole);
    Arguments arguments = more;
    for (const std::string& change :
         {"threads=" + threads, std::string("training.save_frequency=3"),
          std::string("training.keep_checkpoints=9"), std::string("evaluation.max_samples=100"),
          std::string("evaluation.num_batches=1")})
      arguments.insert(arguments.end(), {"--set", change});
    const Outcome outcome = run_short(example.name, whole, 5, arguments);
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    // What is there when the process is killed after step 3 or later.
    fs::create_directories(workspace() / killed);
    for (const auto& [from, to] : {std::pair("/experiment.json", "/experiment.json"),
                                   {"/log.jsonl", "/log.jsonl"},
                                   {"/checkpoint-3.safetensors", "/checkpoint.safetensors"}})
      fs::copy_file(workspace() / (whole + from), workspace() / (killed + to));
    arguments.emplace_back("--resume");
    const Outcome resumed = run_short(example.name, killed, 5, arguments);
    REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
    check_same_bytes(killed, whole);
  };
  const Arguments scheduled = {"--set", "solver.scheduler_regularizer.step_to_switch_on_reg=1",
                               "--set", "solver.scheduler_regularizer.step_to_switch_off_reg=4"};
  for (const Example& example : all_examples)
    for (const std::string threads : {"1", "2"})  // two prepare batches ahead
      resume(example, threads, example.name == "multiobjective-solver" ? scheduled : Arguments{});
}

TEST_CASE("a finished run is adapted to another recording") {
  summary_of("single-session");
  const std::vector<std::string> changes = {
      "adapt={\"run\": \"runs/single-session\"}", "data.neural=recording_b/spikes.npy",
      "data.labels.position=recording_b/position.npy",
      "data.labels.direction=recording_b/direction.npy", "training.num_steps=60"};
  Arguments more;
  for (const std::string& change : changes) {
    more.emplace_back("--set");
    more.push_back(change);
  }
  const Outcome outcome = run("single-session", "runs/adapted", more);
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const json summary = workspace().json("runs/adapted/summary.json");
  CHECK(summary.at("model").at("parameters") == 24 * 16 * 2 + 16);  // the first layer's
  CHECK(position_r2(summary.at("decoding")) > 0.8);
}

TEST_CASE("trials bound windows, pairs and the training part") {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 1500; ++i) ids.push_back(i / 230);
  std::string data(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ids[0]));
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (1500,), }";
  header.resize(117, ' ');
  workspace().write("trials.npy",
                    std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n" + data);
  const Arguments trials = {"--set", "data.trials=trials.npy", "--set", "training.num_steps=5"};
  const Outcome outcome = run("single-session-full", "runs/trials", trials);
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const json summary = workspace().json("runs/trials/summary.json");
  CHECK(summary.at("recording").at("train_samples") == 1150);  // the border nearest to 1200
  const Outcome longer =
      run("single-session-full", "runs/refused",
          {"--set", "data.trials=trials.npy", "--set", "sampling={\"time_offset\": 230}"});
  CHECK(longer.code == 2);
  CHECK_MESSAGE(contains(longer.err, "/sampling"), longer.err);
  CHECK_MESSAGE(contains(longer.err, "time_offset"), longer.err);
  CHECK_FALSE(workspace().has("runs/refused"));
}

TEST_CASE("mistakes with sessions and objectives are one line with their place") {
  struct Case {
    std::string example;
    std::string change;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"multi-session",
       "data.neural=recording/spikes.npy",
       {"/data/neural: found beside /data/sessions, which stands in its place"}},
      {"multi-session",
       "data.sessions.1.neural=nothing.npy",
       {"/data/sessions/1/neural: ", "nothing.npy"}},
      {"multi-session",
       "data.sessions.1.labels.position=recording/position.npy",
       {"/data/sessions/1/labels/position: ", "has 4000 rows", "3500"}},
      {"multi-session",
       "data.sessions.2.labels={}",
       {"/sampling/continuous: there is no label \"position\""}},
      {"multi-session",
       "data.sessions.0={\"labels\": {}}",
       {"/data/sessions/0: the key \"neural\" is missing"}},
      {"multiobjective-solver",
       "objectives.0.slice=[0, 9]",
       {"feature range [0, 9]: must be [first, last + 1] within [0, 6]"}},
      {"multiobjective-solver",
       "objectives.1.distribution.label_name=speed",
       {"/sampling/positives/1/continuous: there is no label \"speed\""}},
      {"multiobjective-solver",
       "solver.scheduler_regularizer.n_splits=3",
       {"/solver: ", "scheduler_regularizer gives 3 weights; needed: one per objective, 2"}},
      {"multiobjective-solver",
       "sampling.conditional=time",
       {"/sampling/conditional: found beside /objectives"}},
      {"supervised-solver-xcebra",
       "solver.name=multiobjective-solver",
       {"/solver/name: found \"multiobjective-solver\"; must be \"supervised-solver-xcebra\""}},
      {"cebra", "model={\"name\": \"offset10-model\"}", {"/model: found beside /cebra"}},
      {"single-session", "adapt={\"run\": \"nothing\"}", {"/adapt/run: ", "nothing"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.change);
    const Outcome outcome = run(c.example, "refused", {"--set", c.change});
    CHECK(outcome.code == 2);
    CHECK_FALSE(workspace().has("refused"));
    const std::vector<std::string> found = complaints(outcome);
    REQUIRE(found.size() == 1);
    CHECK(found[0].rfind("grevy: " + c.example + ".json: ", 0) == 0);
    for (const std::string& part : c.parts) CHECK_MESSAGE(contains(found[0], part), found[0]);
  }
}

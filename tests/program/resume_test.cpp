#include "program.hpp"

#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <fstream>

using namespace grevy::tests;
using nlohmann::json;

namespace {

const std::string run_files[] = {"/checkpoint.safetensors", "/embedding.npy", "/log.jsonl",
                                 "/experiment.json"};

Outcome run(const Workspace& workspace, const std::string& folder, std::int64_t num_steps,
            const Arguments& more = {}, const Workspace::Watch& watch = {}) {
  Arguments arguments = {"run",   "experiment.json",
                         "--out", folder,
                         "--set", "training.num_steps=" + std::to_string(num_steps)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return workspace.grevy(arguments, watch);
}

// Runs on until the first progress line, then is sent the signal.
Outcome run_and_signal(const Workspace& workspace, int signal) {
  bool sent = false;
  return run(workspace, "run", 1000000, {}, [&](pid_t process, const std::string& err) {
    if (sent || !contains(err, "step 1/")) return;
    ::kill(process, signal);
    sent = true;
  });
}

std::int64_t stored_step(const Workspace& workspace, const std::string& folder) {
  const auto content =
      grevy::host::read_safetensors(workspace / (folder + "/checkpoint.safetensors"));
  return std::stoll(content.metadata.at("step"));
}

void check_same(const Workspace& workspace, const std::string& a, const std::string& b) {
  for (const std::string& file : run_files) {
    CAPTURE(file);
    CHECK(workspace.bytes(a + file) == workspace.bytes(b + file));
  }
}

}  // namespace

TEST_CASE("a run stopped by SIGINT goes on as if it had not stopped") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome stopped = run_and_signal(workspace, SIGINT);
  CHECK(stopped.code == 130);
  CHECK(complaints(stopped).empty());
  CHECK(contains(stopped.out, "stopped after"));
  CHECK(workspace.json("run/summary.json").at("finished") == false);
  CHECK_FALSE(workspace.has("run/embedding.npy"));
  const std::int64_t done = stored_step(workspace, "run");
  REQUIRE(done >= 1);
  CHECK(lines_of(workspace.bytes("run/log.jsonl")).size() == static_cast<std::size_t>(done));

  REQUIRE(run(workspace, "run", done + 3, {"--resume"}).code == 0);
  REQUIRE(run(workspace, "whole", done + 3).code == 0);
  check_same(workspace, "run", "whole");
  CHECK(workspace.json("run/summary.json").at("finished") == true);
}

TEST_CASE("a run stopped by SIGTERM is stored and exits with 143") {
  const Workspace workspace;
  workspace.write_experiment();
  CHECK(run_and_signal(workspace, SIGTERM).code == 143);
  CHECK(stored_step(workspace, "run") >= 1);
}

TEST_CASE("raising num_steps and resuming equals one longer run") {
  json experiment = Workspace::experiment();
  SUBCASE("plain") {}
  SUBCASE("with validation, learnable temperature and weight decay") {
    experiment["training"]["valid_frequency"] = 2;
    experiment["criterion"] = {{"name", "LearnableCosineInfoNCE"}, {"min_temperature", 0.1}};
    experiment["optimizer"] = {{"weight_decay", 0.01}, {"amsgrad", true}};
    experiment["sampling"] = {{"conditional", "delta_normal"}, {"discrete", "direction"}};
  }
  const Workspace workspace;
  workspace.write_experiment(experiment);
  REQUIRE(run(workspace, "run", 3).code == 0);
  REQUIRE(run(workspace, "run", 7, {"--resume"}).code == 0);
  REQUIRE(run(workspace, "whole", 7).code == 0);
  check_same(workspace, "run", "whole");
  REQUIRE(run(workspace, "run", 7, {"--resume"}).code == 0);  // nothing left to do
  check_same(workspace, "run", "whole");
}

TEST_CASE("log lines that the checkpoint is behind of are written again") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(run(workspace, "run", 3).code == 0);
  std::ofstream(workspace / "run/log.jsonl", std::ios::app)
      << "{\"step\":\"4\"}\n7\n{\"step\":3,\"total\":9}\n{\"step\":4,\"to";
  REQUIRE(run(workspace, "run", 6, {"--resume"}).code == 0);
  REQUIRE(run(workspace, "whole", 6).code == 0);
  check_same(workspace, "run", "whole");
}

TEST_CASE("what cannot be resumed is refused and left as it is") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(run(workspace, "run", 6).code == 0);
  std::filesystem::create_directory(workspace / "torn");
  workspace.write("torn/checkpoint.safetensors",
                  workspace.bytes("run/checkpoint.safetensors").substr(0, 3000));
  struct Case {
    std::string folder;
    std::int64_t num_steps;
    Arguments more;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {"run", 6, {"--set", "seed=4"}, {"experiment.json: /seed: found 4; the run in run has 3;"}},
      {"run",
       9,
       {"--set", "training.batch_size=16"},
       {"/training/batch_size: found 16; the run in run has 32;", "/training/num_steps only"}},
      {"run",
       9,
       {"--set", "model.num_units=8"},
       {"/model/num_units: found 8; the run in run has 4"}},
      {"run",
       9,
       {"--set", "data.labels.more=recording/position.npy"},
       {"/data/labels/more: found ", "the run in run has nothing"}},
      {"run",
       5,
       {},
       {"experiment.json: /training/num_steps: found 5; must be at least 6, the steps"}},
      {"nothing",
       6,
       {},
       {"nothing/checkpoint.safetensors: no such file; there is nothing to resume"}},
      {"torn", 6, {}, {"torn/checkpoint.safetensors: is truncated"}},
  };
  const std::string before = workspace.bytes("run/experiment.json");
  for (const Case& c : cases) {
    Arguments more = c.more;
    more.emplace_back("--resume");
    const Outcome outcome = run(workspace, c.folder, c.num_steps, more);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    const std::vector<std::string> found = complaints(outcome);
    REQUIRE(found.size() == 1);
    CHECK(found[0].rfind("grevy: ", 0) == 0);
    for (const std::string& part : c.parts) CHECK_MESSAGE(contains(found[0], part), part);
  }
  CHECK(workspace.bytes("run/experiment.json") == before);
  CHECK_FALSE(workspace.has("nothing"));
}

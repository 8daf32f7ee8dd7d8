// What is left of a run that was stopped, killed or that could not write, and how it goes on.
#include "program.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace grevy::tests;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const fs::path kept = fs::path(GREVY_TEST_DATA) / "checkpoints";

json experiment(std::int64_t num_steps, std::int64_t save_frequency) {
  json document = Workspace::experiment();
  document["training"].update({{"num_steps", num_steps},
                               {"save_frequency", save_frequency},
                               {"valid_frequency", 2},
                               {"valid_batches", 1}});
  return document;
}

Outcome run(const Workspace& workspace, const std::string& folder, const Arguments& more = {},
            const Workspace::Watch& watch = {}) {
  Arguments arguments = {"run", "experiment.json", "--out", folder};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return workspace.grevy(arguments, watch);
}

void check_same(const Workspace& workspace, const std::string& a, const std::string& b) {
  for (const std::string file : {"/checkpoint.safetensors", "/best.safetensors", "/embedding.npy",
                                 "/log.jsonl", "/experiment.json"}) {
    CAPTURE(file);
    CHECK(workspace.bytes(a + file) == workspace.bytes(b + file));
  }
}

json info_of(const Workspace& workspace, const std::string& file, const char* key) {
  return json::parse(grevy::host::read_safetensors(workspace / file).metadata.at(key));
}

// Further names of the file keep what they had.
void damage(const Workspace& workspace, const std::string& file) {
  std::string bytes = workspace.bytes(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  fs::remove(workspace / file);
  workspace.write(file, bytes);
}

void check_fails(const Outcome& outcome, int code, const std::vector<std::string>& parts) {
  CAPTURE(outcome.err);
  CHECK(outcome.code == code);
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  for (const std::string& part : parts) CHECK_MESSAGE(contains(found[0], part), part);
}

// What is started while it lives may write no file longer than this.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &old_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
};

// The limit is for the program alone: this process's own output may be a file that is longer.
Outcome run_with_small_files(const Workspace& workspace, const std::string& folder,
                             const Arguments& more = {}) {
  std::optional<FileSizeLimit> limit(4096);
  return run(workspace, folder, more, [&](pid_t, const std::string&) { limit.reset(); });
}

// Does something once, when the program's stderr says `when`.
Workspace::Watch once(const std::string& when, const std::function<void(pid_t)>& action) {
  return [when, action, done = false](pid_t process, const std::string& err) mutable {
    if (done || !contains(err, when)) return;
    done = true;
    action(process);
  };
}

void check_near(const fs::path& a, const fs::path& b) {
  const auto first = grevy::host::Array::open(a), second = grevy::host::Array::open(b);
  REQUIRE(first.shape() == second.shape());
  const auto x = first.to_float32(), y = second.to_float32();
  for (std::int64_t i = 0; i < first.shape()[0] * first.shape()[1]; ++i)
    REQUIRE(std::abs(x.get()[i] - y.get()[i]) < 1e-4);
}

}  // namespace

TEST_CASE("the last checkpoints and the best are kept") {
  const Workspace workspace;
  workspace.write_experiment(experiment(6, 2));
  const Outcome outcome = run(workspace, "run", {"--set", "training.keep_checkpoints=3"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  for (const char* file : {"run/checkpoint-2.safetensors", "run/checkpoint-4.safetensors"})
    CHECK(workspace.has(file));
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "step") == 6);
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "threads") == 1);
  const json state = info_of(workspace, "run/checkpoint.safetensors", "run");
  CHECK(state.at("log_bytes") == workspace.bytes("run/log.jsonl").size());
  double lowest = INFINITY;
  std::int64_t step = 0;
  for (const std::string& line : lines_of(workspace.bytes("run/log.jsonl"))) {
    const json entry = json::parse(line);
    if (entry.value("validation", lowest) >= lowest) continue;
    lowest = entry.at("validation");
    step = entry.at("step").get<std::int64_t>() + 1;
  }
  CHECK(state.at("best") == json{{"step", step}, {"loss", lowest}});
  CHECK(info_of(workspace, "run/best.safetensors", "step") == step);
  const json best = workspace.json("run/summary.json").at("best");
  CHECK(best == json{{"step", step}, {"validation", lowest}});
  CHECK(contains(outcome.out, "lowest validation loss: "));
}

TEST_CASE("where the newest checkpoint is damaged, the one before it is used, and a line says so") {
  const Workspace workspace;
  workspace.write_experiment(experiment(6, 2));
  REQUIRE(run(workspace, "run").code == 0);
  REQUIRE(run(workspace, "whole").code == 0);
  REQUIRE(info_of(workspace, "run/best.safetensors", "step") == 6);
  for (const char* file : {"run/checkpoint.safetensors", "run/best.safetensors"})
    damage(workspace, file);
  const std::string line =
      "run/checkpoint.safetensors: is damaged: its bytes do not give its checksum; "
      "run/checkpoint-4.safetensors, of step 4, is used instead";
  const Arguments commands[] = {
      {"transform", "run", "recording/spikes.npy", "-o", "out.npy"},
      {"export", "run", "--out", "weights"},
      {"run", "experiment.json", "--out", "adapted", "--set", "adapt={\"run\": \"run\"}"}};
  for (const Arguments& command : commands) {
    const Outcome outcome = workspace.grevy(command);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.err, "warning: checkpoint: "));
    CHECK(contains(outcome.err, "is used instead"));
  }
  const Outcome resumed = run(workspace, "run", {"--resume"});
  CHECK_MESSAGE(contains(resumed.err, "warning: run: " + line), resumed.err);
  CHECK(resumed.code == 0);
  check_same(workspace, "run", "whole");
  CHECK(workspace.has("run/checkpoint.safetensors.damaged"));

  for (const std::string file :
       {"checkpoint.safetensors", "checkpoint-4.safetensors", "best.safetensors"})
    damage(workspace, "run/" + file);
  check_fails(run(workspace, "run", {"--resume"}), 2,
              {"run/checkpoint.safetensors: is damaged", "run/checkpoint-4.safetensors: is damaged",
               "run/best.safetensors: is damaged"});
}

TEST_CASE("a changed experiment goes on where that is allowed by name, and is recorded") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  Arguments more = {"--resume",
                    "--set",
                    "training.num_steps=6",
                    "--set",
                    "optimizer.learning_rate=0.02",
                    "--set",
                    "optimizer.betas=[0.8, 0.999]"};
  check_fails(run(workspace, "run", more), 2,
              {"experiment.json: /optimizer/betas/0: found 0.8; the run in run has 0.9; "
               "/optimizer/learning_rate: found 0.02; the run in run has 0.0003; a resumed run may "
               "change /training/num_steps only",
               "--allow /optimizer/betas/0 --allow /optimizer/learning_rate"});
  more.insert(more.end(), {"--allow", "/optimizer/learning_rate"});
  check_fails(run(workspace, "run", more), 2, {"experiment.json: /optimizer/betas/0: found 0.8"});
  more.insert(more.end(), {"--allow", "/optimizer/betas"});
  const Outcome outcome = run(workspace, "run", more);
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const json expected = {
      {{"step", 4}, {"name", "/optimizer/betas/0"}, {"from", 0.9}, {"to", 0.8}},
      {{"step", 4}, {"name", "/optimizer/learning_rate"}, {"from", 0.0003}, {"to", 0.02}}};
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "run").at("allowed") == expected);
  CHECK(workspace.json("run/summary.json").at("allowed") == expected);
  CHECK(
      contains(outcome.out, "changed from step 4 on: /optimizer/learning_rate, 0.0003 -> 0.02\n"));
  // It is the run's own from now on, and not forgotten.
  more.resize(7);
  more[2] = "training.num_steps=7";
  REQUIRE(run(workspace, "run", more).code == 0);
  CHECK(workspace.json("run/summary.json").at("allowed") == expected);
  check_fails(run(workspace, "run", {"--resume", "--allow", "seed"}), 2,
              {"--allow: found \"seed\"; must be a place in the experiment"});
  check_fails(run(workspace, "run", {"--allow", "/seed"}), 2, {"--allow requires --resume"});
}

TEST_CASE("a change that is allowed where no step is left is recorded as well") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  const Arguments rate = {"--resume", "--set", "optimizer.learning_rate=0.02"};
  Arguments allowed = rate;
  allowed.insert(allowed.end(), {"--allow", "/optimizer"});
  REQUIRE(run(workspace, "run", allowed).code == 0);
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "step") == 4);
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "run").at("allowed").size() == 1);
  // The run's own from now on.
  CHECK(run(workspace, "run", rate).code == 0);
  CHECK(workspace.json("run/summary.json").at("allowed").size() == 1);
  check_fails(run(workspace, "run", {"--resume"}), 2,
              {"/optimizer/learning_rate: found 0.0003; the run in run has 0.02"});
}

TEST_CASE("a best checkpoint that cannot be read ends the resumed run and stays where it is") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  fs::rename(workspace / "run/best.safetensors", workspace / "best.safetensors");
  fs::create_symlink("best.safetensors", workspace / "run/best.safetensors");  // to itself
  check_fails(run(workspace, "run", {"--resume", "--set", "training.num_steps=6"}), 3,
              {"run/best.safetensors: cannot be read: Too many levels of symbolic links; "
               "run/checkpoint.safetensors is intact, of step 4"});
  CHECK_FALSE(workspace.has("run/best.safetensors.damaged"));
  fs::rename(workspace / "best.safetensors", workspace / "run/best.safetensors");
  REQUIRE(run(workspace, "run", {"--resume", "--set", "training.num_steps=6"}).code == 0);
}

TEST_CASE("where the newest checkpoint is damaged and the best one is as new, that is used") {
  const Workspace workspace;
  workspace.write_experiment(experiment(6, 2));
  REQUIRE(run(workspace, "run").code == 0);
  REQUIRE(run(workspace, "whole").code == 0);
  // Into the file as it lies on the disk.
  std::fstream(workspace / "run/checkpoint.safetensors",
               std::ios::in | std::ios::out | std::ios::binary)
      << "x";
  const Outcome resumed = run(workspace, "run", {"--resume"});
  CHECK(resumed.code == 0);
  CHECK_MESSAGE(contains(resumed.err, "run/best.safetensors, of step 6, is used instead"),
                resumed.err);
  check_same(workspace, "run", "whole");
}

TEST_CASE("other data under the same name is a change as well") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  workspace.write("copy.npy", workspace.bytes("recording/spikes.npy"));
  grevy::host::SimulationOptions options;
  options.num_samples = 600;
  options.num_neurons = 6;
  options.seed = 9;
  grevy::host::write_recording(grevy::host::simulate(options), workspace / "recording");
  const Arguments more = {"--resume", "--set", "training.num_steps=6"};
  check_fails(run(workspace, "run", more), 2,
              {"/data/labels/position: found \"float32 [600, 1] sha256:",
               "/data/neural: found \"float32 [600, 6] sha256:",
               "; the run in run has \"float32 [600, 6] sha256:",
               "--allow /data/labels/position --allow /data/neural"});
  Arguments allowed = more;
  allowed.insert(allowed.end(), {"--allow", "/data"});
  const Outcome outcome = run(workspace, "run", allowed);
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  CHECK(contains(outcome.out, "changed from step 4 on: /data/neural, \"float32 [600, 6] sha256:"));
  // The run's own from now on; the data of before are a change again.
  CHECK(run(workspace, "run", {"--resume", "--set", "training.num_steps=6"}).code == 0);
  workspace.write("recording/spikes.npy", workspace.bytes("copy.npy"));
  check_fails(run(workspace, "run", more), 2, {"/data/neural: found \"float32 [600, 6] sha256:"});
}

TEST_CASE("the best checkpoint of another experiment is set aside, not compared with") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  REQUIRE(run(workspace, "other").code == 0);
  const json best = workspace.json("run/summary.json").at("best");
  const std::string name = "/best.safetensors", step = best.at("step").dump();
  // Its losses are comparable.
  REQUIRE(run(workspace, "run",
              {"--resume", "--set", "training.num_steps=5", "--set", "optimizer.eps=1e-7",
               "--allow", "/optimizer"})
              .code == 0);
  CHECK(workspace.json("run/summary.json").at("best") == best);
  CHECK(workspace.has("run" + name));
  const std::string before = workspace.bytes("other" + name);
  REQUIRE(run(workspace, "other",
              {"--resume", "--set", "training.num_steps=5", "--set", "criterion.temperature=5",
               "--allow", "/criterion"})
              .code == 0);
  CHECK_FALSE(workspace.json("other/summary.json").contains("best"));
  CHECK_FALSE(workspace.has("other" + name));
  CHECK(workspace.bytes("other" + name + ".before-" + step) == before);
  // Of what comes now the first is the lowest.
  REQUIRE(run(workspace, "other",
              {"--resume", "--set", "training.num_steps=6", "--set", "criterion.temperature=5"})
              .code == 0);
  CHECK(workspace.json("other/summary.json").at("best").at("step") == 6);
  CHECK(info_of(workspace, "other/best.safetensors", "step") == 6);
  REQUIRE(run(workspace, "other", {"--force"}).code == 0);
  CHECK_FALSE(workspace.has("other" + name + ".before-" + step));
}

TEST_CASE("a resumed run that is killed leaves no results of the run before") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  for (const char* file : {"run/summary.json", "run/embedding.npy"}) REQUIRE(workspace.has(file));
  const Outcome killed = run(workspace, "run", {"--resume", "--set", "training.num_steps=1000000"},
                             once("step ", [](pid_t process) { ::kill(process, SIGKILL); }));
  CHECK(killed.code == 137);
  for (const char* file : {"run/summary.json", "run/embedding.npy"})
    CHECK_FALSE(workspace.has(file));
  CHECK(info_of(workspace, "run/checkpoint.safetensors", "step") >= 4);
}

TEST_CASE("another number of threads is a change as well") {
  const Workspace workspace;
  workspace.write_experiment(experiment(4, 2));
  REQUIRE(run(workspace, "run").code == 0);
  const Arguments more = {"--resume", "--set", "threads=2"};
  check_fails(run(workspace, "run", more), 2, {"/threads: found 2; the run in run has 1;"});
  CHECK(run(workspace, "run", {"--resume", "--set", "threads=2", "--allow", "/threads"}).code == 0);
}

TEST_CASE("checkpoints of every format embed as they did") {
  const Workspace workspace;
  for (const std::string format : {"1", "2"}) {
    CAPTURE(format);
    const fs::path folder = kept / format;
    const Outcome outcome =
        workspace.grevy({"transform", (folder / "checkpoint.safetensors").string(),
                         (folder / "recording/spikes.npy").string(), "-o", "out.npy"});
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    check_near(workspace / "out.npy", folder / "embedding.npy");
  }
}

TEST_CASE("runs of every format go on, with other plugins where that is allowed") {
  const Workspace workspace;
  for (const std::string format : {"1", "2"}) {
    CAPTURE(format);
    fs::copy(kept / format, workspace / format, fs::copy_options::recursive);
    Arguments more = {"run",   format + "/experiment.json", "--out",    format,
                      "--set", "training.num_steps=8",      "--resume", "--allow",
                      "/data"};
    check_fails(workspace.grevy(more), 2,
                {"plugin:grevy.models: found {\"sha256\":\"",
                 "; the run in " + format + " has {\"sha256\":\"",
                 "--allow plugin:grevy.criterions --allow plugin:grevy.models --allow "
                 "plugin:grevy.solvers"});
    for (const char* plugin : {"criterions", "models", "solvers"})
      more.insert(more.end(), {"--allow", std::string("plugin:grevy.") + plugin});
    const Outcome outcome = workspace.grevy(more);
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    const std::string log = workspace.bytes(format + "/log.jsonl");
    CHECK(lines_of(log).size() == 8);
    CHECK(log.rfind(file_bytes(kept / format / "log.jsonl"), 0) == 0);
    CHECK(workspace.json(format + "/summary.json").at("allowed").size() == 6);
  }
}

TEST_CASE("what a killed process has left half written is removed") {
  const Workspace workspace;
  workspace.write_experiment();
  fs::create_directory(workspace / "run");
  workspace.write("run/.grevy-1-0.tmp", "half");
  REQUIRE(run(workspace, "run").code == 0);
  CHECK_FALSE(workspace.has("run/.grevy-1-0.tmp"));
  workspace.write("run/embedding.npy.tmp-1-0", "half");
  REQUIRE(run(workspace, "run", {"--resume"}).code == 0);
  CHECK_FALSE(workspace.has("run/embedding.npy.tmp-1-0"));
}

TEST_CASE("a run killed before its first checkpoint begins anew") {
  const Workspace workspace;
  workspace.write_experiment(experiment(6, 2));
  REQUIRE(run(workspace, "whole").code == 0);
  fs::create_directory(workspace / "run");
  for (const std::string file : {"/experiment.json", "/log.jsonl"})
    workspace.write("run" + file, workspace.bytes("whole" + file));
  const Outcome outcome = run(workspace, "run", {"--resume"});
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.err, "warning: run: run: has no checkpoint yet; the run begins anew"));
  check_same(workspace, "run", "whole");
}

TEST_CASE("a run that is killed goes on from its last checkpoint") {
  const Workspace workspace;
  workspace.write_experiment(experiment(40, 1));
  REQUIRE(run(workspace, "whole").code == 0);
  const Outcome killed =
      run(workspace, "run", {}, once("step 1/", [](pid_t process) { ::kill(process, SIGKILL); }));
  CHECK(killed.code == 137);
  REQUIRE(run(workspace, "run", {"--resume"}).code == 0);
  check_same(workspace, "run", "whole");
}

TEST_CASE("a second SIGINT leaves at once, and the run goes on all the same") {
  const Workspace workspace;
  workspace.write_experiment(experiment(40, 1));
  REQUIRE(run(workspace, "whole").code == 0);
  const Outcome stopped = run(workspace, "run", {}, once("step 1/", [](pid_t process) {
                                for (int i = 0; i < 2; ++i) ::kill(process, SIGINT);
                              }));
  CHECK(stopped.code == 130);
  REQUIRE(run(workspace, "run", {"--resume"}).code == 0);
  check_same(workspace, "run", "whole");
}

TEST_CASE("a signal before the first step ends the program and leaves nothing behind") {
  const Workspace workspace;
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), {SIGTERM, 143}}) {
    REQUIRE(::mkfifo((workspace / "experiment.json").c_str(), 0600) == 0);
    // It reads its experiment once the other end is open.
    const Outcome outcome = run(workspace, "run", {}, once("", [&, number = signal](pid_t process) {
                                  std::ofstream end(workspace / "experiment.json");
                                  ::kill(process, number);
                                }));
    CHECK(outcome.code == code);
    CHECK_FALSE(workspace.has("run"));
    fs::remove(workspace / "experiment.json");
  }
}

TEST_CASE(
    "a signal while the recording is embedded: the steps are stored, the rest is done later") {
  const Workspace workspace;
  grevy::host::SimulationOptions options;
  options.num_samples = 400'000;
  options.num_neurons = 6;
  grevy::host::write_recording(grevy::host::simulate(options), workspace / "recording");
  json document = experiment(1, 1);
  document["evaluation"]["max_samples"] = 200;
  workspace.write_experiment(document);
  const Outcome stopped =
      run(workspace, "run", {}, once("step 1/1", [](pid_t process) { ::kill(process, SIGINT); }));
  CHECK(stopped.code == 130);
  CHECK(contains(stopped.out, "No evaluation: stopped on request"));
  const json summary = workspace.json("run/summary.json");
  CHECK(summary.at("finished") == false);
  CHECK(summary.at("step") == 1);
  for (const auto& entry : fs::directory_iterator(workspace / "run"))
    CHECK_FALSE(contains(entry.path().filename().string(), "embedding"));
  REQUIRE(run(workspace, "run", {"--resume"}).code == 0);
  CHECK(workspace.json("run/summary.json").at("finished") == true);
  CHECK(grevy::host::Array::open(workspace / "run/embedding.npy").shape()[0] == 400'000);
}

TEST_CASE("where files may not grow, what there is stays, and a line says what that is") {
  const Workspace workspace;
  workspace.write_experiment(experiment(6, 2));
  check_fails(run_with_small_files(workspace, "none"), 3,
              {"none/checkpoint.safetensors: cannot be written: writing a temporary file in its "
               "folder: File too large; no checkpoint is stored"});
  REQUIRE(run(workspace, "run", {"--set", "training.num_steps=3"}).code == 0);
  const std::string before = workspace.bytes("run/checkpoint.safetensors");
  check_fails(run_with_small_files(workspace, "run", {"--resume"}), 3,
              {"run/checkpoint.safetensors: cannot be written: ",
               "File too large; run/checkpoint.safetensors is intact, of step 3"});
  CHECK(workspace.bytes("run/checkpoint.safetensors") == before);
  REQUIRE(run(workspace, "run", {"--resume"}).code == 0);
  REQUIRE(run(workspace, "whole").code == 0);
  check_same(workspace, "run", "whole");
}

namespace {

// Once it holds a checkpoint. A process that is given is stopped before.
void move_away(const Workspace& workspace, pid_t process = 0) {
  for (int i = 0; i < 3000 && !workspace.has("run/checkpoint.safetensors"); ++i) ::usleep(10'000);
  if (process != 0) ::kill(process, SIGSTOP);
  fs::rename(workspace / "run", workspace / "moved");
}

}  // namespace

TEST_CASE("a folder that vanishes during the run") {
  const Workspace workspace;
  workspace.write_experiment(experiment(1000000, 1));
  const Outcome outcome =
      run(workspace, "run", {}, once("step 1/", [&](pid_t) { move_away(workspace); }));
  // Which of the two it is depends on the moment.
  check_fails(outcome, 3,
              {"run", ": cannot be written: ", "moved/checkpoint.safetensors is intact"});
  fs::rename(workspace / "moved", workspace / "run");
  CHECK(run(workspace, "run", {"--resume", "--set", "training.num_steps=1000000"},
            once("step", [](pid_t process) { ::kill(process, SIGINT); }))
            .code == 130);
}

TEST_CASE("a run whose folder was moved away writes nothing into that of the next one") {
  const Workspace workspace;
  json document = experiment(1000000, 40);
  document["training"]["valid_frequency"] = nullptr;
  workspace.write_experiment(document);  // stores seldom: it is stopped between two of them
  workspace.write_experiment(experiment(6, 2), "short.json");
  const auto short_run = [&](const std::string& folder) {
    return workspace.grevy({"run", "short.json", "--out", folder});
  };
  REQUIRE(short_run("whole").code == 0);
  const Outcome outcome = run(workspace, "run", {}, once("step 1/", [&](pid_t process) {
                                move_away(workspace, process);
                                CHECK(short_run("run").code == 0);
                                ::kill(process, SIGCONT);
                              }));
  check_fails(outcome, 3, {"run", "moved/checkpoint.safetensors is intact, of step "});
  check_same(workspace, "run", "whole");
  CHECK(workspace.json("run/summary.json").at("finished") == true);
  std::vector<std::string> names[2];
  for (const int i : {0, 1}) {
    for (const auto& entry : fs::directory_iterator(workspace / (i == 0 ? "run" : "whole")))
      names[i].push_back(entry.path().filename().string());
    std::sort(names[i].begin(), names[i].end());
  }
  CHECK(names[0] == names[1]);
}

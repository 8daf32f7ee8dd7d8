// The folder of a run is moved away, and another run's folder is in its place.
#include "site.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace grevy::tests;

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t num_steps = 12, save_frequency = 3;

// Names and bytes of all that is in a folder.
std::map<std::string, std::string> content_of(const fs::path& folder) {
  std::map<std::string, std::string> content;
  for (const fs::path& file : files_of(folder)) content[file.filename()] = file_bytes(file);
  return content;
}

// A finished run of another seed, in the folder "other".
void make_other(const Site& site) {
  const Workspace& workspace = site.workspace();
  REQUIRE(site.run({"--set", "seed=8"}).code == 0);
  fs::rename(workspace / "run", workspace / "another");
}

// The run is stopped before a call, finds another folder in the place of its own when it goes on,
// and ends with an error, unless all was done already. Nothing of the other folder is touched; its
// own can be read, and goes on when it is back.
void check_moved(Site& site, Start start, const std::vector<Call>& calls, std::size_t at) {
  site.prepare(start);
  const Workspace& workspace = site.workspace();
  Fault stop;
  stop.at = static_cast<long>(at) + 1;
  stop.action = "stop";
  LoadedProgram::Conditions conditions;
  conditions.meanwhile = [&](pid_t process) {
    if (!wait_for_stop(process)) return;
    if (workspace.has("run")) fs::rename(workspace / "run", workspace / "moved");
    fs::copy(workspace / "another", workspace / "run");
    ::kill(process, SIGCONT);
  };
  const Arguments option = start == Start::fresh ? Arguments{} : Arguments{"--resume"};
  const Outcome outcome = site.run(option, stop, conditions);
  INFO(to_string(start) << ", moved before " << calls[at].kind << " " << calls[at].path
                        << ": exit code " << outcome.code << "\n"
                        << outcome.err);
  CHECK(content_of(workspace / "run") == content_of(workspace / "another"));
  if (!workspace.has("moved")) {  // before the run had made it
    CHECK(outcome.code == 2);
    return;
  }
  const bool is_done = workspace.has("moved/summary.json") && outcome.code == 0;
  if (!is_done) check_failed(outcome, std::vector<std::string>{"meanwhile"});
  fs::remove_all(workspace / "run");
  fs::rename(workspace / "moved", workspace / "run");
  site.check_readable(false);
  site.check_recovery();
}

// Every `stride`-th call of a fresh and of a resumed run, from a place of its own.
void check_every(std::size_t stride) {
  Site site(num_steps, save_frequency);
  make_other(site);
  for (const Start start : {Start::fresh, Start::resumed}) {
    const std::vector<Call> calls = site.calls(start);
    REQUIRE(calls.size() > stride);
    for (std::size_t i = fault_seed() % stride; i < calls.size(); i += stride)
      check_moved(site, start, calls, i);
  }
}

}  // namespace

TEST_CASE("a run whose folder is moved away before some calls harms nothing in its place") {
  check_every(11);
}

TEST_CASE("a checkpoint of Python is not imported into what took the folder's place") {
  const Workspace workspace;
  const fs::path folder = fs::canonical(workspace / "");
  const auto import = [&](const Fault& fault, LoadedProgram::Conditions conditions) {
    conditions.environment = environment_of(fault, folder / "run");
    return LoadedProgram::run(
        folder, {"import", GREVY_TEST_DATA "/torch/estimator.pt", "--out", "run"}, conditions);
  };
  Fault fault;
  fault.record = workspace / "calls";
  REQUIRE(import(fault, {}).code == 0);
  const auto num_calls = static_cast<long>(lines_of(file_bytes(fault.record)).size());
  REQUIRE(num_calls > 10);
  fault.action = "stop";
  for (fault.at = 3; fault.at <= num_calls; fault.at += 5) {
    CAPTURE(fault.at);
    for (const char* name : {"run", "moved"}) fs::remove_all(workspace / name);
    LoadedProgram::Conditions conditions;
    conditions.meanwhile = [&](pid_t process) {
      if (!wait_for_stop(process)) return;
      fs::rename(workspace / "run", workspace / "moved");
      fs::create_directory(workspace / "run");
      ::kill(process, SIGCONT);
    };
    const Outcome outcome = import(fault, conditions);
    INFO(outcome.err);
    CHECK(fs::is_empty(workspace / "run"));
    if (!workspace.has("moved/summary.json")) {
      CHECK(outcome.code == 3);
      CHECK(contains(outcome.err, "run: cannot be written: the run's folder was moved away"));
    }
  }
}

TEST_SUITE("long") {
  TEST_CASE("a run whose folder is moved away before any call harms nothing in its place") {
    check_every(1);
  }
}

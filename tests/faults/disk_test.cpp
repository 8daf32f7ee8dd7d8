// Limits, file systems that refuse, folders that go away or belong to another run.
#include "site.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

using namespace grevy::tests;

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t num_steps = 12, save_frequency = 3;
const Arguments endless = {"--set", "training.num_steps=1000000"};

// Waits until the run has stored something, and is in the midst of its steps.
void wait_for_checkpoint(const Workspace& workspace) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!workspace.has("run/checkpoint.safetensors")) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// The run goes on without end while `harm` is done to its folder.
Outcome run_and_harm(const Site& site, const std::function<void()>& harm) {
  LoadedProgram::Conditions conditions;
  conditions.meanwhile = [&](pid_t) {
    wait_for_checkpoint(site.workspace());
    harm();
  };
  return site.run(endless, {}, conditions);
}

}  // namespace

TEST_CASE("a limit on the size of files is an error, not a signal") {
  Site site(num_steps, save_frequency);
  for (const std::uint64_t size : {1000, 1500, 5000}) {
    CAPTURE(size);
    site.prepare(Start::fresh);
    LoadedProgram::Conditions conditions;
    conditions.largest_file = size;
    check_failed(site.run(Arguments{}, {}, conditions), EFBIG);
    site.check_readable(false);
    site.check_recovery();
  }
}

TEST_CASE("a folder that is removed, moved away or replaced while the run goes on") {
  Site site(num_steps, save_frequency);
  const Workspace& workspace = site.workspace();
  // Depending on what the run was doing.
  const std::vector<std::string> texts = {std::strerror(ENOENT), "removed meanwhile",
                                          "replaced meanwhile"};
  std::function<void()> harm;
  SUBCASE("removed") {
    harm = [&] {
      fs::rename(workspace / "run", workspace / "gone");  // at once, unlike removing
      // The run may be writing there.
      for (std::error_code busy; workspace.has("gone");) fs::remove_all(workspace / "gone", busy);
    };
  }
  SUBCASE("a file in its place") {
    harm = [&] {
      fs::rename(workspace / "run", workspace / "gone");
      workspace.write("run", "a file");
    };
  }
  check_failed(run_and_harm(site, harm), texts);
}

TEST_CASE("the second run on a folder is refused and harms nothing") {
  Site site(num_steps, save_frequency);
  site.prepare(Start::fresh);
  std::vector<Outcome> refused;
  LoadedProgram::Conditions conditions;
  conditions.meanwhile = [&](pid_t first) {
    wait_for_checkpoint(site.workspace());
    for (const char* option : {"--resume", "--force"}) refused.push_back(site.run({option}));
    ::kill(first, SIGTERM);
  };
  const Outcome first = site.run(endless, {}, conditions);
  CHECK(first.code == 128 + SIGTERM);
  CHECK(complaints(first).empty());
  for (const Outcome& outcome : refused) {
    CHECK(outcome.code == 2);
    REQUIRE(complaints(outcome).size() == 1);
    CHECK(contains(complaints(outcome)[0], "run: another run is using this folder"));
  }
  site.check_readable(false);
}

TEST_CASE("a file system that is read-only from the start") {
  Site site(num_steps, save_frequency);
  for (const Start start : {Start::fresh, Start::resumed, Start::forced}) {
    CAPTURE(to_string(start));
    site.prepare(start);
    Fault fault;
    fault.at = 1;
    fault.lasts = true;
    fault.error = "EROFS";
    fault.calls = "open,write,rename,unlink,mkdir,truncate";
    check_failed(site.run(start, fault), EROFS);
    site.check_readable(false);
    site.check_recovery();
  }
}

TEST_CASE("going on in a read-only folder with leftovers says which checkpoint is intact") {
  Site site(num_steps, save_frequency);
  site.prepare(Start::resumed);
  site.workspace().write("run/.grevy-1-0.tmp", "half");
  Fault fault;
  fault.at = 1;
  fault.lasts = true;
  fault.error = "EROFS";
  const Outcome outcome = site.run(Start::resumed, fault);
  check_failed(outcome, EROFS);
  CHECK(contains(outcome.err, "run/.grevy-1-0.tmp: cannot be removed"));
  CHECK(contains(outcome.err, "; run/checkpoint.safetensors is intact, of step 6"));
}

TEST_CASE("a file system that has no locks, or none of folders, locks nothing") {
  Site site(num_steps, save_frequency);
  for (const char* error : {"ENOLCK", "EOPNOTSUPP"}) {
    CAPTURE(error);
    site.prepare(Start::fresh);
    Fault fault;
    fault.at = 1;
    fault.error = error;
    fault.calls = "lock";
    fault.record = site.workspace() / error;
    CHECK(site.run(Start::fresh, fault).code == 0);
    CHECK(file_bytes(fault.record) == "lock .\n");
    site.check_same();
  }
}

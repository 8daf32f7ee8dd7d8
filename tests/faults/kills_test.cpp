// SIGKILL, SIGTERM and SIGINT at random moments.
#include "site.hpp"

#include <grevy/host/random.hpp>

#include <doctest/doctest.h>

#include <cstdlib>

using namespace grevy::tests;
using grevy::host::Random;

namespace {

constexpr std::int64_t num_steps = 150, few_steps = 24, save_frequency = 5;

// A moment of a run, in microseconds from its first call on the folder.
long moment(Random& random, const Site& site, double share = 1) {
  return 1 + static_cast<long>(random.uniform() * share * 1e6 * site.seconds());
}

Fault signal_at(int number, long delay, long interval = 0) {
  Fault fault;
  fault.signal = number;
  fault.delay = delay;
  fault.interval = interval;
  return fault;
}

// Kills and resumes one run until it is killed `length` times or ends before. Returns the kills.
int kill_again_and_again(Site& site, Random& random, int length) {
  site.prepare(Start::fresh);
  int num_kills = 0;
  for (Start start = Start::fresh; num_kills < length; ++num_kills) {
    const Fault fault = signal_at(SIGKILL, moment(random, site, 2.0 / (length + 1)));
    const Outcome outcome = site.run(start, fault);
    INFO(describe(fault) << ": " << outcome.err);
    site.check_readable(true);
    if (outcome.code == 0) break;
    REQUIRE(outcome.code == 128 + SIGKILL);
    CHECK(complaints(outcome).empty());
    start = site.has_checkpoint() ? Start::resumed : Start::forced;
  }
  site.check_recovery();
  return num_kills;
}

// `chains` of them; how many kills there were.
int kill_chains(Site& site, int chains, int length) {
  Random random(fault_seed(), "kills");
  int num_kills = 0;
  for (int i = 0; i < chains; ++i) num_kills += kill_again_and_again(site, random, length);
  return num_kills;
}

const Past stopped = [] {
  Past past;
  past.was_stopped = true;
  return past;
}();

// A signal that asks to stop: the step is finished and everything stored, so that nothing is lost.
void check_stop(Site& site, int number, long delay) {
  site.prepare(Start::fresh);
  const Fault fault = signal_at(number, delay);
  const Outcome outcome = site.run(Start::fresh, fault);
  INFO(describe(fault) << ": exit code " << outcome.code << "\n" << outcome.err);
  CHECK(complaints(outcome).empty());
  site.check_readable(false);
  if (outcome.code == 0) return site.check_same();  // it came after the last step
  site.expect(stopped);
  REQUIRE(outcome.code == 128 + number);
  CHECK(site.workspace().json("run/summary.json").at("finished") == false);
  const auto logged = lines_of(site.workspace().bytes("run/log.jsonl")).size();
  CHECK(site.workspace().json("run/summary.json").at("step") == logged);
  site.check_recovery();
}

// The second one ends the program wherever it is.
void check_two_stops(Site& site, long delay, long interval) {
  site.prepare(Start::fresh);
  const Fault fault = signal_at(SIGINT, delay, interval);
  const Outcome outcome = site.run(Start::fresh, fault);
  INFO(describe(fault) << ": exit code " << outcome.code << "\n" << outcome.err);
  CHECK(complaints(outcome).empty());
  CHECK((outcome.code == 128 + SIGINT || outcome.code == 0));
  site.expect(stopped);
  site.check_readable(true);
  site.check_recovery();
}

void check_stops(Site& site, int count) {
  Random random(fault_seed(), "stops");
  for (int i = 0; i < count; ++i) {
    check_stop(site, i % 2 == 0 ? SIGINT : SIGTERM, moment(random, site));
    check_two_stops(site, moment(random, site), 20 + random.below(5000));
  }
}

}  // namespace

TEST_CASE("kill -9 at any moment, again and again: a resumed run is as if nothing had been") {
  Site site(num_steps, save_frequency);
  CHECK(kill_chains(site, 3, 4) > 0);
}

// Every fourth; other ones for other seeds.
TEST_CASE("some solvers, with one thread and with two: killed runs go on as if nothing had been") {
  for (std::size_t i = fault_seed() % 4; i < experiments().size(); i += 4) {
    Site site(experiments()[i], few_steps, save_frequency);
    kill_chains(site, 1, 2);
  }
}

TEST_CASE("one signal stores and stops, a second one stops at once") {
  Site site(num_steps, save_frequency);
  check_stops(site, 2);
}

TEST_CASE("the shim meets a program of its own, too") {
  const Workspace workspace;
  workspace.write_experiment();
  const Arguments arguments = {"run", "experiment.json", "--out", "run"};
  Fault fault;
  fault.at = 30;
  fault.action = "kill";
  Environment settings = environment_of(fault, std::filesystem::canonical(workspace / "") / "run");
  settings["LD_PRELOAD"] = GREVY_FAULT_SHIM;
  for (const auto& [name, value] : settings) ::setenv(name.c_str(), value.c_str(), 1);
  const Outcome killed = workspace.grevy(arguments);
  for (const auto& [name, value] : settings) ::unsetenv(name.c_str());
  CHECK(killed.code == 128 + SIGKILL);
  CHECK(workspace.has("run/experiment.json"));
  CHECK_FALSE(workspace.has("run/summary.json"));
}

TEST_SUITE("long") {
  TEST_CASE("hundreds of kills, singly and in chains") {
    Site site(num_steps, save_frequency);
    const int single = kill_chains(site, 100, 1), chained = kill_chains(site, 10, 10);
    MESSAGE(single << " single kills, " << chained << " in chains");
    CHECK(single > 70);
    CHECK(chained > 50);
  }
  TEST_CASE("hundreds of kills of every other experiment, and stops") {
    for (const Experiment& experiment : experiments()) {
      if (experiment.name == experiments().front().name) continue;
      Site site(experiment, few_steps, save_frequency);
      const int single = kill_chains(site, 10, 1), chained = kill_chains(site, 3, 5);
      MESSAGE(experiment.name << ": " << single << " single kills, " << chained << " in chains");
      CHECK(single > 3);
      CHECK(chained > 3);
      check_stops(site, 2);
    }
  }
  TEST_CASE("a hundred stops") {
    Site site(num_steps, save_frequency);
    check_stops(site, 50);
  }
}

// Every call on a file of the run folder fails, is torn, or is the last thing that the process
// does.
#include "site.hpp"

#include <grevy/host/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>

using namespace grevy::tests;

namespace {

constexpr std::int64_t num_steps = 12, few_steps = 6, save_frequency = 3;
constexpr Start starts[] = {Start::fresh, Start::resumed, Start::forced};
const std::string taking_space = "open,write,mkdir,truncate";
const std::string changing = "open,rename,unlink,mkdir,truncate";

struct Case {
  Start start;
  Fault fault;
  std::string kind;  // of the call that is met
};

bool is_one_of(const std::string& kind, const std::string& kinds) {
  return contains("," + kinds + ",", "," + kind + ",");
}

std::int64_t count(const std::vector<Call>& calls, const std::string& kinds) {
  return std::count_if(calls.begin(), calls.end(),
                       [&](const Call& call) { return is_one_of(call.kind, kinds); });
}

Fault at(std::size_t call, const char* action) {
  Fault fault;
  fault.at = static_cast<long>(call);
  fault.action = action;
  return fault;
}

// Once, at every call; what is killed after a call is killed before the next.
void add_single(Start start, const std::vector<Call>& calls, std::vector<Case>& cases) {
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (const char* action : {"fail", "kill"})
      cases.push_back({start, at(i + 1, action), calls[i].kind});
    if (calls[i].kind != "write") continue;
    for (const char* action : {"short", "kill-torn"})
      cases.push_back({start, at(i + 1, action), calls[i].kind});
  }
}

// A disk or a quota that is full, and a file system that has become read-only.
void add_lasting(Start start, const std::vector<Call>& calls, std::vector<Case>& cases) {
  const auto add = [&](const std::string& kinds, std::vector<std::string> errors) {
    for (std::int64_t i = 0; i < count(calls, kinds); ++i) {
      Fault fault = at(static_cast<std::size_t>(i) + 1, "tear");
      fault.calls = kinds;
      fault.lasts = true;
      fault.error = errors[static_cast<std::size_t>(i) % errors.size()];
      cases.push_back({start, fault, ""});
    }
  };
  add(taking_space, {"ENOSPC", "EDQUOT"});
  add(changing, {"EROFS"});
}

std::vector<Case> all_cases(Site& site) {
  std::vector<Case> cases;
  for (const Start start : starts) {
    const std::vector<Call> calls = site.calls(start);
    REQUIRE(calls.size() > 50);
    add_single(start, calls, cases);
    add_lasting(start, calls, cases);
  }
  return cases;
}

std::string text_of(const std::string& error) {
  const std::pair<const char*, int> numbers[] = {
      {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}};
  for (const auto& [name, number] : numbers)
    if (error == name) return std::strerror(number);
  return "";
}

// One line that names a file and says what the system said.
void check_complaint(const Outcome& outcome, const Fault& fault) {
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rfind("grevy: run", 0) == 0);
  CHECK(contains(found[0], "cannot be "));
  CHECK(contains(found[0], text_of(fault.error)));
}

void check(Site& site, const Case& c) {
  site.prepare(c.start);
  const Outcome outcome = site.run(c.start, c.fault);
  INFO(to_string(c.start) << ", " << describe(c.fault) << ": exit code " << outcome.code << "\n"
                          << outcome.err);
  // What was synced before needs no closing; a name of a file that is in place already may stay.
  const bool is_harmless =
      c.fault.action == "short" || ((c.kind == "close" || c.kind == "unlink") && outcome.code == 0);
  const bool killed = c.fault.action.rfind("kill", 0) == 0;
  const int expected = is_harmless ? 0 : killed ? 128 + SIGKILL : 3;
  CHECK(outcome.code == expected);
  if (outcome.code != expected) return;
  if (is_harmless) return site.check_same();
  if (!killed) check_complaint(outcome, c.fault);
  site.check_readable(killed || c.fault.error == "EROFS");
  site.check_recovery();
}

// `count` of them, different ones for different seeds.
std::vector<Case> some_of(std::vector<Case> cases, std::size_t count) {
  grevy::host::Random random(fault_seed(), "cases");
  for (std::size_t i = 0; i < count; ++i) {
    const auto rest = static_cast<std::int64_t>(cases.size() - i);
    std::swap(cases[i], cases[i + static_cast<std::size_t>(random.below(rest))]);
  }
  cases.resize(count);
  return cases;
}

}  // namespace

TEST_CASE("some calls on the run folder fail, are torn, or are the last: nothing is lost") {
  Site site(num_steps, save_frequency);
  for (const Case& c : some_of(all_cases(site), 24)) check(site, c);
}

TEST_CASE("some calls of a run of two sessions that keeps three checkpoints and the best") {
  Site site(experiment("multi-session"), few_steps, save_frequency);
  for (const Case& c : some_of(all_cases(site), 8)) check(site, c);
}

TEST_SUITE("long") {
  TEST_CASE("every call on the run folder fails, is torn, or is the last: nothing is lost") {
    Site site(num_steps, save_frequency);
    const std::vector<Case> cases = all_cases(site);
    for (const Case& c : cases) check(site, c);
    MESSAGE(cases.size() << " faults");
  }
  TEST_CASE("every call of runs of other experiments") {
    for (const char* name : {"multi-session", "masks and amsgrad", "steps left out"}) {
      Site site(experiment(name), few_steps, save_frequency);
      const std::vector<Case> cases = all_cases(site);
      for (const Case& c : cases) check(site, c);
      MESSAGE(std::string(name) << ": " << cases.size() << " faults");
    }
  }
}

// What a loss of power leaves is what a kill leaves only if this holds.
TEST_CASE("a file is synced before it gets its name, and the folder after") {
  Site site(num_steps, save_frequency);
  std::set<std::string> synced;
  bool is_renamed = false;
  int num_renames = 0;
  for (const Call& call : site.calls(Start::fresh)) {
    CAPTURE(call.kind);
    CAPTURE(call.path);
    if (call.kind == "open" || call.kind == "write") synced.erase(call.path);
    if (call.kind == "open") CHECK_FALSE(is_renamed);
    if (call.kind == "sync") synced.insert(call.path);
    if (call.kind == "sync" && call.path == ".") is_renamed = false;
    if (call.kind != "rename") continue;
    CHECK(synced.count(call.path) == 1);
    synced.insert(call.target);
    is_renamed = true;
    ++num_renames;
  }
  CHECK_FALSE(is_renamed);
  CHECK(num_renames >= 8);
}

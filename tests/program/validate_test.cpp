#include "program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <elf.h>

using namespace grevy::tests;
using nlohmann::json;

namespace {

std::string bad(const std::string& name) {
  return std::string(GREVY_TEST_PLUGINS) + "/bad/" + name + "/" + name + ".so";
}
std::string good(const std::string& name) {
  return std::string(GREVY_TEST_PLUGINS) + "/good/" + name + ".so";
}
std::string builtin(const std::string& name) {
  return std::string(GREVY_BUILTIN_PLUGINS) + "/grevy-" + name + ".so";
}

Outcome validate(const Workspace& workspace, Arguments arguments) {
  arguments.insert(arguments.begin(), "validate");
  return workspace.grevy(arguments);
}

json document_of(const Workspace& workspace, Arguments arguments) {
  arguments.emplace_back("--json");
  return json::parse(validate(workspace, arguments).out);
}

// The entry of a check, null where it was not made.
json entry_of(const json& document, const std::string& check) {
  for (const json& entry : document.at("checks"))
    if (entry.at("check") == check) return entry;
  return nullptr;
}

std::string status_of(const json& document, const std::string& check) {
  const json entry = entry_of(document, check);
  return entry.is_null() ? "not made" : entry.at("status").get<std::string>();
}

// What a failure says; empty where it passed.
std::string failure_of(const json& document, const std::string& check) {
  const json entry = entry_of(document, check);
  return entry.is_null() || entry.at("status") != "FAILED" ? ""
                                                           : entry.at("reason").get<std::string>();
}

void check_passes(const Workspace& workspace, const Arguments& arguments) {
  CAPTURE(arguments);
  const Outcome outcome = validate(workspace, arguments);
  CHECK_MESSAGE(outcome.code == 0, outcome.out << outcome.err);
  CHECK(contains(outcome.out, " ok, 0 failed, "));
}

// A bad plugin, the checks that it fails, and what the first of them says.
struct BadPlugin {
  const char* name;
  std::vector<std::string> checks;
  const char* reason;
};

void check_fails(const Workspace& workspace, const BadPlugin& plugin) {
  CAPTURE(std::string(plugin.name));
  const json document = document_of(workspace, {bad(plugin.name)});
  json failed = json::array();
  for (const json& entry : document.at("checks"))
    if (entry.at("status") == "FAILED") failed.push_back(entry.at("check"));
  CHECK(failed.dump() == json(plugin.checks).dump());
  CHECK(document.at("passed") == false);
  CHECK(document.at("failed") == failed.size());
  const std::string reason = failure_of(document, plugin.checks.front());
  CHECK_MESSAGE(contains(reason, plugin.reason), reason);
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

TEST_CASE("good plugins pass") {
  const Workspace workspace;
  check_passes(workspace, {good("shortest")});
  check_passes(workspace, {good("models")});
  check_passes(workspace, {good("in-batch")});
}

TEST_CASE("bad plugins fail at the check that is meant for them") {
  const Workspace workspace;
  const BadPlugin plugins[] = {
      {"other-libtorch", {"manifest"}, "was built against \"libtorch 0.4.1"},
      {"no-entry", {"exports", "descriptor"}, "does not export grevy_plugin_entry_v1"},
      {"throws-int", {"evaluates"}, "threw something that is no std::exception"},
      {"nan-loss", {"gradient", "extremes", "instances"}, "central differences give nan"},
      {"partly-detached", {"gradient"}, "d loss / d reference[0, 0] is "},
      {"aborts", {"description"}, "crashed: SIGABRT"},
      {"always-drops",
       {"evaluation", "round-trip", "gradient", "instances"},
       "the same windows gave"},
      {"ignores-stop", {"resume", "stop", "validation"}, "4 + 4 through a checkpoint"},
  };
  for (const BadPlugin& plugin : plugins) check_fails(workspace, plugin);
}

TEST_CASE("a check that never ends is ended") {
  const Workspace workspace;
  const json document = document_of(workspace, {bad("hangs"), "--time-limit", "2"});
  std::vector<std::string> reasons;
  for (const json& entry : document.at("checks"))
    if (entry.at("check") == "description") reasons.push_back(entry.at("reason"));
  REQUIRE(reasons.size() == 2);
  const std::string slept = "took longer than 6 s (time limit)";
  CHECK(reasons[0] == slept);
  // On a machine that others use as well the clock may be first.
  if (reasons[1] != slept) CHECK(reasons[1] == "used more than 2 s of CPU time (time limit)");
  const std::string again = entry_of(document, "description").at("again");
  CHECK(contains(again, " --only asleep --time-limit 2 --seed 1"));
}

// The sanitizer's allocator ends the process where others report an error.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("a check that takes all memory gets no more than its share") {
  const Workspace workspace;
  const json document = document_of(workspace, {bad("hoards"), "--memory-limit", "1"});
  CHECK(contains(failure_of(document, "evaluates"), "(a check may use 1 GiB of memory)"));
}
#endif

TEST_CASE("a failure comes with a hint and the command that repeats it") {
  const Workspace workspace;
  const json first =
      entry_of(document_of(workspace, {bad("partly-detached"), "--seed", "17"}), "gradient");
  CHECK(contains(first.at("hint"), "detach()"));
  std::vector<std::string> words = words_of(first.at("again"));
  REQUIRE(words.size() > 2);
  CHECK(words[0] == "grevy");
  CHECK(std::count(words.begin(), words.end(), "partly-detached") == 1);
  const Outcome again = workspace.grevy({words.begin() + 1, words.end()});
  CHECK(again.code == 2);
  CHECK(again.err.empty());
  CHECK(contains(again.out, "FAILED   criterion partly-detached  gradient: " +
                                first.at("reason").get<std::string>()));
  CHECK(contains(again.out, "\n         hint: look for detach()"));
  CHECK(contains(again.out, "\n         again: grevy validate "));
  CHECK(contains(again.out, "ok       file  manifest\n"));
}

TEST_CASE("with --quiet only failures and the sum are printed") {
  const Workspace workspace;
  const Outcome outcome = validate(workspace, {bad("throws-int"), "--quiet"});
  CHECK(outcome.code == 2);
  CHECK(lines_of(outcome.out).size() == 5);
  CHECK(outcome.out.rfind("FAILED   criterion throws-int  evaluates: ", 0) == 0);
}

TEST_CASE("what needs an essential check is skipped") {
  const Workspace workspace;
  const json document = document_of(workspace, {bad("undefined-symbol")});
  CHECK(contains(failure_of(document, "loads"), "undefined symbol: grevy_zoo_no_such_function"));
  CHECK(entry_of(document, "others").at("reason") == "need \"loads\"");
  CHECK(status_of(document, "descriptor") == "not made");
  CHECK(status_of(document, "schema") == "not made");
}

TEST_CASE("required options can be given") {
  const Workspace workspace;
  const Arguments arguments = {builtin("models"), "--only", "MultiobjectiveModel"};
  const json without = document_of(workspace, arguments);
  CHECK(without.at("passed") == true);
  CHECK(contains(entry_of(without, "all").at("reason"), "without a default: dimensions;"));
  Arguments given = arguments;
  given.insert(given.end(), {"--options", R"({"dimensions": [3, 8]})"});
  const json with = document_of(workspace, given);
  CHECK(with.at("passed") == true);
  CHECK(status_of(with, "gradient") == "ok");
}

TEST_CASE("a criterion that is nested gets one that exists") {
  const Workspace workspace;
  check_passes(workspace, {good("scaled"), "--only", "scaled", "--options", R"({"factor": 1})"});
  // Its parts are those of the criterion inside.
  const json document = document_of(workspace, {good("scaled"), "--only", "times"});
  CHECK(document.at("failed") == 1);
  CHECK(contains(failure_of(document, "parts"), "the parts add up to "));
}

TEST_CASE("symbols besides the entry are named") {
  const Workspace workspace;
  const json document = document_of(workspace, {good("by-hand-1")});
  CHECK(contains(failure_of(document, "exports"), " symbol(s) besides grevy_plugin_entry_v1"));
  CHECK(status_of(document, "loads") == "ok");
  CHECK(contains(failure_of(document, "gradient"), "carries no graph"));
}

TEST_CASE("a damaged file is a failure, not an accident") {
  const Workspace workspace;
  const std::string whole = file_bytes(good("shortest"));
  workspace.write("cut.so", whole.substr(0, whole.size() / 2));
  CHECK(contains(failure_of(document_of(workspace, {"cut.so"}), "manifest"), "cut.so: "));

  // The loader needs no section headers; the reader of exported symbols does.
  std::string moved = whole;
  const std::uint64_t nowhere = whole.size();
  std::memcpy(moved.data() + offsetof(Elf64_Ehdr, e_shoff), &nowhere, sizeof(nowhere));
  workspace.write("moved.so", moved);
  const json document = document_of(workspace, {"moved.so"});
  CHECK(contains(failure_of(document, "exports"), "the section headers: outside the file"));
  CHECK(status_of(document, "gradient") == "ok");
}

TEST_CASE("wrong arguments are complained about in one line") {
  const Workspace workspace;
  const std::string file = good("shortest");
  const struct {
    Arguments arguments;
    const char* complaint;
  } cases[] = {
      {{"nothing.so"}, "nothing.so: no such file"},
      {{file, "--only", "missing"}, "has no component \"missing\"; it has pull-push"},
      {{file, "--options", "{}"}, "--options are for one component: name it with --only"},
      {{file, "--only", "pull-push", "--options", "[1]"}, "--options: found [1]; must be"},
      {{file, "--plugin-path", "nowhere"}, "nowhere: no such plugin folder or file"},
      {{file, "--time-limit", "0"}, "--time-limit"},
      {{}, "file is required"},
  };
  for (const auto& entry : cases) {
    CAPTURE(entry.complaint);
    const Outcome outcome = validate(workspace, entry.arguments);
    CHECK(outcome.code == 2);
    REQUIRE(complaints(outcome).size() == 1);
    CHECK_MESSAGE(contains(complaints(outcome)[0], entry.complaint), outcome.err);
  }
}

TEST_CASE("the help shows validate and not the command behind it") {
  const Workspace workspace;
  CHECK(contains(validate(workspace, {"--help"}).out, "Example:\n  grevy validate "));
  const std::string help = workspace.grevy({"--help"}).out;
  CHECK(contains(help, "validate "));
  CHECK_FALSE(contains(help, "validate-check"));
}

TEST_CASE("every built-in component passes") {
  const Workspace workspace;
  for (const char* name : {"criterions", "models", "solvers"})
    check_passes(workspace, {builtin(name)});
  check_passes(workspace, {builtin("criterions"), "--only", "MultiCriterions", "--options",
                           R"({"losses": [{"contrastive_loss": {"name": "InfoNCE"}},
                                          {"contrastive_loss": {"name": "NCE"}}]})"});
  check_passes(workspace, {builtin("models"), "--only", "SubspaceMultiobjectiveModel", "--options",
                           R"({"feature_ranges": [[0, 8], [2, 5]]})"});
}

TEST_CASE("the rest of the zoo fails as it should") {
  const Workspace workspace;
  const BadPlugin plugins[] = {
      {"component-only", {"manifest"}, "no plugin note"},
      {"deep-note", {"manifest"}, "nested too deeply"},
      {"disagrees", {"descriptor"}, "its descriptor and its manifest disagree"},
      {"empty-note", {"manifest"}, "has a damaged manifest"},
      {"empty-object", {"manifest"}, "key 'plugin' not found"},
      {"endless", {"create"}, "components nest deeper than 16"},
      {"fails-in-libtorch", {"evaluates"}, "shapes cannot be multiplied"},
      {"garbage-note", {"manifest"}, "has a damaged manifest"},
      {"throws-in-constructor", {"create"}, "no luck today"},
      {"older-minor", {"unknown-option", "evaluates"}, "create() took the option"},
      {"lying-model", {"description"}, "num_input 7 (asked for 6)"},
      {"newer-minor", {"unknown-option", "evaluates"}, "create() took the option"},
      {"no-create", {"descriptor"}, "cannot be created or destroyed"},
      {"no-instance", {"create"}, "gave no instance"},
      {"no-note", {"manifest"}, "has no Grevy note"},
      {"null-component", {"descriptor"}, "without a table"},
      {"null-entry", {"descriptor"}, "gives no valid descriptor"},
      {"null-list", {"descriptor"}, "gives no valid descriptor"},
      {"null-table", {"descriptor"}, "without a table"},
      {"other-abi", {"manifest"}, "was built for ABI 2.5; this host has 1.0"},
      {"torn-table", {"unknown-option", "evaluates"}, "create() took the option"},
      {"twin-a", {"unknown-option", "evaluates"}, "create() took the option"},
      {"two-notes", {"manifest"}, "two plugin notes"},
      {"undeclared", {"descriptor"}, "registers components that its manifest does not have"},
      {"undefined-tensor", {"description"}, "returned no tensor"},
      {"unregistered", {"exports", "descriptor"}, "exports 1 symbol(s)"},
      {"vector-loss", {"evaluates"}, "the loss must be a scalar tensor"},
      {"wrong-options", {"manifest"}, "\"options\" is no object"},
      {"wrong-shape", {"description"}, "returned shape [3, 4]"},
      {"wrong-types", {"manifest"}, "type must be string, but is number"},
  };
  for (const BadPlugin& plugin : plugins) check_fails(workspace, plugin);
}

TEST_CASE("plugins pass in every form: with LibTorch, portable, in C") {
  const Workspace workspace;
  for (const char* file : {"torch/fronts", "portable/fronts", "portable/raw-infonce",
                           "portable/raw-offset10", "portable/raw-solver"})
    check_passes(workspace, {std::string(GREVY_TEST_PLUGINS) + "/" + file + ".so"});
}

// What the program says of the plugins that it finds, and what they say through it.
#include "program.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace grevy::tests;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

// A plugin that fits, one that does not, and a library that is none, in a folder of their own.
void put_plugins(const Workspace& workspace) {
  const fs::path built = GREVY_TEST_PLUGINS;
  fs::create_directory(workspace / "mine");
  fs::permissions(workspace / "mine", fs::perms::owner_all);
  for (const char* file :
       {"good/scaled.so", "bad/other-abi/other-abi.so", "bad/no-note/no-note.so"})
    fs::copy_file(built / file, workspace / "mine" / fs::path(file).filename());
}

std::vector<std::string> ids_of(const json& list) {
  std::vector<std::string> ids;
  for (const json& plugin : list.at("plugins")) ids.push_back(plugin.at("id"));
  return ids;
}

json list_of(const Workspace& workspace, const std::string& pattern) {
  const Outcome outcome =
      workspace.grevy({"plugins", "list", pattern, "--json", "--plugin-path", "mine"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  return json::parse(outcome.out);
}

}  // namespace

TEST_CASE("plugins list takes a pattern of names and aliases") {
  const Workspace workspace;
  put_plugins(workspace);
  const json models = list_of(workspace, "offset1?-model*");
  REQUIRE(ids_of(models) == std::vector<std::string>{"grevy.models"});
  for (const json& component : models.at("plugins")[0].at("components"))
    CHECK(component.at("name").get<std::string>().rfind("offset1", 0) == 0);
  CHECK(ids_of(list_of(workspace, "time?")) == std::vector<std::string>{"zoo.scaled"});
  CHECK(ids_of(list_of(workspace, "no-such-*")).empty());
}

TEST_CASE("plugins list and doctor say what is not used, and why") {
  const Workspace workspace;
  put_plugins(workspace);
  const std::string other = "other-abi.so: was built for ABI ", none = "no-note.so: ";
  const json list = list_of(workspace, "*");
  REQUIRE(list.at("refused").size() == 1);
  CHECK(contains(list.at("refused")[0].at("reason"), none));
  const std::string plain = workspace.grevy({"plugins", "list", "--plugin-path", "mine"}).out;
  CHECK(
      contains(plain, "criterion scaled (also times)  Another criterion's loss, times a factor."));
  CHECK(contains(plain, "\n  cannot be used: was built for ABI "));
  CHECK(contains(plain, "\nnot used: "));
  CHECK(contains(plain, none));

  const Outcome outcome = workspace.grevy({"doctor", "--json", "--plugin-path", "mine"});
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const json not_used = json::parse(outcome.out).at("not_used");
  REQUIRE(not_used.size() == 2);
  CHECK(contains(not_used[0], other));
  CHECK(contains(not_used[1], none));
}

TEST_CASE("what plugins log is on stderr, with its level; --quiet leaves warnings and errors") {
  const Workspace workspace;
  workspace.write_experiment();
  const std::string plugin = GREVY_TEST_PLUGINS "/good/";
  const Arguments scaled = {
      "run",           "experiment.json",
      "--plugin-path", plugin + "scaled.so",
      "--set",         R"(criterion={"name": "scaled", "inner": {"name": "InfoNCE"}})"};
  const auto with = [&](Arguments arguments, const Arguments& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return workspace.grevy(arguments);
  };
  const Outcome shown = with(scaled, {"--out", "shown"}),
                quiet = with(scaled, {"--out", "quiet", "--quiet"});
  REQUIRE_MESSAGE(shown.code == 0, shown.err);
  REQUIRE_MESSAGE(quiet.code == 0, quiet.err);
  CHECK(contains(shown.err, "info: scaled: wraps "));
  CHECK(quiet.err.empty());

  const Outcome loud =
      workspace.grevy({"run", "experiment.json", "--quiet", "--plugin-path", plugin + "plain-c.so",
                       "--set", R"(model={"name": "passthrough"})"});
  CHECK(loud.code == 2);
  CHECK(contains(loud.err, "warning: passthrough: is made\n"));
  CHECK(contains(loud.err, "error: passthrough: is made\n"));  // of a level that there is not
}

namespace {

Outcome shell(const Workspace& workspace, const std::string& command) {
  const std::string line =
      "cd '" + (workspace / "").string() + "' && { " + command + "; } >out.txt 2>err.txt";
  const int status = std::system(line.c_str());
  return {WEXITSTATUS(status), workspace.bytes("out.txt"), workspace.bytes("err.txt")};
}

}  // namespace

TEST_CASE("the program without its library says which file it wants") {
  const Workspace workspace;
  fs::copy_file(GREVY_PROGRAM, workspace / "grevy");
  const Outcome outcome = shell(workspace, "./grevy --version");
  CHECK(outcome.code == 1);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.rfind("grevy: ", 0) == 0);
  CHECK(contains(outcome.err, "cannot open shared object file"));
}

TEST_CASE("on a terminal progress is a bar that is drawn over itself") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome outcome =
      shell(workspace, "script -qec '" GREVY_PROGRAM " run experiment.json --out run' typescript");
  REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
  const std::string typescript = workspace.bytes("typescript");
  CHECK(contains(typescript, "\r"));
  CHECK(contains(typescript, "[========================]"));
}

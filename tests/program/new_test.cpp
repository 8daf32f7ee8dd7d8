// `grevy new`: what it writes, and what it refuses. That the projects build and train is checked by
// tests/checks/new.sh.
#include "program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace grevy::tests;
using nlohmann::json;

namespace {

const std::string kinds[] = {"criterion", "model", "solver"};

// The files of a project beside README.md, CMakeLists.txt and experiment.json, by front.
const std::map<std::string, std::vector<std::string>> sources = {
    {"torch", {"NAME.cpp", "test.cpp"}},
    {"portable", {"NAME.cpp"}},
    {"raw", {"NAME.c", "calls.h"}}};

std::set<std::string> expected_files(const std::string& front, const std::string& name) {
  std::set<std::string> files = {"CMakeLists.txt", "README.md", "experiment.json"};
  for (std::string file : sources.at(front)) {
    if (file.rfind("NAME", 0) == 0) file.replace(0, 4, name);
    files.insert(file);
  }
  return files;
}

std::set<std::string> files_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

json make(const Workspace& workspace, Arguments arguments) {
  arguments.insert(arguments.begin(), {"new", "--json"});
  const Outcome outcome = workspace.grevy(arguments);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.err.empty());
  return json::parse(outcome.out);
}

// `grevy new` ends with this code and one line that has these parts, and leaves no new folder.
void check_refused(const Workspace& workspace, Arguments arguments,
                   const std::vector<std::string>& parts, int code = 2) {
  arguments.insert(arguments.begin(), "new");
  const std::set<std::string> before = files_in(workspace / ".");
  const Outcome outcome = workspace.grevy(arguments);
  CAPTURE(outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rfind("grevy: ", 0) == 0);
  for (const std::string& part : parts) CHECK_MESSAGE(contains(found[0], part), part);
  CHECK(files_in(workspace / ".") == before);
}

}  // namespace

TEST_CASE("new writes a project of each kind and front and prints its commands") {
  const Workspace workspace;
  for (const auto& source : sources)
    for (const std::string& kind : kinds) {
      const auto& front = source.first;
      CAPTURE(front);
      CAPTURE(kind);
      const std::string name = "first-" + front + "-" + kind.substr(0, 1);
      const Outcome outcome = workspace.grevy({"new", kind, name, "--front", front});
      CHECK(outcome.code == 0);
      CHECK(outcome.err.empty());
      CHECK(files_in(workspace / name) == expected_files(front, name));
      const std::vector<std::string> lines = lines_of(outcome.out);
      REQUIRE(lines.size() == 7);
      CHECK(lines[0].rfind(name + ": ", 0) == 0);
      const std::string readme = workspace.bytes(name + "/README.md");
      for (std::size_t i = 2; i < lines.size(); ++i) {
        CHECK(lines[i].rfind("  ", 0) == 0);
        CHECK_MESSAGE(contains(readme, "\n" + lines[i].substr(2) + "\n"), lines[i]);
      }
      CHECK(workspace.json(name + "/experiment.json").at(kind).at("name") == name);
      for (const std::string& file : files_in(workspace / name)) {
        const std::string text = workspace.bytes((std::filesystem::path(name) / file).string());
        for (const char* placeholder : {"@NAME@", "@KIND@", "@TARGET@", "@CLASS@"})
          CHECK_MESSAGE(!contains(text, placeholder), file);
      }
    }
}

TEST_CASE("the front is torch unless said otherwise, and says what the plugin is built with") {
  const Workspace workspace;
  CHECK(make(workspace, {"model", "a"}).at("front") == "torch");
  CHECK(contains(workspace.bytes("a/CMakeLists.txt"), "find_package(Grevy CONFIG REQUIRED)\n"));
  for (const std::string front : {"portable", "raw"}) {
    CAPTURE(front);
    const json project = make(workspace, {"model", front, "--front", front});
    CHECK(project.at("front") == front);
    CHECK(project.contains("class") == (front == "portable"));
    const std::string cmake = workspace.bytes(front + "/CMakeLists.txt");
    CHECK(contains(cmake, "find_package(Grevy CONFIG REQUIRED COMPONENTS portable)"));
    CHECK(contains(cmake, "grevy_add_plugin(" + front + "-model FRONT " + front + " " + front));
    CHECK(contains(workspace.bytes(front + "/README.md"), "built without LibTorch"));
  }
  CHECK(workspace.bytes("a/a.cpp").size() > 1000);
  check_refused(workspace, {"model", "b", "--front", "python"},
                {"--front", "python", "torch", "portable", "raw"});
  check_refused(workspace, {"model", "b", "--front"}, {"--front"});
}

TEST_CASE("new tells in JSON what it made") {
  const Workspace workspace;
  const json project = make(workspace, {"criterion", "my-loss"});
  CHECK(project.at("folder") == "my-loss");
  CHECK(project.at("kind") == "criterion");
  CHECK(project.at("name") == "my-loss");
  CHECK(project.at("class") == "MyLossCriterion");
  CHECK(project.at("commands").size() == 5);
  std::set<std::string> files;
  for (const json& file : project.at("files")) files.insert(file);
  CHECK(files == files_in(workspace / "my-loss"));
  const Outcome quiet = workspace.grevy({"new", "criterion", "other", "--quiet"});
  CHECK(quiet.code == 0);
  CHECK(quiet.out.empty());
  CHECK(workspace.has("other/other.cpp"));
}

TEST_CASE("class and plugin are named after component and kind") {
  const Workspace workspace;
  const std::vector<std::array<std::string, 4>> cases = {
      {"model", "tiny", "TinyModel", "tiny-model"},
      {"model", "tiny-model", "TinyModel", "tiny-model"},
      {"model", "model", "Model", "model"},
      {"model", "modelled", "ModelledModel", "modelled-model"},
      {"solver", "Adam2-0.5", "Adam205Solver", "Adam2-0.5-solver"},
      {"criterion", "a.", "ACriterion", "a.-criterion"},
  };
  int number = 0;
  for (const auto& [kind, name_of_case, class_name, target] : cases) {
    const std::string name = name_of_case;
    CAPTURE(name);
    const std::string folder = "project-" + std::to_string(number++);
    CHECK(make(workspace, {kind, name, "--dir", folder}).at("class") == class_name);
    const std::string source =
        workspace.bytes((std::filesystem::path(folder) / name).string() + ".cpp");
    CHECK(contains(source, "class " + class_name + " : public grevy::"));
    CHECK(contains(source, "GREVY_PLUGIN(\"my-lab." + target + "\""));
    CHECK(contains(workspace.bytes(folder + "/CMakeLists.txt"),
                   "grevy_add_plugin(" + target + " " + name + ".cpp)"));
  }
}

TEST_CASE("new refuses names that could not be a component's") {
  const Workspace workspace;
  const std::vector<std::string> names = {
      "",     ".",   "..",  "a/b",      "../a", "/tmp/a", "a b",   "a_b",
      "a\nb", "1st", "-a.", "\xc3\xa4", "a;b",  "a@b",    "\"a\"", std::string(65, 'a')};
  for (const std::string& name : names) {
    CAPTURE(name);
    check_refused(workspace, {"criterion", "--", name},
                  {"name: found \"", "letters, digits, '-' and '.', a letter first, at most 64"});
  }
  check_refused(workspace, {"model", "test"}, {"\"test\"", "test.cpp"});
  check_refused(workspace, {"model", "offset10-model"},
                {"the model \"offset10-model\" exists already", "grevy-models.so"});
  check_refused(workspace, {"criterion", "InfoNCE"}, {"exists already"});
  CHECK(make(workspace, {"solver", "InfoNCE"}).at("class") == "InfoNCESolver");
  CHECK(make(workspace, {"model", std::string(64, 'a')}).at("folder") == std::string(64, 'a'));
}

TEST_CASE("mistakes in the command line of new") {
  const Workspace workspace;
  check_refused(workspace, {}, {"kind is required"});
  check_refused(workspace, {"criterion"}, {"name is required"});
  check_refused(workspace, {"loss", "a"}, {"kind", "loss", "criterion", "model", "solver"});
  check_refused(workspace, {"model", "a", "b"}, {"b", "grevy --help"});
  check_refused(workspace, {"model", "a", "--plugin-path", "nothing"}, {"nothing: no such plugin"});
  const Outcome help = workspace.grevy({"new", "--help"});
  CHECK(help.code == 0);
  CHECK(contains(help.out, "Example:\n  grevy new criterion my-loss"));
}

TEST_CASE("new never changes what is there") {
  const Workspace workspace;
  make(workspace, {"model", "mine"});
  workspace.write("mine/mine.cpp", "changed");
  check_refused(workspace, {"model", "mine"}, {"mine: exists and is not empty", "--dir"});
  check_refused(workspace, {"criterion", "mine"}, {"mine: exists and is not empty"});
  CHECK(workspace.bytes("mine/mine.cpp") == "changed");
  CHECK(workspace.bytes("mine/CMakeLists.txt").find("mine-model") != std::string::npos);

  workspace.write("file", "text");
  check_refused(workspace, {"model", "a", "--dir", "file"}, {"file: exists and is not a folder"});
  check_refused(workspace, {"model", "a", "--dir", "file/below"}, {"cannot be written"}, 3);
  CHECK(workspace.bytes("file") == "text");

  std::filesystem::create_directory(workspace / "empty");
  make(workspace, {"model", "b", "--dir", "empty"});
  CHECK(workspace.has("empty/b.cpp"));
  make(workspace, {"model", "c", "--dir", "deep/er/"});
  CHECK(workspace.has("deep/er/c.cpp"));
}

TEST_CASE("a project that cannot be written is not there at all") {
  const Workspace workspace;
  const std::string long_name(256, 'x');
  check_refused(workspace, {"model", "a", "--dir", "new/" + long_name}, {"cannot be written"}, 3);
  // So long a path that a.cpp can be made in it, but not experiment.json.
  std::string folder = "new";
  while (folder.size() < 4000) folder += "/" + std::string(70, 'x');
  folder += "/" + std::string(4080 - folder.size() - 1, 'x');
  check_refused(workspace, {"model", "a", "--dir", folder},
                {"/experiment.json: cannot be written: File name too long"}, 3);
}

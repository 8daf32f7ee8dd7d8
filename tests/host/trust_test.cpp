// Plugins that others may change, and lists of those that may be loaded. Tests of other owners need
// root, who alone can give files away.
#include "plugins/trust.hpp"

#include "files/file_hash.hpp"
#include "plugin_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/experiment.hpp>
#include <grevy/host/trainer.hpp>

#include <torch/types.h>

#include <dlfcn.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
namespace fs = std::filesystem;

namespace {

const fs::path plugin = test_plugins / "good/shortest.so";

// A folder "outer/plugins" with a copy of a plugin.
class Plugins {
 public:
  Plugins() {
    fs::create_directories(folder());
    fs::copy_file(plugin, file());
    for (const fs::path& path : {outer(), folder(), file()}) mode(path, 0755);
  }
  fs::path outer() const { return root_ / "outer"; }
  fs::path folder() const { return outer() / "plugins"; }
  fs::path file() const { return folder() / "shortest.so"; }
  static void mode(const fs::path& path, ::mode_t mode) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
  }
  static void owner(const fs::path& path, ::uid_t user) {
    REQUIRE(::chown(path.c_str(), user, user) == 0);
  }

 private:
  tests::TemporaryFolder root_;
};

Caught refused(const fs::path& path) {
  return catch_error([&] { Host host(only({path})); });
}

void check_refused(const fs::path& asked, const fs::path& culprit, const std::string& mode) {
  const Caught error = refused(asked);
  INFO(error.text);
  CHECK(error.code == ErrorCode::incompatible);
  CHECK(error.text.rfind(fs::canonical(asked).string() + ": may be changed by others: ", 0) == 0);
  CHECK(error.says(" " + fs::canonical(culprit).string() + " belongs to "));
  CHECK(error.says(" and has mode " + mode + ";"));
  CHECK(error.says("--allow-writable-plugins (HostOptions::allow_writable_plugins)"));
  HostOptions options = only({asked});
  options.allow_writable_plugins = true;
  Host host(options);
  REQUIRE(host.plugins().size() == 1);
  CHECK(host.create_criterion(host.names(Kind::criterion).at(0), "{}", {}));
}

}  // namespace

TEST_CASE("plugins that only their owner can change are taken") {
  const Plugins plugins;
  for (const fs::path& asked : {plugins.folder(), plugins.file()})
    CHECK(Host(only({asked})).plugins().size() == 1);
}

TEST_CASE("plugins that others can change are refused, whichever folder lets them") {
  const Plugins plugins;
  struct Case {
    fs::path path;
    ::mode_t mode;
    const char* text;
  };
  for (const Case& c : {Case{plugins.file(), 0775, "0775"}, Case{plugins.folder(), 0775, "0775"},
                        Case{plugins.folder(), 0757, "0757"}, Case{plugins.folder(), 01777, "1777"},
                        Case{plugins.outer(), 0777, "0777"}}) {
    CAPTURE(c.path.string());
    CAPTURE(c.text);
    Plugins::mode(c.path, c.mode);
    if (c.path != plugins.file()) check_refused(plugins.folder(), c.path, c.text);
    // Others cannot replace a file of mine in a sticky folder.
    if (c.mode != 01777) check_refused(plugins.file(), c.path, c.text);
    Plugins::mode(c.path, 0755);
  }
  Plugins::mode(plugins.outer(), 01777);
  CHECK(Host(only({plugins.folder()})).plugins().size() == 1);
}

TEST_CASE("a file in a folder that others can change is left out with a reason") {
  const Plugins plugins;
  Plugins::mode(plugins.file(), 0666);
  const Host host(only({plugins.folder()}));
  CHECK(host.plugins().empty());
  REQUIRE(host.refused().size() == 1);
  const std::string text = "the file " + fs::canonical(plugins.file()).string();
  CHECK(host.refused()[0].reason.find(text) != std::string::npos);
}

TEST_CASE("plugins of others are refused" * doctest::skip(::geteuid() != 0)) {
  const Plugins plugins;
  constexpr ::uid_t nobody_known = 54321;
  for (const fs::path& path : {plugins.file(), plugins.folder(), plugins.outer()}) {
    CAPTURE(path.string());
    Plugins::owner(path, nobody_known);
    check_refused(plugins.file(), path, "0755");
    CHECK(refused(plugins.file()).says("belongs to uid 54321 and"));
    Plugins::owner(path, 0);
  }
}

TEST_CASE(
    "a folder of the environment that others can change is left out, with a line in the log") {
  const Plugins plugins;
  Plugins::mode(plugins.folder(), 0777);
  const Setting path("GREVY_PLUGIN_PATH", plugins.folder().string());
  std::vector<std::string> lines;
  HostOptions options = logging({}, lines);
  options.search_default_folders = true;
  const Host host(options);
  REQUIRE_FALSE(host.refused().empty());
  CHECK(host.refused()[0].file == plugins.folder());
  REQUIRE_FALSE(lines.empty());
  CHECK(lines[0] == "plugins: " + host.refused()[0].reason);
  CHECK(
      catch_error([&] { host.find(Kind::criterion, "nothing"); }).says("may be changed by others"));
}

TEST_CASE("what has become writable after it was found is not loaded") {
  const Plugins plugins;
  Host host(only({plugins.folder()}));
  const std::string name = host.names(Kind::criterion).at(0);
  Plugins::mode(plugins.folder(), 0777);
  const Caught error = catch_error([&] { host.create_criterion(name, "{}", {}); });
  CHECK(error.code == ErrorCode::incompatible);
  CHECK_MESSAGE(error.says("may be changed by others"), error.text);
}

TEST_CASE("a file that was changed or replaced while it was open is noticed") {
  const Plugins plugins;
  const PluginFile file(plugins.file());
  CHECK(file.sha256() == sha256_of_file(plugins.file()));
  CHECK_NOTHROW(file.require_unchanged());
  SUBCASE("replaced") {
    fs::rename(plugins.file(), plugins.folder() / "old");
    fs::copy_file(plugin, plugins.file());
  }
  SUBCASE("written to") { std::ofstream(plugins.file(), std::ios::app) << "more"; }
  SUBCASE("replaced and put back") {
    ::usleep(20000);  // longer than the clock of a file system's times
    fs::rename(plugins.file(), plugins.folder() / "old");
    fs::rename(plugins.folder() / "old", plugins.file());
  }
  const Caught error = catch_error([&] { file.require_unchanged(); });
  CHECK(error.code == ErrorCode::incompatible);
  CHECK_MESSAGE(error.says("was changed while it was being loaded"), error.text);
}

TEST_CASE("hashes are those of the files") {
  const Plugins plugins;
  Host host(only({plugins.folder()}));
  const std::string id = host.plugins().at(0).id;
  const std::string hash = "sha256:" + sha256_of_file(plugins.file());
  CHECK(host.hash(id) == hash);
  host.create_criterion(host.names(Kind::criterion).at(0), "{}", {});
  std::ofstream(plugins.file(), std::ios::app) << "more";
  CHECK(host.hash(id) == hash);  // of what was loaded
  CHECK(catch_error([&] { host.hash("nothing"); }).code == ErrorCode::not_found);
}

namespace {

Caught load(const fs::path& path) {
  return catch_error([&] {
    Host host(only({path}));
    host.create_criterion(host.names(Kind::criterion).at(0), "{}", {});
  });
}

constexpr const char* needs_a_new_process = ": has changed since this process loaded it;";

void replace(const fs::path& file, const fs::path& by) {
  fs::rename(file, file.string() + ".old");
  fs::copy_file(by, file);
}

}  // namespace

TEST_CASE("a plugin that was replaced or altered since this process loaded it is refused") {
  const Plugins plugins;
  const fs::path file = fs::canonical(plugins.file());
  REQUIRE(load(file).text.empty());
  SUBCASE("replaced by another one") { replace(file, test_plugins / "good/by-hand-1.so"); }
  SUBCASE("replaced by one that is a byte longer") {
    replace(file, plugin);
    std::ofstream(file, std::ios::app) << "x";
  }
  SUBCASE("altered where it lies") { std::ofstream(file, std::ios::app) << "x"; }
  const Caught error = load(file);
  CHECK(error.code == ErrorCode::incompatible);
  CHECK_MESSAGE(error.text.rfind(file.string() + needs_a_new_process, 0) == 0, error.text);
  CHECK(error.says("start a new one"));
}

TEST_CASE("the same content under the same name is loaded again, another one under another name") {
  const Plugins plugins;
  REQUIRE(load(plugins.file()).text.empty());
  replace(plugins.file(), plugin);
  CHECK(load(plugins.file()).text.empty());
  fs::remove(plugins.file());
  fs::copy_file(test_plugins / "good/by-hand-1.so", plugins.folder() / "other.so");
  CHECK(load(plugins.folder() / "other.so").text.empty());
}

TEST_CASE("a further name of a loaded file is the loaded file") {
  const Plugins plugins;
  const fs::path other = fs::canonical(plugins.folder()) / "other.so";
  REQUIRE(load(plugins.file()).text.empty());
  fs::create_hard_link(plugins.file(), other);
  CHECK(load(other).text.empty());
  std::ofstream(plugins.file(), std::ios::app) << "x";
  CHECK_MESSAGE(load(other).text.rfind(other.string() + needs_a_new_process, 0) == 0,
                load(other).text);
}

TEST_CASE("what others have loaded is taken, but not where its file was replaced") {
  const Plugins plugins;
  const fs::path file = fs::canonical(plugins.file());
  REQUIRE(::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) != nullptr);
  SUBCASE("as it was") { CHECK(load(file).text.empty()); }
  SUBCASE("replaced") {
    fs::remove(file);
    fs::copy_file(plugin, file);
    CHECK_MESSAGE(load(file).says(needs_a_new_process), load(file).text);
  }
}

TEST_CASE("threads that load one file: all of them as it was, or none") {
  const Plugins plugins;
  constexpr int count = 4;
  std::vector<std::string> texts(count);
  const auto load_all = [&] {
    std::vector<std::thread> threads;
    for (std::string& text : texts) threads.emplace_back([&] { text = load(plugins.file()).text; });
    for (std::thread& thread : threads) thread.join();
  };
  load_all();
  for (const std::string& text : texts) CHECK(text == "");
  replace(plugins.file(), test_plugins / "good/by-hand-1.so");
  load_all();
  for (const std::string& text : texts)
    CHECK_MESSAGE(text.find(needs_a_new_process) != std::string::npos, text);
}

TEST_CASE("two files of one id have each its own hash") {
  const Plugins plugins;
  const fs::path other = plugins.folder() / "other.so";
  fs::copy_file(plugin, other);
  std::ofstream(other, std::ios::app) << "x";
  const Host host(only({plugins.folder()}));
  REQUIRE(host.plugins().size() == 2);
  REQUIRE(host.plugins()[0].id == host.plugins()[1].id);
  for (const PluginManifest& found : host.plugins())
    CHECK(host.hash(found) == "sha256:" + sha256_of_file(found.file));
  CHECK(host.hash(host.plugins()[0].id) == host.hash(host.plugins()[0]));
  CHECK_MESSAGE(catch_error([&] { host.hash(PluginManifest{}); }).says("has no such plugin"), "");
}

TEST_CASE("a list allows what is on it and nothing else") {
  const Plugins plugins;
  const std::string id = Host(only({plugins.folder()})).plugins().at(0).id;
  const std::string hash = "sha256:" + sha256_of_file(plugins.file());
  const std::string other = "sha256:" + std::string(64, '0');
  const auto create = [&](Host& host, const PluginHashes& list) {
    CreateOptions options;
    options.allowed_plugins = list;
    host.create_criterion(host.names(Kind::criterion).at(0), "{}", options);
  };
  for (const bool opened : {false, true}) {
    CAPTURE(opened);
    Host host(only({plugins.folder()}));
    if (opened) host.create_criterion(host.names(Kind::criterion).at(0), "{}", {});
    const Caught wrong = catch_error([&] { create(host, {{id, other}}); });
    CHECK(wrong.code == ErrorCode::incompatible);
    CHECK_MESSAGE(
        wrong.says("has the hash " + hash + ", which is not allowed; allowed plugins: \"" + id +
                   "\": \"" + other + "\""),
        wrong.text);
    CHECK(catch_error([&] { create(host, {}); }).says("allowed plugins: none"));
    CHECK(catch_error([&] { create(host, {{id + "x", hash}}); }).says("is not allowed"));
    CHECK_NOTHROW(create(host, {{id, hash}, {"another", other}}));
  }
}

TEST_CASE(
    "an experiment's list holds for every component, built in or not, and those within them") {
  Host host(only({GREVY_BUILTIN_PLUGINS}));
  const auto train = [&](const std::vector<std::string>& ids) {
    nlohmann::json list = nlohmann::json::object();
    for (const std::string& id : ids) list[id] = host.hash(id);
    const Experiment experiment(
        host, {{"plugins", list},
               {"model", {{"name", "offset1-model"}, {"num_output", 3}, {"num_units", 4}}},
               {"training", {{"num_steps", 1}, {"batch_size", 8}}}});
    return catch_error([&] {
      Trainer(host, experiment, Recording(at::linspace(-1, 1, 100).reshape({50, 2}))).fit();
    });
  };
  std::vector<std::string> ids;
  for (const PluginManifest& p : host.plugins()) ids.push_back(p.id);
  REQUIRE(ids.size() == 3);
  CHECK(train(ids).text.empty());
  for (const std::string& missing : ids) {
    std::vector<std::string> others = ids;
    others.erase(std::find(others.begin(), others.end(), missing));
    const Caught error = train(others);
    CHECK_MESSAGE(error.says("the plugin \"" + missing + "\" has the hash sha256:"), error.text);
  }
  const Caught malformed = catch_error([&] {
    Experiment(host, {{"plugins", {{"x", "md5:12"}}}, {"model", {{"name", "offset1-model"}}}});
  });
  CHECK_MESSAGE(malformed.says("/plugins/x: found \"md5:12\""), malformed.text);
}

#include "experiment/schema.hpp"
#include "program.hpp"

#include <grevy/host/array.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using namespace grevy::tests;
using grevy::host::Array;
using nlohmann::json;

namespace {

json components_of(const Workspace& workspace) {
  json components = json::array();
  const json list = json::parse(workspace.grevy({"plugins", "list", "--json"}).out);
  for (const json& plugin : list.at("plugins"))
    for (const json& component : plugin.at("components")) components.push_back(component);
  return components;
}

// The branch of a component in `grevy schema`.
json branch_of(const json& schema, const json& component) {
  for (const json& branch : schema.at("properties").at(component.at("kind")).at("anyOf"))
    if (branch.at("description") == component.at("summary")) return branch;
  return nullptr;
}

// The largest difference between two stretches of numbers; NaN counts as infinite.
double distance(const float* a, const float* b, std::int64_t count) {
  double largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = std::isnan(difference) ? HUGE_VAL : difference;
  }
  return largest;
}

}  // namespace

TEST_CASE("every command's help has an example") {
  const Workspace workspace;
  const std::string commands[] = {"run",    "transform", "plugins", "plugins list", "plugins info",
                                  "schema", "simulate",  "doctor",  "import",       "export"};
  for (const std::string& command : commands) {
    CAPTURE(command);
    Arguments arguments;
    std::istringstream words(command);
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.emplace_back("--help");
    const Outcome outcome = workspace.grevy(arguments);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    CHECK(contains(outcome.out, "Example:\n  grevy " + command));
  }
  CHECK(contains(workspace.grevy({"--help"}).out, "Exit codes: "));
  CHECK(workspace.grevy({"--version"}).out.rfind("grevy ", 0) == 0);
}

TEST_CASE("plugins list and info show what the manifests say") {
  const Workspace workspace;
  const Outcome plain = workspace.grevy({"plugins", "list"});
  CHECK(plain.code == 0);
  CHECK(plain.err.empty());
  std::set<std::string> names;
  for (const json& component : components_of(workspace)) {
    const std::string name = component.at("name");
    names.insert(name);
    CAPTURE(name);
    CHECK(contains(plain.out, component.at("kind").get<std::string>() + " " + name));
    CHECK(component.at("options").at("type") == "object");
  }
  for (const char* name : {"offset10-model", "FixedCosineInfoNCE", "single-session"})
    CHECK(names.count(name) == 1);

  for (const char* name :
       {"FixedCosineInfoNCE", "InfoNCE", "grevy.criterions/FixedCosineInfoNCE"}) {
    CAPTURE(name);
    const json found = json::parse(workspace.grevy({"plugins", "info", name, "--json"}).out);
    REQUIRE(found.size() == 1);
    CHECK(found[0].at("name") == "FixedCosineInfoNCE");
    CHECK(found[0].at("plugin") == "grevy.criterions");
  }
  CHECK(
      json::parse(workspace.grevy({"plugins", "info", "grevy.criterions", "--json"}).out).size() >=
      4);
  const Outcome info = workspace.grevy({"plugins", "info", "InfoNCE"});
  CHECK(contains(info.out, "temperature = 1"));
}

TEST_CASE("a folder given twice counts once") {
  const Workspace workspace;
  const json once = json::parse(workspace.grevy({"plugins", "list", "--json"}).out);
  const json twice = json::parse(
      workspace.grevy({"plugins", "list", "--json", "--plugin-path", GREVY_BUILTIN_PLUGINS}).out);
  CHECK(twice.at("plugins").size() == once.at("plugins").size());
}

TEST_CASE("the schema holds the options of every component") {
  const Workspace workspace;
  const Outcome outcome = workspace.grevy({"schema"});
  CHECK(outcome.code == 0);
  const json schema = json::parse(outcome.out);
  for (const json& component : components_of(workspace)) {
    CAPTURE(component.at("name"));
    const json branch = branch_of(schema, component);
    REQUIRE(branch.is_object());
    for (const auto& option : component.at("options").at("properties").items())
      CHECK_MESSAGE(branch.at("properties").at(option.key()) == option.value(), option.key());
  }
  CHECK_NOTHROW(grevy::host::validate(Workspace::experiment(), schema, "experiment.json"));
  json wrong = Workspace::experiment();
  wrong["model"]["num_units"] = "many";
  CHECK_THROWS(grevy::host::validate(wrong, schema, "experiment.json"));

  CHECK(workspace.grevy({"schema", "-o", "schema.json"}).out.empty());
  CHECK(workspace.bytes("schema.json") == outcome.out);
}

TEST_CASE("simulate writes a recording that depends on its seed alone") {
  const Workspace workspace;
  const auto simulate = [&](const std::string& folder, const std::string& seed) {
    return workspace.grevy({"simulate", "--out", folder, "--samples", "600", "--neurons", "6",
                            "--seed", seed, "--json"});
  };
  const Outcome outcome = simulate("a", "7");
  CHECK(outcome.code == 0);
  CHECK(json::parse(outcome.out) == json{{"folder", "a"}, {"samples", 600}, {"neurons", 6}});
  simulate("b", "7");
  simulate("c", "8");
  CHECK(Array::open(workspace / "a/spikes.npy").shape() == std::vector<std::int64_t>{600, 6});
  CHECK(Array::open(workspace / "a/position.npy").shape() == std::vector<std::int64_t>{600, 1});
  CHECK(Array::open(workspace / "a/direction.npy").shape() == std::vector<std::int64_t>{600});
  CHECK(workspace.bytes("a/spikes.npy") == workspace.bytes("b/spikes.npy"));
  CHECK(workspace.bytes("a/spikes.npy") != workspace.bytes("c/spikes.npy"));
}

TEST_CASE("simulate tells what it wrote, in words, in JSON or not at all") {
  const Workspace workspace;
  const auto simulate = [&](const char* folder, const char* how) {
    Arguments words = {"simulate", "--out", folder, "--samples", "100", "--neurons", "3"};
    if (*how != 0) words.emplace_back(how);
    return workspace.grevy(words).out;
  };
  CHECK(simulate("a", "") == "a: spikes.npy (100 x 3), position.npy, direction.npy\n");
  CHECK(json::parse(simulate("b", "--json")) ==
        json{{"folder", "b"}, {"samples", 100}, {"neurons", 3}});
  CHECK(simulate("c", "--quiet").empty());
  CHECK(workspace.has("c/spikes.npy"));
}

TEST_CASE("doctor tells versions, threads, devices and plugins") {
  const Workspace workspace;
  const Outcome outcome = workspace.grevy({"doctor", "--json"});
  CHECK(outcome.code == 0);
  const json document = json::parse(outcome.out);
  CHECK(workspace.grevy({"--version"}).out ==
        "grevy " + document.at("grevy").get<std::string>() + "\n");
  CHECK(document.at("threads") >= 1);
  CHECK(document.at("devices").at(0) == "cpu");
  CHECK(document.at("plugins").size() >= 3);
  CHECK(document.at("plugin_folders").size() >= 1);
  const std::string plain = workspace.grevy({"doctor"}).out;
  for (const auto& entry : document.items())
    CHECK_MESSAGE(contains(plain, entry.key() + ":"), entry.key());
}

TEST_CASE("OpenBLAS takes the kernels that the user asks for") {
  const Workspace workspace;
  const auto kernels = [&] {
    return json::parse(workspace.grevy({"doctor", "--json"}).out).at("blas_kernels");
  };
  if (kernels() == "") return;  // another BLAS
  setenv("OPENBLAS_CORETYPE", "Nehalem", 1);
  const json asked = kernels();
  unsetenv("OPENBLAS_CORETYPE");
  CHECK(asked == "Nehalem");
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) CHECK(kernels() != "Prescott");
#endif
}

TEST_CASE("transform gives the run's embedding, unpadded and in chunks too") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(workspace.grevy({"run", "experiment.json", "--out", "run"}).code == 0);
  const auto transform = [&](const std::string& run, const std::string& out, Arguments more = {}) {
    Arguments arguments = {"transform", run, "recording/spikes.npy", "-o", out, "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return workspace.grevy(arguments);
  };
  const Outcome outcome = transform("run", "whole.npy");
  CHECK(outcome.code == 0);
  CHECK(outcome.out == "whole.npy: 600 x 3\n");
  CHECK(outcome.err.empty());
  CHECK(workspace.bytes("whole.npy") == workspace.bytes("run/embedding.npy"));
  CHECK(transform("run/checkpoint.safetensors", "file.npy", {"--quiet"}).out.empty());
  CHECK(workspace.bytes("file.npy") == workspace.bytes("run/embedding.npy"));
  const auto whole = Array::open(workspace / "whole.npy").to_float32();

  const json told = json::parse(transform("run", "inner.npy", {"--no-pad", "--json"}).out);
  CHECK(told == json{{"file", "inner.npy"}, {"rows", 591}, {"columns", 3}});
  const Array inner = Array::open(workspace / "inner.npy");
  REQUIRE(inner.shape() == std::vector<std::int64_t>{591, 3});
  // The first complete window belongs to sample 5.
  CHECK(distance(inner.to_float32().get(), whole.get() + 5 * 3, 591 * 3) < 1e-5);

  for (const char* chunk : {"1", "7", "599"}) {
    CAPTURE(chunk);
    CHECK(transform("run", "chunked.npy", {"--chunk", chunk}).code == 0);
    const Array chunked = Array::open(workspace / "chunked.npy");
    REQUIRE(chunked.shape() == std::vector<std::int64_t>{600, 3});
    CHECK(distance(chunked.to_float32().get(), whole.get(), 600 * 3) < 1e-5);
  }
}

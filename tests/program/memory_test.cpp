// What was expected at most of a run's memory beside what the system has measured of its process.
// Runs that take hundreds of megabytes: left out unless asked for (--no-skip).
#include "program.hpp"

#include <doctest/doctest.h>

using namespace grevy::tests;
using nlohmann::json;

namespace {

// A small recording repeats itself: enough for large batches.
json experiment(const json& model, std::int64_t batch_size, const json& solver) {
  json document = Workspace::experiment();
  document["data"] = {{"neural", "large/spikes.npy"},
                      {"labels", {{"position", "large/position.npy"}}},
                      {"train_fraction", 0.9}};
  document["model"] = model;
  document["solver"] = solver;
  document["training"] = {{"num_steps", 2}, {"batch_size", batch_size}};
  document["evaluation"] = {{"max_samples", 200}, {"num_batches", 1}};
  return document;
}

json model(const char* name, std::int64_t num_units) {
  return {{"name", name}, {"num_units", num_units}, {"num_output", 8}};
}

json objective(std::int64_t begin, std::int64_t end) {
  return {{"slice", {begin, end}},
          {"loss", {{"name", "FixedEuclideanInfoNCE"}}},
          {"distribution", {{"name", "time"}, {"time_offset", 4}}}};
}

json several_objectives() {
  json document =
      experiment(model("offset10-model", 16), 2048, {{"name", "multiobjective-solver"}});
  document["model"]["normalize"] = false;
  document.erase("solver");
  document["objectives"] = {objective(0, 8), objective(4, 8), objective(0, 4)};
  return document;
}

json several_sessions() {
  json document = experiment(model("offset10-model", 8), 32, {{"name", "unified-session"}});
  const json session = {{"neural", "large/spikes.npy"},
                        {"labels", {{"position", "large/position.npy"}}}};
  document["data"] = {{"sessions", {session, session, session}}, {"train_fraction", 0.9}};
  document["sampling"] = {{"conditional", "time_delta"}};
  return document;
}

json whole_recording() {
  json document = experiment(model("offset10-model", 8), 1, {{"name", "single-session-full"}});
  document["training"]["batch_size"] = nullptr;
  return document;
}

struct Case {
  const char* name;
  json experiment;
  std::int64_t samples, channels;
};

}  // namespace

TEST_CASE("memory: a run does not take more than was expected" * doctest::skip()) {
  const json plain = {{"name", "single-session"}};
  const Case cases[] = {
      {"activations", experiment(model("offset36-model", 64), 1024, plain), 6000, 20},
      {"loss", experiment(model("offset1-model", 8), 5000, plain), 6000, 20},
      {"Jacobian", experiment(model("offset10-model", 32), 512, {{"name", "regularized-solver"}}),
       6000, 20},
      {"objectives", several_objectives(), 6000, 20},
      {"sessions", several_sessions(), 30'000, 200},
      {"full batch", whole_recording(), 4000, 20}};
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Workspace workspace;
    grevy::host::SimulationOptions options;
    options.num_samples = c.samples;
    options.num_neurons = c.channels;
    grevy::host::write_recording(grevy::host::simulate(options), workspace / "large");
    workspace.write_experiment(c.experiment);
    const Outcome outcome = workspace.grevy({"run", "experiment.json", "--out", "run"});
    REQUIRE_MESSAGE(outcome.code == 0, outcome.err);
    const json summary = workspace.json("run/summary.json");
    const json memory = summary.at("memory");
    const double before = memory.at("parts_mb").at("in use before"),
                 expected = memory.at("estimated_peak_mb").get<double>() - before,
                 measured = summary.at("peak_memory_mb").get<double>() - before;
    const std::string text = memory.dump() + ", measured " + std::to_string(measured);
    MESSAGE(c.name << ": expected " << expected << " MB, measured " << measured);
    // Parts of neighbouring windows that are computed once count for each of them, and blocks of
    // the evaluation as if they were full: it may be much less, but not more.
    CHECK_MESSAGE(expected > 0.8 * measured, text);
    CHECK_MESSAGE(expected < 12 * measured + 100, text);
  }
}

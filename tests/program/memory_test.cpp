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
      experiment(model("offset10-model", 64), 2048, {{"name", "multiobjective-solver"}});
  document["model"]["normalize"] = false;
  document.erase("solver");
  document["objectives"] = {objective(0, 8), objective(4, 8), objective(0, 4)};
  return document;
}

json three_sessions(const char* solver, std::int64_t num_units, std::int64_t batch_size) {
  json document = experiment(model("offset10-model", num_units), batch_size, {{"name", solver}});
  const json session = {{"neural", "large/spikes.npy"},
                        {"labels", {{"position", "large/position.npy"}}}};
  document["data"] = {{"sessions", {session, session, session}}, {"train_fraction", 0.9}};
  document["sampling"] = {{"conditional", "time_delta"}};
  return document;
}

json whole_recording(const char* name, std::int64_t num_units) {
  json document = experiment(model(name, num_units), 1, {{"name", "single-session-full"}});
  document["training"]["batch_size"] = nullptr;
  return document;
}

json with(json document, const char* place, const json& value) {
  document[json::json_pointer(place)] = value;
  return document;
}

struct Case {
  const char* name;
  json experiment;
  std::int64_t samples, channels;
};

}  // namespace

TEST_CASE("memory: a run takes about what was expected" * doctest::skip()) {
  const json plain = {{"name", "single-session"}};
  const json deep = model("offset36-model", 64), wide = model("offset10-model", 64);
  const Case cases[] = {
      {"overlap", experiment(deep, 1024, plain), 6000, 20},
      {"much overlap", experiment(wide, 2500, plain), 3000, 20},
      {"no overlap", experiment(deep, 256, plain), 200'000, 20},
      {"windows", with(experiment(wide, 1024, plain), "/sampling/masks/RandomNeuronMask", 0.5),
       6000, 20},
      {"hybrid",
       with(experiment(wide, 2048, {{"name", "single-session-hybrid"}}), "/sampling",
            {{"conditional", "time_delta"}, {"hybrid", true}}),
       6000, 20},
      {"perceptron", experiment(model("offset1-model", 64), 5000, plain), 6000, 20},
      {"many units", experiment(model("offset10-model", 512), 8, plain), 1000, 20},
      {"Jacobian", experiment(model("offset10-model", 32), 512, {{"name", "regularized-solver"}}),
       6000, 20},
      {"objectives", several_objectives(), 6000, 20},
      {"joined sessions", three_sessions("unified-session", 8, 32), 30'000, 200},
      {"sessions", three_sessions("multi-session", 64, 512), 6000, 20},
      {"evaluation",
       with(experiment(model("offset10-model", 16), 32, plain), "/evaluation/max_samples", 15'000),
       30'000, 100},
      {"full batch", whole_recording("offset10-model", 32), 20'000, 20},
      {"deep full batch", whole_recording("offset36-model", 64), 9000, 20}};
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
    const json parts = memory.at("parts_mb");
    const double before =
                     parts.at("in use before").get<double>() + parts.at("recording").get<double>(),
                 expected = memory.at("estimated_peak_mb").get<double>() - before,
                 measured = summary.at("peak_memory_mb").get<double>() - before;
    const std::string text = memory.dump() + ", measured " + std::to_string(measured);
    MESSAGE(std::string(c.name) << ": expected " << expected << " MB, measured " << measured);
    CHECK_MESSAGE(expected > 0.85 * measured, text);
    CHECK_MESSAGE(expected < 1.5 * measured, text);
  }
}

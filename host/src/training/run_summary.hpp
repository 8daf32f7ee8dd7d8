// How a run is described: the lines of its log and the parts of its summary.
#ifndef GREVY_HOST_RUN_SUMMARY_HPP
#define GREVY_HOST_RUN_SUMMARY_HPP

#include "training/run_state.hpp"

#include <grevy/host/memory.hpp>
#include <grevy/host/run.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>

namespace grevy::host {

nlohmann::json statistics_of(const StepReport& report);
nlohmann::json line_of(const StepReport& report);
// A step that was left out; `count`: how many so far.
nlohmann::json line_of_skipped(const StepReport& report, std::int64_t count);

// What is known of a run whatever came of its embedding: steps, components, recordings.
nlohmann::json describe(const Trainer& trainer, const TrainingData& data, const RunState& state);
nlohmann::json describe(const MemoryEstimate& memory);

// What the run took of the clock.
struct RunTimes {
  double total = 0, training = 0;  // seconds
  std::int64_t num_steps = 0;      // of this training
};

// Adds "time" and "peak_memory_mb".
void describe_use(const Trainer& trainer, const RunTimes& times, nlohmann::json& document);

}  // namespace grevy::host

#endif

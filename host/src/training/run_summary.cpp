#include "training/run_summary.hpp"

#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>

#include <sys/resource.h>

namespace grevy::host {
namespace {

using nlohmann::json;

json resources() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {{"cpu_s", seconds(usage.ru_utime) + seconds(usage.ru_stime)},
          {"peak_memory_mb", static_cast<double>(usage.ru_maxrss) / 1024}};
}

json describe(const Recording& recording, std::int64_t num_train) {
  return {{"samples", recording.num_samples()},
          {"channels", recording.num_channels()},
          {"train_samples", num_train}};
}

json describe(const Phases& phases) {
  return {{"batches", phases.batches},
          {"optimizer", phases.optimizer},
          {"services", phases.services},
          {"solver", phases.solver()}};
}

double in_megabytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

json statistics_of(const StepReport& report) {
  json values = json::object();
  for (const Statistic& s : report.statistics) values[s.name] = s.value;
  return values;
}

json line_of(const StepReport& report) {
  json line = statistics_of(report);
  line["step"] = report.step;
  if (report.validation_loss) line["validation"] = *report.validation_loss;
  for (const Statistic& s : report.validation_parts) line["validation_" + s.name] = s.value;
  return line;
}

json line_of_skipped(const StepReport& report, std::int64_t count) {
  return {{"step", report.step}, {"skipped", count}, {"reason", report.skipped}};
}

json describe(const Trainer& trainer, const TrainingData& data, const RunState& state) {
  const Experiment& experiment = trainer.experiment();
  json document = {
      {"seed", experiment.seed()},
      {"device", experiment.device()},
      {"threads", at::get_num_threads()},
      {"versions", {{"grevy", version()}, {"libtorch", GREVY_STAMP}}},
      {"model", {{"name", trainer.model().component()}, {"parameters", trainer.num_parameters()}}},
      {"criterion", trainer.criterion().component()},
      {"solver", trainer.solver().component()},
      {"step", trainer.step()},
      {"skipped_steps", trainer.num_skipped()}};
  if (state.best) document["best"] = {{"step", state.best->step}, {"validation", state.best->loss}};
  if (!state.allowed.empty()) document["allowed"] = state.allowed;
  json recordings = json::array();
  for (std::size_t s = 0; s < data.whole.size(); ++s)
    recordings.push_back(describe(data.whole[s], data.train[s].num_samples()));
  document[recordings.size() == 1 ? "recording" : "recordings"] =
      recordings.size() == 1 ? recordings[0] : recordings;
  return document;
}

json describe(const MemoryEstimate& memory) {
  json parts = {{"in use before", in_megabytes(memory.in_use)}};
  for (const MemoryPart& part : memory.parts) parts[part.name] = in_megabytes(part.bytes);
  return {{"estimated_peak_mb", in_megabytes(memory.peak())}, {"parts_mb", parts}};
}

void describe_use(const Trainer& trainer, const RunTimes& times, json& document) {
  const json used = resources();
  const auto steps = static_cast<double>(times.num_steps);
  document["time"] = {{"total_s", times.total},
                      {"train_s", times.training},
                      {"cpu_s", used.at("cpu_s")},
                      {"steps_per_s", times.training > 0 ? steps / times.training : 0},
                      {"phases_s", describe(trainer.phases())}};
  document["peak_memory_mb"] = used.at("peak_memory_mb");
}

}  // namespace grevy::host

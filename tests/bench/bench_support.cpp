#include "bench_support.hpp"

#include <fstream>
#include <malloc.h>
#include <string>

namespace grevy::bench {
namespace {

using host::Recording;
using nlohmann::json;

Recording make_recording(std::int64_t samples) {
  Recording recording(at::empty({samples, channels}, at::kFloat).random_(0, 3));
  recording.add_continuous("position", at::randn({samples, 3}).cumsum(0).mul_(0.05).sin_());
  const at::Tensor time = at::arange(samples, at::kLong);
  recording.add_discrete("direction",
                         time.div(50, /*rounding_mode=*/"floor").remainder(num_classes));
  return recording;
}

// A line of /proc/self/status, "VmHWM:   1234 kB", in MB.
double status_of_process(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) * 1.024e-3;
  return 0;
}

}  // namespace

host::Host& builtin_host() {
  static host::Host made([] {
    host::HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    return options;
  }());
  return made;
}

const std::vector<Recording>& recordings(std::int64_t samples, std::size_t sessions) {
  static std::vector<Recording> kept;
  if (kept.size() == sessions && kept.front().num_samples() == samples) return kept;
  kept.clear();
  while (kept.size() < sessions) kept.push_back(make_recording(samples));
  return kept;
}

host::Experiment experiment(const json& changes) {
  json document = {
      {"seed", 1},
      {"model", {{"name", "offset10-model"}, {"num_units", units}, {"num_output", outputs}}},
      {"training", {{"num_steps", 1000000000}, {"batch_size", batch_size}}}};
  document.merge_patch(changes);
  return host::Experiment(builtin_host(), document);
}

MemoryGrowth::MemoryGrowth() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew
  before_ = status_of_process("VmRSS");
}

double MemoryGrowth::peak() const { return status_of_process("VmHWM") - before_; }

}  // namespace grevy::bench

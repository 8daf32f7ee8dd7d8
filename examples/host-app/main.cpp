// Trains on tensors in memory and embeds new samples as they come: what a rig or a pipeline does.
// With a folder of plugins and the name of a criterion in it, trains with that criterion:
//   host-app [FOLDER CRITERION]
#include <grevy/host/host.hpp>
#include <grevy/host/simulate.hpp>
#include <grevy/host/trainer.hpp>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>
#include <torch/types.h>

#include <filesystem>
#include <iostream>

namespace {

struct Request {
  std::filesystem::path plugins;  // a folder, or a file; empty: those that are found anyway
  nlohmann::json criterion = {{"name", "InfoNCE"}, {"temperature", 0.5}};
};

// Any source of samples will do; here a simulated recording, already in memory.
grevy::host::Recording make_recording() {
  const auto simulated = grevy::host::simulate({/*num_samples=*/4000, /*num_neurons=*/20});
  const auto time = simulated.num_samples;
  grevy::host::Recording recording(
      at::tensor(simulated.spikes).view({time, simulated.num_neurons}));
  recording.add_continuous("position", at::tensor(simulated.position));
  return recording;
}

int train_and_embed(const Request& request) {
  at::set_num_threads(1);
  grevy::host::HostOptions options;
  if (!request.plugins.empty()) options.plugin_path = {request.plugins};
  options.log = [](grevy::host::LogLevel, std::string_view component, std::string_view message) {
    std::cerr << component << ": " << message << "\n";
  };
  grevy::host::Host host(options);

  const grevy::host::Experiment experiment(
      host,
      {
          {"seed", 7},
          {"sampling",
           {{"conditional", "time_delta"}, {"continuous", {"position"}}, {"time_offset", 10}}},
          {"model", {{"name", "offset10-model"}, {"num_units", 16}, {"num_output", 3}}},
          {"criterion", request.criterion},
          {"training", {{"num_steps", 100}, {"batch_size", 256}}},
      });
  grevy::host::Trainer trainer(host, experiment, make_recording());

  grevy::host::FitCallbacks callbacks;
  callbacks.on_step = [](const grevy::host::StepReport& report) {
    if ((report.step + 1) % 25 != 0) return;
    std::cout << "step " << report.step + 1;
    for (const auto& statistic : report.statistics)
      std::cout << "  " << statistic.name << " " << statistic.value;
    std::cout << "\n";
  };
  trainer.fit(callbacks);

  // The newest samples of a running experiment: enough for one window.
  const at::Tensor newest = at::rand({trainer.model_info().offset.length(), 20});
  grevy::host::TransformOptions no_padding;
  no_padding.pad = false;
  std::cout << "embedding of the newest window: " << trainer.transform(newest, no_padding) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 1 && argc != 3) {
    std::cerr << "usage: " << argv[0] << " [FOLDER CRITERION]\n";
    return 2;
  }
  try {
    return train_and_embed(argc == 3 ? Request{argv[1], {{"name", argv[2]}}} : Request{});
  } catch (const grevy::Error& e) {
    std::cerr << "host-app: " << e.what() << "\n";
    return 2;
  }
}

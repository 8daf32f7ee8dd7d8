// Trains, stores, transforms and streams again and again in one process, as an application that
// never ends would, and fails when its memory or its number of open files or threads grows.
//   grevy-soak [SECONDS]
#include "resident.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/run.hpp>
#include <grevy/host/simulate.hpp>
#include <grevy/host/stream.hpp>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <unistd.h>
#include <vector>

namespace grevy::tests {
namespace {

using nlohmann::json;

// From the end of the warm-up to the end.
constexpr double allowed_growth_mb = 4;
constexpr double longest_warm_up = 300, sampling_pause = 2;  // seconds

json experiment(const json& model, const json& criterion, const json& sampling) {
  return {{"data",
           {{"neural", "recording/spikes.npy"},
            {"labels",
             {{"position", "recording/position.npy"}, {"direction", "recording/direction.npy"}}}}},
          {"model", model},
          {"criterion", criterion},
          {"sampling", sampling},
          {"optimizer", {{"weight_decay", 0.01}, {"amsgrad", true}}},
          {"training",
           {{"num_steps", 20}, {"batch_size", 64}, {"save_frequency", 5}, {"valid_frequency", 10}}},
          {"evaluation", {{"num_batches", 2}, {"neighbours", 5}}}};
}

std::vector<json> experiments() {
  const json masks = {{"RandomNeuronMask", 0.2}};
  return {experiment({{"name", "offset10-model"}, {"num_units", 8}, {"num_output", 3}},
                     {{"name", "InfoNCE"}}, {{"conditional", "time"}, {"masks", masks}}),
          experiment({{"name", "offset1-model"}, {"num_units", 8}, {"num_output", 3}},
                     {{"name", "LearnableCosineInfoNCE"}},
                     {{"conditional", "time_delta"}, {"continuous", {"position"}}}),
          experiment({{"name", "offset36-model"}, {"num_units", 8}, {"num_output", 3}},
                     {{"name", "InfoNCE"}},
                     {{"conditional", "delta_normal"}, {"discrete", "direction"}})};
}

class Application {
 public:
  Application() {
    host::SimulationOptions options;
    options.num_samples = 800;
    options.num_neurons = 8;
    host::write_recording(host::simulate(options), folder_ / "recording");
  }

  // A Host of its own, two thirds of them with batches that are prepared ahead.
  void work(std::int64_t round) {
    at::set_num_threads(round % 3 == 0 ? 1 : 2);
    host::HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    host::Host host(options);
    json document = documents_[static_cast<std::size_t>(round) % documents_.size()];
    document["seed"] = round;
    be_refused(host, document);
    train(host, document);
    use(host);
  }

 private:
  void be_refused(host::Host& host, json document) const {
    document["model"]["name"] = "no-such-model";
    try {
      host::Experiment(host, document, folder_ / "experiment.json");
    } catch (const Error&) {
      return;
    }
    throw std::logic_error("a model that does not exist was taken");
  }

  void train(host::Host& host, const json& document) const {
    const host::Experiment experiment(host, document, folder_ / "experiment.json");
    host::RunOptions options;
    options.folder = folder_ / "run";
    options.force = true;
    host::run(host, experiment, options);
  }

  void use(host::Host& host) const {
    const auto trainer =
        host::Trainer::from_checkpoint(host, folder_ / "run" / "checkpoint.safetensors");
    const at::Tensor samples = host::load_float_tensor(folder_ / "recording" / "spikes.npy");
    trainer.transform(samples);
    host::Stream stream(trainer);
    std::vector<float> embedding(static_cast<std::size_t>(stream.num_output()));
    for (std::int64_t i = 0; i < samples.size(0); ++i)
      stream.push(samples.data_ptr<float>() + i * samples.size(1), embedding.data());
  }

  TemporaryFolder folder_;
  std::vector<json> documents_ = experiments();
};

int soak(double seconds) {
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Application application;
  Samples samples(std::min(seconds / 3, longest_warm_up));
  double next_sample = 0;
  std::int64_t rounds = 0;
  for (; elapsed() < seconds; ++rounds) {
    application.work(rounds);
    if (elapsed() < next_sample) continue;
    samples.add(elapsed(), rounds + 1);
    next_sample = elapsed() + sampling_pause;
  }
  std::printf("%lld rounds in %.0f s\n", static_cast<long long>(rounds), elapsed());
  return samples.judge(allowed_growth_mb) ? 0 : 1;
}

}  // namespace
}  // namespace grevy::tests

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 180;
  if (argc > 2 || seconds < 10) {
    std::fprintf(stderr, "usage: grevy-soak [SECONDS], at least 10\n");
    return 2;
  }
  // Threads of OpenMP that wait must sleep; it reads this when it is loaded.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    ::execv("/proc/self/exe", argv);
  }
  return grevy::tests::soak(seconds);
}

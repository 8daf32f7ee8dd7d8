// Calls and training steps of the same components in each form of a plugin: with LibTorch's types,
// portable, in C. offset10-model, 120 channels, 32 units, 32 outputs, batch 512, one thread. Names:
// WHAT/FORM. The plugins are those of a folder that forms.sh fills.
#include <grevy/host/trainer.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <benchmark/benchmark.h>
#include <iostream>
#include <string>

namespace grevy::bench {
namespace {

using nlohmann::json;

constexpr std::int64_t channels = 120, outputs = 32, batch_size = 512, samples = 10000;

host::Host& host_of(const char* folder = "") {
  static host::Host made([&] {
    host::HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS, folder};
    options.search_default_folders = false;
    return options;
  }());
  return made;
}

at::Tensor embeddings(double start) {
  const at::Tensor x = at::sin(
      at::arange(batch_size * outputs, at::kFloat).view({batch_size, outputs}) * 0.7 + start);
  return (x / x.norm(2, 1, true)).requires_grad_(true);
}

void infonce(benchmark::State& state, const std::string& form) {
  const auto criterion =
      host_of().create_criterion(form + "-infonce", R"({"temperature":0.5})", {});
  const Prediction p = {embeddings(0), embeddings(1), embeddings(2)};
  for (auto _ : state) criterion->evaluate({p}, 2).loss.backward();
}

struct Encoder {
  explicit Encoder(const std::string& form)
      : model([&] {
          host::CreateOptions create;
          create.num_input = channels;
          return host_of().create_model(form + "-offset10", R"({"num_output":32})", create);
        }()),
        windows(at::sin(at::arange(batch_size * 10 * channels, at::kFloat) * 0.3)
                    .view({batch_size, 10, channels})
                    .transpose(1, 2)) {}
  Owned<ModelRef> model;
  at::Tensor windows;
};

void forward(benchmark::State& state, const std::string& form) {
  const at::NoGradGuard no_grad;
  const Encoder encoder(form);
  for (auto _ : state) benchmark::DoNotOptimize(encoder.model->forward(encoder.windows));
}

void forward_and_backward(benchmark::State& state, const std::string& form) {
  const Encoder encoder(form);
  const at::Tensor given = embeddings(0).detach();
  for (auto _ : state) encoder.model->forward(encoder.windows).backward(given);
}

// Trains as long as the benchmark runs.
void train(benchmark::State& state, const std::string& encoder, const std::string& loss,
           const std::string& solver) {
  const at::Tensor time = at::arange(samples, at::kFloat).unsqueeze(1);
  host::Recording recording(at::sin(time * (at::arange(channels, at::kFloat) * 0.01 + 0.1)));
  const json document = {{"model", {{"name", encoder + "-offset10"}, {"num_output", outputs}}},
                         {"criterion", {{"name", loss + "-infonce"}}},
                         {"solver", {{"name", solver + "-solver"}}},
                         {"training", {{"num_steps", 1000000000}, {"batch_size", batch_size}}}};
  host::Trainer trainer(host_of(), host::Experiment(host_of(), document), recording);
  host::FitCallbacks callbacks;
  callbacks.should_stop = [&] { return !state.KeepRunning(); };
  trainer.fit(callbacks);
}

void solver_step(benchmark::State& state, const std::string& form) {
  train(state, "torch", "torch", form);
}
void training_step(benchmark::State& state, const std::string& form) {
  train(state, form, form, form);
}

void add(const char* what, void (*body)(benchmark::State&, const std::string&)) {
  for (const std::string form : {"torch", "portable", "raw"})
    benchmark::RegisterBenchmark((what + ("/" + form)).c_str(),
                                 [body, form](benchmark::State& state) { body(state, form); })
        ->Unit(benchmark::kMicrosecond)
        ->MeasureProcessCPUTime();
}

}  // namespace
}  // namespace grevy::bench

int main(int argc, char** argv) {
  using namespace grevy::bench;
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " FOLDER_OF_THE_PLUGINS [--benchmark_...]\n";
    return 2;
  }
  host_of(argv[1]);
  at::set_num_threads(1);
  add("infonce", infonce);
  add("offset10_forward", forward);
  add("offset10", forward_and_backward);
  add("solver_step", solver_step);
  add("training_step", training_step);
  benchmark::RunSpecifiedBenchmarks();
}

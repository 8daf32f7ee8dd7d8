// Training steps of Grevy, a case for each way to sample and each kind of solver, beside the same
// step written plainly with LibTorch the way the reference works (plain_step.hpp). offset10-model,
// 120 channels, 32 units, 8 outputs, batch 512. Names: CASE/SAMPLES/grevy and CASE/SAMPLES/plain.
#include "plain_step.hpp"

#include <ATen/Parallel.h>

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

namespace grevy::bench {
namespace {

using nlohmann::json;
using Sizes = std::vector<std::int64_t>;

struct Case {
  std::string name;
  json changes;              // of the experiment
  Sizes sizes;               // samples of a session
  std::int64_t plain_up_to;  // beyond it, the plain step needs more than 8 GB
  PlainLoss plain;
  bool normalized = true;  // the encoder's output
  std::size_t sessions = 1;
  Sizes large_sizes = {};  // only with --large
};

std::vector<Case> cases() {
  constexpr std::int64_t k = 1000;
  const Sizes all = {10 * k, 100 * k, 1000 * k}, two = {10 * k, 100 * k};
  const json euclidean = {{"model", {{"name", "offset10-model-mse"}}}};
  const json time_delta = {
      {"sampling", {{"conditional", "time_delta"}, {"continuous", {"position"}}}}};
  const auto with = [](json changes, const json& more) {
    changes.merge_patch(more);
    return changes;
  };
  const auto objective = [](int begin, const json& distribution) {
    return json{{"slice", {begin, outputs}},
                {"loss", {{"name", "FixedEuclideanInfoNCE"}}},
                {"distribution", distribution}};
  };
  const json objectives =
      with(euclidean, {{"objectives",
                        {objective(0, {{"name", "time"}, {"time_offset", time_offset}}),
                         objective(behavior_features, {{"name", "time_delta"},
                                                       {"label_name", "position"},
                                                       {"time_delta", time_offset}})}},
                       {"solver", {{"name", "multiobjective-solver"}}}});
  const json jacobian = {
      {"regularizer", {{"name", "JacobianReg"}, {"n", 1}}},
      {"scheduler_regularizer", {{"name", "constant-weight"}, {"initial_weights", {0.01, 0.01}}}}};
  json full_batch = with(time_delta, {{"solver", {{"name", "single-session-full"}}}});
  full_batch["training"]["batch_size"] = nullptr;
  return {
      {"time", {{"sampling", {{"conditional", "time"}}}}, all, 1000 * k, plain_time},
      {"discrete",
       {{"sampling", {{"conditional", "discrete"}, {"discrete", "direction"}}}},
       all,
       1000 * k,
       plain_discrete},
      {"time_delta", time_delta, all, 100 * k, plain_time_delta},
      {"mixed", with(time_delta, {{"sampling", {{"discrete", "direction"}}}}), all, 100 * k,
       plain_mixed},
      {"hybrid",
       with(time_delta,
            {{"sampling", {{"hybrid", true}}},
             {"solver",
              {{"name", "single-session-hybrid"}, {"num_behavior_features", behavior_features}}}}),
       all, 100 * k, plain_hybrid},
      {"three-sessions", with(time_delta, {{"solver", {{"name", "multi-session"}}}}), two, 100 * k,
       plain_several_sessions, true, 3},
      {"multi-objective", objectives, two, 100 * k, plain_objectives, false},
      {"multi-objective-jacobian", with(objectives, {{"solver", jacobian}}), two, 100 * k,
       plain_objectives_with_jacobian, false},
      {"regularized",
       with(with(time_delta, euclidean),
            {{"criterion", {{"name", "InfoMSE"}}},
             {"solver", {{"name", "regularized-solver"}, {"lambda_JR", 0.1}}}}),
       two, 100 * k, plain_regularized, false},
      {"full-batch", full_batch, {10 * k}, 10 * k, plain_full_batch, true, 1, {100 * k}},
  };
}

// The first step, which makes buffers, is not measured on either side.
void grevy_steps(benchmark::State& state, const Case& c, std::int64_t samples) {
  const auto& sessions = recordings(samples, c.sessions);
  const MemoryGrowth memory;
  host::Trainer trainer(builtin_host(), experiment(c.changes), sessions);
  host::FitCallbacks callbacks;
  callbacks.should_stop = [&] { return !state.KeepRunning(); };
  trainer.fit(callbacks);
  state.counters["MB"] = memory.peak();
}

void plain_steps(benchmark::State& state, const Case& c, std::int64_t samples) {
  const auto& made = recordings(samples, c.sessions);
  const MemoryGrowth memory;
  PlainSessions sessions;
  std::vector<at::Tensor> parameters;
  for (const host::Recording& recording : made) {
    sessions.emplace_back(recording, c.normalized);
    const auto& own = sessions.back().encoder.parameters();
    parameters.insert(parameters.end(), own.begin(), own.end());
  }
  PlainAdam adam(std::move(parameters));
  const auto step = [&] {
    adam.zero_grad();
    const at::Tensor loss = c.plain(sessions);
    loss.backward();
    adam.step();
    benchmark::DoNotOptimize(loss.item<float>());
  };
  step();
  for (auto _ : state) step();
  state.counters["MB"] = memory.peak();
}

void add_steps(const Case& c, const Sizes& sizes) {
  const auto add = [&](std::int64_t samples, const char* side, auto* body) {
    const std::string name = c.name + "/" + std::to_string(samples) + "/" + side;
    benchmark::RegisterBenchmark(
        name.c_str(), [body, c, samples](benchmark::State& state) { body(state, c, samples); })
        ->Unit(benchmark::kMillisecond)
        ->MeasureProcessCPUTime();
  };
  for (const std::int64_t samples : sizes) {
    add(samples, "grevy", grevy_steps);
    if (samples <= c.plain_up_to) add(samples, "plain", plain_steps);
  }
}

struct Flags {
  int threads = 1;
  bool large = false;
};

Flags parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i], threads = "--threads=";
    if (flag == "--large")
      flags.large = true;
    else if (flag == threads + "all")
      flags.threads = static_cast<int>(std::thread::hardware_concurrency());
    else if (flag.rfind(threads, 0) == 0)
      flags.threads = std::atoi(flag.c_str() + threads.size());
    else
      flags.threads = 0;
  }
  return flags;
}

}  // namespace
}  // namespace grevy::bench

// Besides Google Benchmark's flags: --threads=N (1; all: as many as cores), --large (the full batch
// of 100 000 samples, about twenty seconds a step).
int main(int argc, char** argv) {
  using namespace grevy::bench;
  benchmark::Initialize(&argc, argv);
  const Flags flags = parse(argc, argv);
  if (flags.threads < 1) {
    std::cerr << "usage: " << argv[0] << " [--threads=N|all] [--large] [--benchmark_...]\n";
    return 2;
  }
  at::set_num_threads(flags.threads);
  benchmark::AddCustomContext("threads", std::to_string(flags.threads));
  for (const Case& c : cases()) {
    add_steps(c, c.sizes);
    if (flags.large) add_steps(c, c.large_sizes);
  }
  benchmark::RunSpecifiedBenchmarks();
}

// Embedding sample by sample: how long one push takes, and whether it allocates; beside a window
// that goes through LibTorch's convolutions for every sample.
#include "allocations.hpp"
#include "plain_step.hpp"

#include <grevy/host/stream.hpp>

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>

namespace grevy::bench {
namespace {

constexpr std::int64_t warm_up = 1000;

// push(i) embeds sample i.
template <class Push>
void measure(benchmark::State& state, Push&& push) {
  std::vector<double> micros;
  micros.reserve(static_cast<std::size_t>(state.max_iterations));
  std::int64_t i = 0;
  while (i < warm_up) push(i++);
  const std::int64_t before = num_allocations();
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    push(i++);
    micros.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
            .count());
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(num_allocations() - before), benchmark::Counter::kAvgIterations);
  std::sort(micros.begin(), micros.end());
  const auto at_share = [&](double share) {
    return micros[static_cast<std::size_t>(share * static_cast<double>(micros.size() - 1))];
  };
  state.counters["50 %"] = at_share(0.5);
  state.counters["99 %"] = at_share(0.99);
  state.counters["99.9 %"] = at_share(0.999);
  state.counters["max"] = at_share(1);
}

const at::Tensor& samples() { return recordings(10000).front().neural(); }

void grevy_stream(benchmark::State& state) {
  const auto trainer =
      host::Trainer::without_data(builtin_host(), experiment(nlohmann::json::object()), {channels});
  host::Stream stream(trainer);
  const at::Tensor rows = samples();
  float embedding[outputs];
  measure(state, [&](std::int64_t i) {
    stream.push(rows.data_ptr<float>() + i % rows.size(0) * channels, embedding);
    benchmark::DoNotOptimize(embedding);
  });
}

void plain_stream(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const PlainEncoder encoder(true);
  const at::Tensor rows = samples();
  measure(state, [&](std::int64_t i) {
    const std::int64_t begin = i % (rows.size(0) - offset.length());
    const at::Tensor window = rows.slice(0, begin, begin + offset.length());
    benchmark::DoNotOptimize(encoder(window.t().unsqueeze(0)));
  });
}

BENCHMARK(grevy_stream)->Name("stream/grevy")->Iterations(200000)->Unit(benchmark::kMicrosecond);
BENCHMARK(plain_stream)->Name("stream/plain")->Iterations(20000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace grevy::bench

// Embedding a recording: Trainer::transform beside LibTorch's convolutions in chunks as long.
#include "plain_step.hpp"

#include <grevy/host/trainer.hpp>

#include <algorithm>
#include <benchmark/benchmark.h>

namespace grevy::bench {
namespace {

constexpr std::int64_t chunk = 10000, num_samples = 1000000;

template <class Transform>
void measure(benchmark::State& state, Transform&& transform) {
  const at::Tensor samples = recordings(num_samples).front().neural();
  const MemoryGrowth memory;
  for (auto _ : state) benchmark::DoNotOptimize(transform(samples));
  state.counters["MB"] = memory.peak();
  state.counters["samples/s"] = benchmark::Counter(
      static_cast<double>(num_samples * state.iterations()), benchmark::Counter::kIsRate);
}

void grevy_transform(benchmark::State& state) {
  const auto trainer =
      host::Trainer::without_data(builtin_host(), experiment(nlohmann::json::object()), {channels});
  measure(state, [&](const at::Tensor& samples) { return trainer.transform(samples); });
}

at::Tensor padded(const at::Tensor& samples) {
  return at::cat({samples.slice(0, 0, 1).expand({offset.left, -1}), samples,
                  samples.slice(0, -1).expand({offset.right - 1, -1})});
}

void plain_transform(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const PlainEncoder encoder(true);
  measure(state, [&](const at::Tensor& samples) {
    const std::int64_t count = samples.size(0), rest = offset.length() - 1;
    const at::Tensor series = padded(samples);
    std::vector<at::Tensor> rows;
    for (std::int64_t begin = 0; begin < count; begin += chunk) {
      const at::Tensor part = series.slice(0, begin, std::min(begin + chunk, count) + rest);
      rows.push_back(encoder(part.t().unsqueeze(0))[0].t());
    }
    return at::cat(rows);
  });
}

BENCHMARK(grevy_transform)
    ->Name("transform/1000000/grevy")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();
BENCHMARK(plain_transform)
    ->Name("transform/1000000/plain")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace grevy::bench

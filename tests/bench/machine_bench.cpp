// What this machine can do at most: matrix products and copies, without anything around them.
#include "bench_support.hpp"

#include <torch/types.h>

#include <benchmark/benchmark.h>
#include <cstring>
#include <kernels/row_kernels.hpp>
#include <vector>

namespace grevy::bench {
namespace {

// The first layer of a step: 9 rows of each of 3 * 512 windows.
constexpr std::int64_t windows = 3 * batch_size, rows = 9, depth = 2 * channels;

void report_product(benchmark::State& state, std::int64_t m, std::int64_t k, std::int64_t n) {
  state.SetItemsProcessed(2 * m * k * n * state.iterations());  // FLOP
}

void own_product(benchmark::State& state) {
  const kernels::RowKernels& own = kernels::row_kernels();
  const std::vector<float> in(windows * (rows + 1) * channels, 0.5F), weights(depth * units, 0.25F),
      bias(units, 1.0F);
  std::vector<float> out(windows * rows * units);
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t w = 0; w < windows; ++w)
    for (std::int64_t r = 0; r < rows; ++r) {
      from.push_back(in.data() + (w * (rows + 1) + r) * channels);
      to.push_back(out.data() + (w * rows + r) * units);
    }
  for (auto _ : state) {
    own.multiply(from.data(), to.data(), from.size(), weights.data(), depth, units, bias.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(own.name);
  report_product(state, windows * rows, depth, units);
}

void at_product(benchmark::State& state) {
  const at::Tensor a = at::rand({state.range(0), state.range(1)}),
                   b = at::rand({state.range(1), state.range(2)});
  for (auto _ : state) benchmark::DoNotOptimize(at::mm(a, b));
  report_product(state, state.range(0), state.range(1), state.range(2));
}

void copy(benchmark::State& state) {
  constexpr std::size_t bytes = 64 << 20;
  const std::vector<char> from(bytes, 1);
  std::vector<char> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}

BENCHMARK(own_product)
    ->Name("machine/own")
    ->Args({windows * rows, depth, units})
    ->MeasureProcessCPUTime();
BENCHMARK(at_product)
    ->Name("machine/at")
    ->Args({windows * rows, depth, units})
    ->Args({2048, 2048, 2048})
    ->MeasureProcessCPUTime();
BENCHMARK(copy)->Name("machine/copy")->MeasureProcessCPUTime();

}  // namespace
}  // namespace grevy::bench

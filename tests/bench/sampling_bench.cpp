// Positives of a batch: the k-d tree beside the dense float32 distance matrix that it replaces.
#include <grevy/host/sampling.hpp>

#include <benchmark/benchmark.h>
#include <cstdint>
#include <vector>

namespace {

using grevy::host::Random;

constexpr std::int64_t width = 3;
constexpr std::int64_t batch = 512;
constexpr std::int64_t time_offset = 10;

// A random walk whose velocity decays: labels change smoothly, as positions do.
std::vector<float> smooth_walk(std::int64_t count) {
  Random random(1, "walk");
  std::vector<float> labels;
  double position[width] = {};
  double velocity[width] = {};
  for (std::int64_t i = 0; i < count * width; ++i) {
    double& speed = velocity[i % width];
    speed = 0.95 * speed + 0.01 * random.normal();
    position[i % width] = 0.999 * position[i % width] + speed;
    labels.push_back(static_cast<float>(position[i % width]));
  }
  return labels;
}

std::vector<std::int64_t> references(std::int64_t count) {
  Random random(2, "references");
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < batch; ++i) samples.push_back(random.below(count));
  return samples;
}

grevy::host::SamplingOptions time_delta() {
  grevy::host::SamplingOptions options;
  options.time_offset = time_offset;
  return options;
}

void tree_build(benchmark::State& state) {
  const auto labels = smooth_walk(state.range(0));
  for (auto _ : state) {
    auto made = grevy::host::make_distribution(time_delta(),
                                               {state.range(0), labels.data(), width, nullptr});
    benchmark::DoNotOptimize(made);
  }
}

void tree_conditional(benchmark::State& state) {
  const auto labels = smooth_walk(state.range(0));
  const auto distribution =
      grevy::host::make_distribution(time_delta(), {state.range(0), labels.data(), width, nullptr});
  const auto chosen = references(state.range(0));
  std::vector<std::int64_t> positives(chosen.size());
  Random random(3, "conditional");
  for (auto _ : state) {
    distribution->conditional(random, chosen.data(), batch, positives.data());
    benchmark::DoNotOptimize(positives.data());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

std::vector<float> squared_norms(const std::vector<float>& rows) {
  std::vector<float> norms(rows.size() / width);
  for (std::size_t i = 0; i < rows.size(); ++i) norms[i / width] += rows[i] * rows[i];
  return norms;
}

std::vector<float> draw_queries(const std::vector<float>& labels, Random& random,
                                const std::vector<std::int64_t>& chosen) {
  const auto count = static_cast<std::int64_t>(labels.size()) / width;
  std::vector<float> queries;
  for (const std::int64_t r : chosen) {
    const std::int64_t k = random.below(count);
    for (std::int64_t c = 0; c < width; ++c) {
      const float* column = labels.data() + c;
      const float difference =
          k < time_offset ? 0.0F : column[k * width] - column[(k - time_offset) * width];
      queries.push_back(column[r * width] + difference);
    }
  }
  return queries;
}

// |x|^2 + |q|^2 - 2 x.q into a (batch, count) matrix, then the first smallest of every row.
void dense_search(const std::vector<float>& labels, const std::vector<float>& norms,
                  const std::vector<float>& queries, std::vector<float>& matrix,
                  std::vector<std::int64_t>& positives) {
  const std::size_t count = norms.size();
  const auto query_norms = squared_norms(queries);
  for (std::size_t b = 0; b < query_norms.size(); ++b) {
    const float* q = queries.data() + b * width;
    float* row = matrix.data() + b * count;
    for (std::size_t i = 0; i < count; ++i) {
      const float* x = labels.data() + i * width;
      row[i] = norms[i] + query_norms[b] - 2.0F * (x[0] * q[0] + x[1] * q[1] + x[2] * q[2]);
    }
    std::size_t best = 0;
    for (std::size_t i = 1; i < count; ++i) {
      if (row[i] < row[best]) best = i;
    }
    positives[b] = static_cast<std::int64_t>(best);
  }
}

void dense_conditional(benchmark::State& state) {
  const auto labels = smooth_walk(state.range(0));
  const auto norms = squared_norms(labels);
  const auto chosen = references(state.range(0));
  std::vector<float> matrix(norms.size() * static_cast<std::size_t>(batch));
  std::vector<std::int64_t> positives(chosen.size());
  Random random(3, "conditional");
  for (auto _ : state) {
    const auto queries = draw_queries(labels, random, chosen);
    dense_search(labels, norms, queries, matrix, positives);
    benchmark::DoNotOptimize(positives.data());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

}  // namespace

BENCHMARK(tree_build)->Arg(10000)->Arg(100000)->Arg(1000000)->Unit(benchmark::kMillisecond);
BENCHMARK(tree_conditional)->Arg(10000)->Arg(100000)->Arg(1000000)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_conditional)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();

// A training step of Grevy beside one written plainly with LibTorch, the way the reference works: a
// dense distance matrix for behaviour sampling, windows gathered by index, three encoder calls, the
// full similarity matrix. offset10-model, 120 channels, 32 units, 8 outputs, batch 512, one thread.
#include "sampling/loader.hpp"
#include "training/adam.hpp"

#include <grevy/host/host.hpp>

#include <ATen/Parallel.h>

#include <benchmark/benchmark.h>
#include <string>

namespace {

using namespace grevy;
using namespace grevy::host;

constexpr std::int64_t channels = 120, batch_size = 512;
constexpr Offset offset{5, 5};

Recording make_recording(std::int64_t samples) {
  Recording recording(at::randint(0, 3, {samples, channels}).to(at::kFloat));
  recording.add_continuous("position", at::randn({samples, 3}).cumsum(0));
  return recording;
}

struct Parts {
  Parts() {
    HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    host = std::make_unique<Host>(options);
    CreateOptions create;
    create.num_input = channels;
    model = host->create_model("offset10-model", "{}", create);
    criterion = host->create_criterion("InfoNCE", "{}", {});
    solver = host->create_solver("single-session", "{}", create);
    solver->attach({*model}, {*criterion});
    adam = std::make_unique<Adam>(model->tensors(), AdamOptions{});
  }
  std::unique_ptr<Host> host;
  Owned<ModelRef> model;
  Owned<CriterionRef> criterion;
  Owned<SolverRef> solver;
  std::unique_ptr<Adam> adam;
};

SamplingSpec sampling(bool behavior) {
  SamplingSpec spec;
  PositiveSpec set;
  set.options.conditional =
      behavior ? SamplingOptions::Conditional::time_delta : SamplingOptions::Conditional::time;
  if (behavior) set.continuous = {"position"};
  spec.positives = {set};
  return spec;
}

void grevy_step(benchmark::State& state, bool behavior) {
  at::set_num_threads(1);
  const Parts parts;
  const Recording recording = make_recording(state.range(0));
  LoaderOptions options;
  options.offsets = {offset};
  options.batch_size = options.num_negatives = batch_size;
  Loader loader({recording}, sampling(behavior), options, Random(1, "bench"),
                Random(1, "bench masks"));
  for (auto _ : state) parts.solver->step(loader.next(), *parts.adam->table());
}

at::Tensor windows_at(const Recording& recording, const at::Tensor& index) {
  const at::Tensor clamped = index.clamp(offset.left, recording.num_samples() - offset.right);
  return recording.neural()
      .index({clamped.unsqueeze(1) + at::arange(-offset.left, offset.right)})
      .transpose(1, 2);
}

at::Tensor nearest(const at::Tensor& labels, const at::Tensor& queries) {
  return (labels.square().sum(1, true) + queries.square().sum(1) - 2 * at::mm(labels, queries.t()))
      .argmin(0);
}

void plain_step(benchmark::State& state, bool behavior) {
  at::set_num_threads(1);
  const Parts parts;
  const std::int64_t samples = state.range(0);
  const Recording recording = make_recording(samples);
  const at::Tensor labels = recording.labels().front().values;
  const at::Tensor differences =
      at::cat({at::zeros({10, 3}), labels.slice(0, 10) - labels.slice(0, 0, samples - 10)});
  for (auto _ : state) {
    const at::Tensor drawn = at::randint(0, samples - 10, {2 * batch_size}, at::kLong);
    const at::Tensor reference = drawn.slice(0, 0, batch_size),
                     negative = drawn.slice(0, batch_size);
    const at::Tensor change = differences.index({at::randint(0, samples, {batch_size}, at::kLong)});
    const at::Tensor positive =
        behavior ? nearest(labels, labels.index({reference}) + change) : reference + 10;
    parts.adam->zero_grad();
    const auto embed = [&](const at::Tensor& index) {
      return parts.model->forward(windows_at(recording, index));
    };
    const at::Tensor r = embed(reference), p = embed(positive), n = embed(negative);
    const at::Tensor similarity = at::mm(r, n.t());
    const at::Tensor shift = std::get<0>(similarity.max(1)).detach();
    const at::Tensor loss = -((r * p).sum(1) - shift).mean() +
                            at::logsumexp(similarity - shift.unsqueeze(1), {1}).mean();
    loss.backward();
    parts.adam->step();
    benchmark::DoNotOptimize(loss.item<float>());
  }
}

}  // namespace

BENCHMARK_CAPTURE(grevy_step, time, false)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plain_step, time, false)->Arg(10000)->Arg(100000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(grevy_step, time_delta, true)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plain_step, time_delta, true)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_MAIN();

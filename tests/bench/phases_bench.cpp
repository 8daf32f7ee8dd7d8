// Where the time of a step of Grevy goes: the parts that a single-session step is made of, put
// together by hand. Milliseconds of CPU time for each.
#include "bench_support.hpp"
#include "sampling/batch_sampler.hpp"
#include "sampling/window_gather.hpp"
#include "training/adam.hpp"

#include <benchmark/benchmark.h>
#include <ctime>
#include <map>
#include <string>

namespace grevy::bench {
namespace {

using namespace grevy::host;
using nlohmann::json;

class Phases {
 public:
  template <class Body>
  auto operator()(const char* name, Body&& body) {
    const Lap lap{total_[name], std::clock()};
    return body();
  }
  void report(benchmark::State& state) const {
    for (const auto& [name, ticks] : total_)
      state.counters[name] = benchmark::Counter(1e3 * static_cast<double>(ticks) / CLOCKS_PER_SEC,
                                                benchmark::Counter::kAvgIterations);
  }

 private:
  struct Lap {
    std::clock_t& total;
    std::clock_t start;
    ~Lap() { total += std::clock() - start; }
  };
  std::map<std::string, std::clock_t> total_;
};

void phases(benchmark::State& state, const json& sampling) {
  const std::vector<Recording>& sessions = recordings(state.range(0));
  const Experiment document = experiment({{"sampling", sampling}});
  const Trainer trainer(builtin_host(), document, sessions);
  const auto sampler = make_batch_sampler(resolve_sampling(document, sessions), sessions,
                                          {batch_size, batch_size, false, {}});
  const WindowGather windows(sessions.front().neural(), offset, at::kCPU);
  const auto numbers = [&](Samples samples) {
    for (std::int64_t& sample : samples) sample = windows.complete(sample);
    return at::tensor(samples, at::kLong);
  };
  const ModelRef model = trainer.model();
  const CriterionRef criterion = trainer.criterion();
  Adam adam(trainer.tensors(), {});
  Random random(1, "bench");
  const auto step = [&](Phases& phase) {
    phase("optimiser", [&] { adam.zero_grad(); });
    const StepDraw draw = phase("sample", [&] { return sampler->draw(random); });
    const SampleDraw& drawn = draw.sessions.front();
    const std::vector<at::Tensor> sets = phase("sample", [&] {
      return std::vector<at::Tensor>{numbers(drawn.reference), numbers(drawn.positives.front()),
                                     numbers(drawn.negative)};
    });
    const Prediction embedded = phase("forward", [&] {
      const auto e = model.forward_samples(sessions.front().neural(), sets, 1);
      return Prediction{e[0][0], e[1][0], e[2][0]};
    });
    const at::Tensor loss = phase("loss", [&] { return criterion.evaluate({embedded}, 2).loss; });
    phase("backward", [&] { loss.backward(); });
    phase("optimiser", [&] { adam.step(); });
  };
  Phases first, measured;
  step(first);
  for (auto _ : state) step(measured);
  measured.report(state);
}

BENCHMARK_CAPTURE(phases, time, json{{"conditional", "time"}})
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(phases, time_delta,
                  json{{"conditional", "time_delta"}, {"continuous", {"position"}}})
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace grevy::bench

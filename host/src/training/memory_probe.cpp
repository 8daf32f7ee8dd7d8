#include "training/memory_probe.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace grevy::host {
namespace {

// The type of totals is another one in LibTorch 2.
template <class Method>
struct TotalOf;
template <class Class, class Total>
struct TotalOf<void (Class::*)(void*, std::int64_t, Total, Total, c10::Device)> {
  using Type = Total;
};
using Total = TotalOf<decltype(&c10::MemoryReportingInfoBase::reportMemoryUsage)>::Type;

// Counts what LibTorch allocates on the thread where it is installed.
class Watch : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, std::int64_t size, Total, Total, c10::Device) override {
    held += static_cast<double>(size);
    most = std::max(most, held);
  }
  bool memoryProfilingEnabled() const override { return true; }

  double held = 0, most = 0;
};

// forward() gives what a backward pass starts from; undefined: there is none.
template <class Forward>
MemoryUse measure(Forward&& forward) {
  const auto watch = std::make_shared<Watch>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
  const at::Tensor root = forward();
  const double held = watch->held;
  if (root.defined() && root.requires_grad()) root.backward();
  return {held, watch->most};
}

void clear_gradients(const NamedTensors& tensors) {
  for (const NamedTensor& t : tensors) at::Tensor(t.tensor).mutable_grad().reset();
}

// Growth from `few` to `many`, for each one more.
MemoryUse slope(const MemoryUse& few, const MemoryUse& many, double more) {
  const double held = std::max((many.held - few.held) / more, 0.0);
  return {held, std::max((many.most - few.most) / more, held)};
}

// Rows of the probes: few enough that their input has at most so many numbers.
constexpr std::int64_t most_numbers = std::int64_t{1} << 20;

}  // namespace

MemoryUse use_of_row(const ModelRef& model, const ModelInfo& info, bool series, bool backward) {
  const std::int64_t length = info.offset.length();
  const bool at_once = series && info.convolutional;
  const std::int64_t per_row = at_once ? info.num_input : info.num_input * length;
  // Two sizes that are multiples of what encoders may work on together.
  const std::int64_t few =
      std::clamp<std::int64_t>(most_numbers / per_row / 2, 1, at_once ? 64 : 8);
  const auto run = [&](std::int64_t rows) {
    const at::Tensor input =
        at_once ? at::zeros({1, info.num_input, (rows - 1) * info.resample_factor + length})
                : at::zeros({rows, length, info.num_input}).transpose(1, 2);
    const MemoryUse use = measure([&] {
      const at::Tensor embedding = model.forward_all(input, info.num_tensors).front();
      return backward ? embedding.sum() : at::Tensor();
    });
    if (backward) clear_gradients(model.tensors());
    return use;
  };
  const c10::AutoGradMode with_graph(backward);
  try {
    model.set_training(false);
    run(few);  // what is made once
    const MemoryUse small = run(few), large = run(2 * few);
    return slope(small, large, static_cast<double>(few));
  } catch (const std::exception&) {
    return {};
  }
}

MemoryUse use_of_step(const SolverRef& solver, const NamedTensors& trained,
                      const grevy_loader& loader) {
  grevy_optimizer optimizer{};
  optimizer.struct_size = sizeof(optimizer);
  optimizer.zero_grad = [](void*, const grevy_error_sink*) -> std::int32_t { return GREVY_OK; };
  optimizer.step = optimizer.zero_grad;
  grevy_training training{};
  training.struct_size = sizeof(training);
  training.loader = &loader;
  training.optimizer = &optimizer;
  training.num_steps = 1;
  training.end_step = [](void*, std::int64_t, const grevy_statistic*, std::uint64_t,
                         std::uint32_t* actions, const grevy_error_sink*) -> std::int32_t {
    *actions = 0;
    return GREVY_OK;
  };
  // Nobody asks for a validation; a solver may tell of one all the same.
  training.end_validation = [](void*, std::int64_t, double, const grevy_statistic*, std::uint64_t,
                               const grevy_error_sink*) -> std::int32_t { return GREVY_OK; };
  const c10::AutoGradMode with_graph(true);
  try {
    const MemoryUse use = measure([&] {
      solver.fit(training);
      return at::Tensor();
    });
    clear_gradients(trained);
    return use;
  } catch (const std::exception&) {
    clear_gradients(trained);
    return {};
  }
}

MemoryUse use_of_loss(const CriterionRef& criterion, std::size_t losses, std::int64_t n,
                      std::int64_t m, std::int64_t width) {
  constexpr double largest = 1024;
  const auto rows = [&](std::int64_t count, double share) {
    const auto scaled = static_cast<std::int64_t>(static_cast<double>(count) * share);
    return at::ones({std::max<std::int64_t>(scaled, 1), width}).requires_grad_(true);
  };
  const auto run = [&](double share) {
    const std::vector<Prediction> predictions(losses,
                                              {rows(n, share), rows(n, share), rows(m, share)});
    return measure(
        [&] { return criterion.evaluate(predictions, criterion.info().parts.size()).loss; });
  };
  const c10::AutoGradMode with_graph(true);
  const double share = std::min(1.0, largest / static_cast<double>(std::max(n, m)));
  try {
    if (share == 1) return run(1);
    const MemoryUse half = run(share / 2), whole = run(share);
    // a s + b s^2 through both; at s = 1.
    const auto at_one = [&](double y_half, double y_whole) {
      const double b = std::max(2 * (y_whole - 2 * y_half) / (share * share), 0.0);
      const double a = (y_whole - b * share * share) / share;
      return a + b;
    };
    return {at_one(half.held, whole.held), at_one(half.most, whole.most)};
  } catch (const std::exception&) {
    return {};
  }
}

}  // namespace grevy::host

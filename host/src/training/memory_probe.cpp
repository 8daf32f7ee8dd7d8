#include "training/memory_probe.hpp"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/types.h>

#include <algorithm>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <unordered_set>

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

// Bytes that malloc has given out, all threads together; 0 where it does not say.
double given_out() {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
#else
  return 0;
#endif
}

// Counts what LibTorch allocates on the thread where it is installed; what was there before and is
// freed now does not count. What is allocated beside it is looked at now and then, as that takes
// long.
class Watch : public c10::MemoryReportingInfoBase {
 public:
  explicit Watch(bool looks_beside) : looks_left_(looks_beside ? 16 : 0) {
    if (looks_beside) before_ = given_out();
  }
  void reportMemoryUsage(void* memory, std::int64_t size, Total, Total, c10::Device) override {
    const std::lock_guard lock(mutex_);
    if (size > 0)
      allocated_.insert(memory);
    else if (allocated_.erase(memory) == 0)
      return;
    held += static_cast<double>(size);
    most = std::max(most, held);
    constexpr std::int64_t large = 1 << 18;
    if (size < large || looks_left_ == 0) return;
    --looks_left_;
    beside = std::max(beside, given_out() - before_ - held);
  }
  bool memoryProfilingEnabled() const override { return true; }

  double held = 0, most = 0, beside = 0;

 private:
  std::mutex mutex_;
  std::unordered_set<void*> allocated_;
  double before_ = 0;
  int looks_left_;
};

// The Watch of what a body does.
template <class Body>
std::shared_ptr<Watch> watch(bool looks_beside, Body&& body) {
  const auto watch = std::make_shared<Watch>(looks_beside);
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
  body(*watch);
  return watch;
}

}  // namespace

double use_of_row(const ModelRef& model, const ModelInfo& info) {
  const std::int64_t length = info.offset.length();
  const std::int64_t per_row = info.convolutional ? info.num_input : info.num_input * length;
  // Two sizes that are multiples of what encoders may work on together, of few enough numbers.
  constexpr std::int64_t most_numbers = std::int64_t{1} << 19;
  const std::int64_t few = std::clamp<std::int64_t>(most_numbers / per_row, 1, 64);
  const auto run = [&](std::int64_t rows) {
    const at::Tensor input =
        info.convolutional
            ? at::zeros({1, info.num_input, (rows - 1) * info.resample_factor + length})
            : at::zeros({rows, length, info.num_input}).transpose(1, 2);
    return watch(false, [&](const Watch&) { model.forward(input); })->most;
  };
  const at::NoGradGuard no_grad;
  try {
    model.set_training(false);
    run(few);  // what is made once
    const double small = run(few);
    return std::max((run(2 * few) - small) / static_cast<double>(few), 0.0);
  } catch (const Error&) {
    return 0;
  }
}

MemoryUse use_of_step(const SolverRef& solver, const grevy_loader& loader, double* beside) {
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
    const auto seen = watch(beside != nullptr, [&](const Watch&) { solver.fit(training); });
    if (beside != nullptr) *beside = seen->beside;
    return {seen->held, seen->most};
  } catch (const std::exception&) {
    return {};
  }
}

double bytes_of(const NamedTensors& tensors, bool trained_alone) {
  double bytes = 0;
  for (const NamedTensor& t : tensors)
    if (t.trained || !trained_alone) bytes += static_cast<double>(t.tensor.nbytes());
  return bytes;
}

void clear_gradients(const NamedTensors& tensors) {
  for (const NamedTensor& t : tensors) at::Tensor(t.tensor).mutable_grad().reset();
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
    MemoryUse use;
    use.most = watch(false, [&](const Watch& seen) {
                 const at::Tensor loss =
                     criterion.evaluate(predictions, criterion.info().parts.size()).loss;
                 use.held = seen.held;
                 if (loss.requires_grad()) loss.backward();
               })->most;
    return use;
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

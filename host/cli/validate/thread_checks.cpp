// Threads: what abi.h tags [any] may be called from any, and instances are independent.
#include "check.hpp"
#include "criterion_bench.hpp"

#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>
#include <exception>
#include <thread>

namespace grevy::cli {
namespace {

constexpr int kCalls = 200;

// body(0) and body(1), each in a thread; throws what one of them threw.
template <class Body>
void in_two_threads(Body&& body) {
  std::array<std::exception_ptr, 2> failures;
  std::array<std::thread, 2> threads;
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i] = std::thread([&, i] {
      try {
        body(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

void describe(const Subject& subject) {
  const std::string& kind = subject.target().kind;
  const auto repeat = [](const auto& component) {
    in_two_threads([&](std::size_t) {
      for (int i = 0; i < kCalls; ++i) {
        component->info();
        component->extension("validate.none/1");
      }
    });
  };
  if (kind == "model") repeat(subject.make_model());
  if (kind == "criterion") repeat(subject.make_criterion());
  if (kind == "solver") repeat(subject.make_solver());
}

void check_models(const Subject& subject) {
  const std::array models = {subject.make_model(), subject.make_model()};
  const ModelInfo info = models[0]->info();
  host::Random random = subject.random("windows");
  const at::Tensor windows =
      normal(random, {16, info.num_input, info.offset.length()}).to(at::kFloat);
  const auto embed = [&](const ModelRef& model) {
    const at::NoGradGuard no_grad;
    model.set_training(false);
    return model.forward(windows);
  };
  const at::Tensor alone = embed(*models[0]);
  in_two_threads([&](std::size_t i) {
    for (int call = 0; call < kCalls / 10; ++call)
      if (!at::equal(embed(*models[i]), alone))
        throw Failed("two models in two threads give other embeddings than one alone");
  });
}

void check_criterions(const Subject& subject) {
  const std::array benches = {CriterionBench(subject), CriterionBench(subject)};
  host::Random random = subject.random("embeddings");
  const Predictions drawn = benches[0].draw(random, 8, 9);
  const double alone = benches[0].value(drawn);
  in_two_threads([&](std::size_t i) {
    for (int call = 0; call < kCalls / 10; ++call)
      if (const double value = benches[i].value(drawn); value != alone && !std::isnan(alone))
        throw Failed("two criterions in two threads give another loss than one alone");
  });
}

void instances(const Subject& subject) {
  const std::string& kind = subject.target().kind;
  if (kind == "model") check_models(subject);
  if (kind == "criterion") check_criterions(subject);
  if (kind == "solver") throw Skipped("a solver's steps are checked one training at a time");
}

}  // namespace

Checks thread_checks() {
  return {
      {"any-thread", describe, "describe() and extension() may be called from any thread",
       "fill what they hand out in the constructor, not in the first call"},
      {"instances", instances, "instances in threads of their own do not disturb each other",
       "look for static or global variables; state belongs into the component"},
  };
}

}  // namespace grevy::cli

// The estimate of a training's memory, part by part.
#include "plugin_support.hpp"
#include "trainer_support.hpp"
#include "training/memory_estimate.hpp"
#include "training/memory_probe.hpp"

#include <ATen/Context.h>
#include <doctest/doctest.h>

#include <fstream>
#include <sys/mman.h>
#include <sys/resource.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

host::MemoryEstimate estimate(const json& changes, const char* model = "offset10-model") {
  const json plain = {{"model", {{"name", model}, {"num_units", 8}, {"num_output", 4}}},
                      {"training", {{"num_steps", 1}, {"batch_size", 32}}}};
  return trainer_of(merged(plain, changes), {made_recording(400, 6, 1)}).memory();
}

double part(const host::MemoryEstimate& estimate, const std::string& name) {
  for (const host::MemoryPart& p : estimate.parts)
    if (p.name == name) return static_cast<double>(p.bytes);
  FAIL("no part " << name);
  return 0;
}

}  // namespace

// Masks need windows, which share nothing.
const json apart = {{"sampling", {{"masks", {{"RandomNeuronMask", 0.5}}}}}};

json of_batch(std::int64_t size) { return {{"training", {{"batch_size", size}}}}; }

double activations_of(const host::MemoryEstimate& estimate) {
  return part(estimate, "activations") + part(estimate, "kept activations");
}

double activations(const json& changes, const char* model = "offset10-model") {
  return activations_of(estimate(changes, model));
}

TEST_CASE("activations and batches grow with the batch, gradients do not") {
  const host::MemoryEstimate small = estimate(apart), large = estimate(merged(apart, of_batch(64)));
  CHECK(small.in_use > 0);
  CHECK(small.needed() > 0);
  CHECK(small.peak() >= small.in_use + small.needed());
  CHECK(activations_of(large) == doctest::Approx(2 * activations_of(small)).epsilon(0.05));
  CHECK(part(large, "batches") == doctest::Approx(2 * part(small, "batches")).epsilon(0.01));
  CHECK(part(large, "gradients") == part(small, "gradients"));
  CHECK(part(small, "recording") == 0);  // in memory already
  // Three sets of windows of 10 samples with 6 channels, twice; or of sample numbers.
  constexpr std::int64_t windows = 2 * 3 * 32 * 10 * 6 * 4;
  CHECK(part(small, "batches") >= windows);
  CHECK(part(estimate({}), "batches") < windows / 10);
}

TEST_CASE("what windows share counts once") {
  // Up to 1200 windows of 10 of the 400 rows.
  CHECK(activations(of_batch(400)) < activations(merged(apart, of_batch(400))) / 4);
  CHECK(activations(of_batch(400)) < 2 * activations(of_batch(100)));
  // A perceptron shares nothing.
  CHECK(activations(of_batch(400), "offset1-model") ==
        doctest::Approx(4 * activations(of_batch(100), "offset1-model")).epsilon(0.1));
}

TEST_CASE("deeper encoders, plain LibTorch operations and labels take more") {
  CHECK(activations(apart, "offset36-model") > 2 * activations(apart));
  CHECK(activations({}, "offset1-model") > 0);
  CHECK(part(estimate({}), "label search") == 0);
  CHECK(part(estimate({{"sampling", {{"conditional", "time_delta"}}}}), "label search") >
        400 * (4 + 4 + 8));
  CHECK(part(estimate({{"training", {{"non_finite", "skip"}}}}), "gradients") >
        part(estimate({}), "gradients"));
}

// The sanitizers' malloc does not tell what it has given.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("copies of large parameters in plain memory count, however small the batch") {
  const host::MemoryEstimate wide =
      estimate({{"model", {{"num_units", 256}}}, {"training", {{"batch_size", 1}}}});
  CHECK(part(wide, "gradients") > 3 * 3 * 256 * 256 * 3 * 4);
}
#endif

TEST_CASE("a full batch counts every sample") {
  const json full = {{"solver", {{"name", "single-session-full"}}},
                     {"training", {{"batch_size", nullptr}}}};
  CHECK(activations(full) > 400 * 8 * 4);
}

namespace {

// The process may take so many bytes more while it lives.
class DataLimit {
 public:
  explicit DataLimit(std::int64_t more) {
    std::ifstream stream("/proc/self/status");
    std::int64_t used = 0;
    for (std::string word; stream >> word;)
      if (word == "VmData:") stream >> used;
    REQUIRE(::getrlimit(RLIMIT_DATA, &old_) == 0);
    const rlimit limit{static_cast<rlim_t>(used * 1024 + more), old_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_DATA, &limit) == 0);
  }
  ~DataLimit() { ::setrlimit(RLIMIT_DATA, &old_); }
  DataLimit(const DataLimit&) = delete;
  DataLimit& operator=(const DataLimit&) = delete;

 private:
  rlimit old_{};
};

}  // namespace

TEST_CASE("a training that cannot fit is refused before it begins") {
  const json monster = merged(apart, {{"training", {{"batch_size", 300}, {"num_negatives", 16384}}},
                                      {"model", {{"num_units", 1024}}}});
  const DataLimit limit(std::int64_t{1} << 30);
  CHECK(refusal([] { estimate({}); }) == "no error");
  const std::string text = refusal([&] { estimate(monster); });
  CHECK_MESSAGE(contains(text, "needs about "), text);
  CHECK_MESSAGE(contains(text, "activations "), text);
  CHECK_MESSAGE(contains(text, "lower /training/batch_size"), text);
}

TEST_CASE("what has been taken since counts as available, as far as it is needed") {
  constexpr std::int64_t mb = 1 << 20;
  const DataLimit limit(1024 * mb);
  host::MemoryEstimate estimate = ::estimate({});
  estimate.parts = {{"file", 8 * mb, "", true}, {"needed", 100 * mb, "", false}};
  const auto more = [&] { return *host::available_for(estimate) - *host::available_memory(); };
  estimate.in_use = 0;  // more has been taken since than is needed
  CHECK(more() == 100 * mb);
  host::require_memory(estimate, host::available_for(estimate));
  estimate.in_use = std::int64_t{1} << 50;
  CHECK(more() == 0);
  estimate.in_use = 0;
  estimate.parts[1].bytes = std::int64_t{1} << 50;  // all that has been taken, by anybody
  const std::int64_t before = more();
  // Pages of its own: what malloc gives may have been resident.
  void* const taken = ::mmap(nullptr, 40 * mb, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  REQUIRE(taken != MAP_FAILED);
  CHECK(more() - before > 30 * mb);
  CHECK(more() - before < 50 * mb);
  ::munmap(taken, 40 * mb);
}

TEST_CASE("the graph of a Jacobian counts, and only with it") {
  CHECK(activations({{"solver", {{"name", "regularized-solver"}}}}) >
        activations(apart) + 32 * 8 * 10 * 4);
}

TEST_CASE("a run without labels or a held-out part has nothing to decode") {
  const host::Recording bare(made_recording(400, 6, 1).neural());
  const host::Trainer trainer =
      trainer_of({{"model", {{"name", "offset10-model"}}}, {"training", {{"batch_size", 1}}}},
                 {bare.slice(0, 300)});
  const auto evaluation = [&](const host::TrainingData& data) {
    return part(host::with_evaluation(trainer.memory(), trainer, data), "evaluation beyond a step");
  };
  host::TrainingData data{{bare}, {bare.slice(0, 300)}, {bare.slice(300, 400)}};
  const double without_labels = evaluation(data);
  data.held_out.clear();
  CHECK(evaluation(data) == without_labels);
  const host::Recording whole = made_recording(400, 6, 1);
  data = {{whole}, {whole.slice(0, 300)}, {}};
  CHECK(evaluation(data) == without_labels);
  data.held_out = {whole.slice(300, 400)};
  CHECK(evaluation(data) > without_labels);
  CHECK(host::with_evaluation({}, trainer, data).parts.empty());
}

TEST_CASE("sessions that are joined are compared where there is a held-out part") {
  const host::Recording one = made_recording(400, 6, 1), two = made_recording(400, 6, 2);
  const host::Trainer trainer = trainer_of({{"model", {{"name", "offset10-model"}}},
                                            {"solver", {{"name", "unified-session"}}},
                                            {"sampling", {{"conditional", "time_delta"}}},
                                            {"training", {{"batch_size", 8}}}},
                                           {one, two});
  const auto evaluation = [&](const host::TrainingData& data) {
    return part(host::with_evaluation(trainer.memory(), trainer, data), "evaluation beyond a step");
  };
  const host::TrainingData bare{{one, two}, {one, two}, {}},
      held_out{{one, two}, {one, two}, {one, two}};
  CHECK(evaluation(bare) < evaluation(held_out));
}

TEST_CASE("a device that turns out to be the CPU has an estimate like the CPU") {
  if (at::hasCUDA()) return;
  CHECK(activations({{"device", "cuda_if_available"}}) == activations({}));
}

// The estimate of a training's memory, part by part.
#include "trainer_support.hpp"

#include <ATen/Context.h>
#include <doctest/doctest.h>

#include <fstream>
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

TEST_CASE("activations and batches grow with the batch, the optimiser does not") {
  const host::MemoryEstimate small = estimate({}),
                             large = estimate({{"training", {{"batch_size", 64}}}});
  CHECK(small.in_use > 0);
  CHECK(small.needed() > 0);
  CHECK(small.peak() >= small.in_use + small.needed());
  CHECK(part(large, "activations") == doctest::Approx(2 * part(small, "activations")));
  CHECK(part(large, "batches") == doctest::Approx(2 * part(small, "batches")).epsilon(0.01));
  CHECK(part(large, "gradients and optimiser") == part(small, "gradients and optimiser"));
  CHECK(part(small, "recording") == 0);  // in memory already
  // Three sets of windows of 10 samples with 6 channels, twice; or of sample numbers.
  constexpr std::int64_t windows = 2 * 3 * 32 * 10 * 6 * 4;
  CHECK(part(small, "batches") < windows / 10);
  const host::MemoryEstimate masked =
      estimate({{"sampling", {{"masks", {{"RandomNeuronMask", 0.5}}}}}});
  CHECK(part(masked, "batches") >= windows);
}

TEST_CASE("deeper encoders, plain LibTorch operations and labels take more") {
  CHECK(part(estimate({}, "offset36-model"), "activations") >
        2 * part(estimate({}), "activations"));
  CHECK(part(estimate({}, "offset1-model"), "activations") > 0);
  CHECK(part(estimate({}), "label search") == 0);
  CHECK(part(estimate({{"sampling", {{"conditional", "time_delta"}}}}), "label search") >
        400 * (4 + 4 + 8));
  CHECK(part(estimate({{"training", {{"non_finite", "skip"}}}}), "gradients and optimiser") >
        part(estimate({}), "gradients and optimiser"));
}

TEST_CASE("a full batch counts every sample") {
  const json full = {{"solver", {{"name", "single-session-full"}}},
                     {"training", {{"batch_size", nullptr}}}};
  CHECK(part(estimate(full), "activations") > 400 * 8 * 4);
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
  const json monster = {{"training", {{"batch_size", 300}, {"num_negatives", 16384}}},
                        {"model", {{"num_units", 1024}}}};
  const DataLimit limit(std::int64_t{1} << 30);
  CHECK(refusal([] { estimate({}); }) == "no error");
  const std::string text = refusal([&] { estimate(monster); });
  CHECK_MESSAGE(contains(text, "needs about "), text);
  CHECK_MESSAGE(contains(text, "activations "), text);
  CHECK_MESSAGE(contains(text, "lower /training/batch_size"), text);
}

TEST_CASE("the graph of a Jacobian counts, and only with it") {
  const auto solver = [](const char* name) {
    return part(estimate({{"solver", {{"name", name}}}}), "solver");
  };
  CHECK(solver("regularized-solver") > 32 * 8 * 10 * 4);
  CHECK(solver("single-session") < solver("regularized-solver") / 10);
}

TEST_CASE("a device that turns out to be the CPU has an estimate like the CPU") {
  if (at::hasCUDA()) return;
  CHECK(part(estimate({{"device", "cuda_if_available"}}), "activations") ==
        part(estimate({}), "activations"));
}

// What all benches share: sizes, made-up recordings, experiments, memory.
#ifndef GREVY_TESTS_BENCH_SUPPORT_HPP
#define GREVY_TESTS_BENCH_SUPPORT_HPP

#include <grevy/host/trainer.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <vector>

namespace grevy::bench {

constexpr std::int64_t channels = 120, units = 32, outputs = 8, batch_size = 512;
constexpr std::int64_t time_offset = 10, behavior_features = 3, num_classes = 8;
constexpr Offset offset{5, 5};  // of offset10-model

// With the built-in plugins.
host::Host& builtin_host();

// Made-up sessions: counts, "position" (3 columns, smooth), "direction" (8 classes). Those of the
// last call are kept.
const std::vector<host::Recording>& recordings(std::int64_t samples, std::size_t sessions = 1);

// offset10-model for as many steps as one likes; `changes` is a merge patch (RFC 7396).
host::Experiment experiment(const nlohmann::json& changes);

// How far the process's resident memory has risen at most since this was made, in MB (10^6 bytes).
class MemoryGrowth {
 public:
  MemoryGrowth();
  double peak() const;

 private:
  double before_;
};

}  // namespace grevy::bench

#endif

// grevy/host/simulate.hpp: a recording made up from place cells, for trying things.
#ifndef GREVY_HOST_SIMULATE_HPP
#define GREVY_HOST_SIMULATE_HPP

#include <cstdint>
#include <filesystem>
#include <vector>

namespace grevy::host {

// An animal runs back and forth on a linear track; each cell fires in a place field of its own,
// most of them in one running direction more than in the other; spikes are counted in bins.
struct SimulationOptions {
  std::int64_t num_samples = 10000;  // bins, >= 100
  std::int64_t num_neurons = 30;     // >= 1; samples times neurons at most 2^32
  double bin_width = 0.05;           // seconds, 1e-6 to 10
  double track_length = 1.6;         // metres, 1e-3 to 1e4
  std::uint64_t seed = 1;            // everything random follows from it
};

// What was counted and what the animal did.
struct SimulatedRecording {
  std::int64_t num_samples = 0, num_neurons = 0;  // as asked for
  std::vector<float> spikes;                      // (num_samples, num_neurons), counts
  std::vector<float> position;                    // (num_samples), metres from the left end
  std::vector<std::int64_t> direction;  // (num_samples), 1 towards larger positions, else 0
};

// Same options, same numbers. Errors: invalid_value naming the option, the value and the range.
SimulatedRecording simulate(const SimulationOptions& options);

// Writes spikes.npy (float32), position.npy (float32, (num_samples, 1)) and direction.npy (int64)
// into `folder`, which is made if missing. Errors: io.
void write_recording(const SimulatedRecording& recording, const std::filesystem::path& folder);

}  // namespace grevy::host

#endif

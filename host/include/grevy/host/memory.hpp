// grevy/host/memory.hpp: what a training will need, said before it begins.
#ifndef GREVY_HOST_MEMORY_HPP
#define GREVY_HOST_MEMORY_HPP

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// One use of memory.
struct MemoryPart {
  std::string name;        // "batches", "activations", ...
  std::int64_t bytes = 0;  // at most at one time
  std::string lower;       // what to change for less of it; empty: nothing
  // Pages of a file that the system may take away again: they count for the peak, not for the need.
  bool mapped = false;
};

// Made from shapes, and from what small inputs took in models and criterion of the same kind. What
// a solver adds of its own (a graph of gradients for a Jacobian) is not in it.
struct MemoryEstimate {
  std::int64_t in_use = 0;        // bytes that the process held when it was made
  std::vector<MemoryPart> parts;  // to come; empty: no estimate, as on other devices than the CPU
  std::int64_t needed() const;    // bytes, mapped parts left out
  std::int64_t peak() const;      // bytes of the whole process, mapped parts included
};

// Bytes that this process may still take: MemAvailable of /proc/meminfo, or what its control
// groups (version 1 or 2) leave of their limits, whichever is less. Nothing where the system says
// neither. `root`: where /proc and /sys are. From any thread.
std::optional<std::int64_t> available_memory(const std::filesystem::path& root = "/");

// Errors: invalid_value when more is needed than there is: one line with both, the largest parts
// and what to lower. Nothing known of what there is: no error.
void require_memory(const MemoryEstimate& estimate, std::optional<std::int64_t> available);

}  // namespace grevy::host

#endif

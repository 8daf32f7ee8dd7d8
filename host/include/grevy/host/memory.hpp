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

// Made from shapes, and from what small inputs took in models, criterion and solver of the same
// kind.
struct MemoryEstimate {
  std::int64_t in_use = 0;  // bytes that the process held when it was made
  // To come; empty: no estimate. On other devices than the CPU: what the computer's own memory
  // takes, nothing of the device's.
  std::vector<MemoryPart> parts;
  std::int64_t needed() const;  // bytes, mapped parts left out
  std::int64_t peak() const;    // bytes of the whole process, mapped parts included
};

// Bytes that this process may still take: MemAvailable of /proc/meminfo, what its control groups
// (version 1 or 2) leave of their limits, or what its own limits leave (RLIMIT_AS, RLIMIT_DATA:
// "ulimit -v", "ulimit -d"), whichever is least. Nothing where the system says none of them.
// `root`: where /proc and /sys are. From any thread.
std::optional<std::int64_t> available_memory(const std::filesystem::path& root = "/");

// Errors: invalid_value when more is needed than there is: one line with both, the largest parts
// and what to lower. Nothing known of what there is: no error.
void require_memory(const MemoryEstimate& estimate, std::optional<std::int64_t> available);

}  // namespace grevy::host

#endif

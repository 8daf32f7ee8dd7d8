#include <grevy/error.hpp>
#include <grevy/host/memory.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using Bytes = std::optional<std::int64_t>;

// A file that holds one number; nothing where it holds none ("max").
Bytes number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::int64_t value = 0;
  return stream >> value ? Bytes(value) : std::nullopt;
}

// "MemAvailable:   123 kB", "inactive_file 123": the number after a name.
Bytes value_of(const fs::path& file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string found;
    std::int64_t value = 0;
    if (words >> found >> value && found == name) return value;
  }
  return std::nullopt;
}

Bytes least(Bytes a, Bytes b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

// Names of the files of a version of control groups.
struct GroupFiles {
  const char *limit, *usage, *inactive, *active;
};
constexpr GroupFiles version1{"memory.limit_in_bytes", "memory.usage_in_bytes",
                              "total_inactive_file", "total_active_file"};
constexpr GroupFiles version2{"memory.max", "memory.current", "inactive_file", "active_file"};

// What a group leaves; pages of files are given up before anything fails, those that were used more
// than once after the others.
Bytes left_in(const fs::path& group, const GroupFiles& files) {
  const Bytes limit = number_in(group / files.limit), usage = number_in(group / files.usage);
  if (!limit || !usage) return std::nullopt;
  std::int64_t cache = 0;
  for (const char* kind : {files.inactive, files.active})
    cache += value_of(group / "memory.stat", kind).value_or(0);
  return std::max<std::int64_t>(*limit - (*usage - std::min(cache, *usage)), 0);
}

// Of a group and all that it is in. `folder` may not exist: a container sees its own group as the
// root.
Bytes left_in_all(const fs::path& mount, const fs::path& folder, const GroupFiles& files) {
  Bytes left = left_in(mount, files);
  fs::path at = mount;
  for (const fs::path& name : folder.relative_path()) {
    at /= name;
    left = least(left, left_in(at, files));
  }
  return left;
}

// Lines "0::/user.slice/a" (version 2) and "5:cpu,memory:/a" (version 1).
Bytes left_in_groups(const fs::path& root) {
  std::ifstream stream(root / "proc/self/cgroup");
  Bytes left;
  for (std::string line; std::getline(stream, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path folder = line.substr(second + 1), mount = root / "sys/fs/cgroup";
    if (controllers == ",,") left = least(left, left_in_all(mount, folder, version2));
    if (controllers.find(",memory,") != std::string::npos)
      left = least(left, left_in_all(mount / "memory", folder, version1));
  }
  return left;
}

// A line "Max data size   LIMIT   HARD_LIMIT   bytes"; nothing where it is unlimited.
Bytes limit_of_process(const fs::path& file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind(name, 0) != 0) continue;
    std::istringstream words(line.substr(name.size()));
    std::int64_t value = 0;
    return words >> value ? Bytes(value) : std::nullopt;
  }
  return std::nullopt;
}

// What the limits of the process itself leave.
Bytes left_to_process(const fs::path& root) {
  const fs::path limits = root / "proc/self/limits", status = root / "proc/self/status";
  Bytes left;
  for (const auto& [name, used] :
       {std::pair("Max address space", "VmSize:"), std::pair("Max data size", "VmData:")}) {
    const Bytes limit = limit_of_process(limits, name), kilobytes = value_of(status, used);
    if (limit && kilobytes)
      left = least(left, std::max<std::int64_t>(*limit - *kilobytes * 1024, 0));
  }
  return left;
}

std::string in_megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.0f MB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

}  // namespace

std::int64_t MemoryEstimate::needed() const {
  std::int64_t sum = 0;
  for (const MemoryPart& part : parts) sum += part.mapped ? 0 : part.bytes;
  return sum;
}

std::int64_t MemoryEstimate::peak() const {
  std::int64_t sum = in_use;
  for (const MemoryPart& part : parts) sum += part.bytes;
  return sum;
}

Bytes available_memory(const fs::path& root) {
  Bytes available = value_of(root / "proc/meminfo", "MemAvailable:");
  if (available) *available *= 1024;
  return least(least(available, left_in_groups(root)), left_to_process(root));
}

void require_memory(const MemoryEstimate& estimate, Bytes available) {
  if (!available || estimate.needed() <= *available) return;
  std::vector<MemoryPart> parts = estimate.parts;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const MemoryPart& a, const MemoryPart& b) { return a.bytes > b.bytes; });
  std::string list, lower;
  std::set<std::string> named;
  for (const MemoryPart& part : parts) {
    if (part.mapped || part.bytes < estimate.needed() / 20) continue;
    list += (list.empty() ? "" : ", ") + part.name + " " + in_megabytes(part.bytes);
    if (!part.lower.empty() && named.insert(part.lower).second)
      lower += (lower.empty() ? "" : ", ") + part.lower;
  }
  throw Error(ErrorCode::invalid_value, "needs about " + in_megabytes(estimate.needed()) +
                                            " of memory (" + list + "), but " +
                                            in_megabytes(*available) + " are available" +
                                            (lower.empty() ? "" : "; lower " + lower));
}

}  // namespace grevy::host

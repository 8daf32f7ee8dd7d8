// What the system says of memory, read from made-up files.
#include "temporary_folder.hpp"

#include <grevy/error.hpp>
#include <grevy/host/memory.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::host;

namespace {

constexpr std::int64_t mb = 1 << 20;

// A root folder with /proc and /sys.
class System {
 public:
  void put(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((folder_ / file).parent_path());
    folder_.write(file, text);
  }
  void has_available(std::int64_t kilobytes) const {
    put("proc/meminfo", "MemTotal:  9999999 kB\nMemFree: 1 kB\nMemAvailable:   " +
                            std::to_string(kilobytes) + " kB\n");
  }
  std::optional<std::int64_t> available() const { return available_memory(folder_.path()); }

 private:
  tests::TemporaryFolder folder_;
};

std::string refusal(const MemoryEstimate& estimate, std::optional<std::int64_t> available) {
  try {
    require_memory(estimate, available);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::invalid_value);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("nothing is known where the system says nothing") {
  const System system;
  CHECK_FALSE(system.available().has_value());
  system.put("proc/meminfo", "MemTotal: 5 kB\nMemAvailable: many kB\n");
  CHECK_FALSE(system.available().has_value());
}

TEST_CASE("without limits the machine's memory counts") {
  const System system;
  system.has_available(2048);
  CHECK(system.available() == 2 * mb);
  system.put("proc/self/cgroup", "0::/a/b\n");
  system.put("sys/fs/cgroup/a/memory.max", "5\n");  // and no word of what is used
  CHECK(system.available() == 2 * mb);
  system.put("sys/fs/cgroup/a/b/memory.max", "max\n");
  system.put("sys/fs/cgroup/a/b/memory.current", "5\n");
  CHECK(system.available() == 2 * mb);
}

TEST_CASE("the tightest control group counts, without pages of files that can be given up") {
  const System system;
  system.has_available(1 << 20);
  system.put("proc/self/cgroup", "0::/a/b\n");
  system.put("sys/fs/cgroup/a/memory.max", std::to_string(100 * mb));
  system.put("sys/fs/cgroup/a/memory.current", std::to_string(60 * mb));
  system.put("sys/fs/cgroup/a/memory.stat", "anon 3\ninactive_file " + std::to_string(4 * mb) +
                                                "\nactive_file " + std::to_string(6 * mb));
  system.put("sys/fs/cgroup/a/b/memory.max", std::to_string(90 * mb));
  system.put("sys/fs/cgroup/a/b/memory.current", std::to_string(20 * mb));
  CHECK(system.available() == 50 * mb);
  system.put("sys/fs/cgroup/memory.max", std::to_string(9 * mb));
  system.put("sys/fs/cgroup/memory.current", std::to_string(12 * mb));
  CHECK(system.available() == 0);
}

TEST_CASE("control groups of version 1") {
  const System system;
  system.has_available(1 << 20);
  system.put("proc/self/cgroup", "12:cpu:/a\nodd line\n3:odd\n5:cpuset,memory:/job\n");
  system.put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", std::to_string(70 * mb));
  system.put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", std::to_string(30 * mb));
  CHECK(system.available() == 40 * mb);
  system.put("sys/fs/cgroup/memory/job/memory.stat",
             "inactive_file 1\ntotal_inactive_file " + std::to_string(8 * mb) +
                 "\ntotal_active_file " + std::to_string(2 * mb) + "\n");
  CHECK(system.available() == 50 * mb);
}

TEST_CASE("limits of the process itself") {
  const System system;
  system.has_available(1 << 20);
  system.put("proc/self/status", "Name: x\nVmSize:   10240 kB\nVmData:    2048 kB\n");
  const auto put_limits = [&](const std::string& space, const std::string& data) {
    system.put("proc/self/limits",
               "Limit                     Soft Limit   Hard Limit   Units\n"
               "Max data size             " +
                   data +
                   "  unlimited  bytes\n"
                   "Max address space         " +
                   space + "  unlimited  bytes\n");
  };
  put_limits("unlimited", "unlimited");
  CHECK(system.available() == (1 << 10) * mb);
  put_limits(std::to_string(100 * mb), "unlimited");
  CHECK(system.available() == 90 * mb);
  put_limits(std::to_string(100 * mb), std::to_string(52 * mb));
  CHECK(system.available() == 50 * mb);
  put_limits(std::to_string(9 * mb), "unlimited");
  CHECK(system.available() == 0);
  system.put("proc/self/status", "Name: x\n");  // nobody says how much is used
  CHECK(system.available() == (1 << 10) * mb);
}

TEST_CASE("a need that cannot be met is refused with its parts and what to lower") {
  MemoryEstimate estimate;
  estimate.in_use = 50 * mb;
  estimate.parts = {{"recording", 900 * mb, "", true},
                    {"batches", 100 * mb, "/training/batch_size", false},
                    {"activations", 300 * mb, "/training/batch_size", false},
                    {"small", 1 * mb, "/small", false}};
  CHECK(estimate.needed() == 401 * mb);
  CHECK(estimate.peak() == 1351 * mb);
  CHECK(refusal(estimate, 401 * mb) == "no error");
  CHECK(refusal(estimate, std::nullopt) == "no error");
  CHECK(refusal(estimate, 400 * mb) ==
        "needs about 401 MB of memory (activations 300 MB, batches 100 MB), but 400 MB are "
        "available; lower /training/batch_size");
}

TEST_CASE("what to lower is named once each, and not where nothing helps") {
  MemoryEstimate estimate;
  estimate.parts = {{"a", 4 * mb, "/x", false},
                    {"b", 3 * mb, "", false},
                    {"c", 2 * mb, "/y", false},
                    {"d", 1 * mb, "/x", false}};
  CHECK(refusal(estimate, 9 * mb) ==
        "needs about 10 MB of memory (a 4 MB, b 3 MB, c 2 MB, d 1 MB), but 9 MB are available; "
        "lower /x, /y");
  estimate.parts = {{"a", 4 * mb, "", false}};
  CHECK(refusal(estimate, 3 * mb) == "needs about 4 MB of memory (a 4 MB), but 3 MB are available");
}

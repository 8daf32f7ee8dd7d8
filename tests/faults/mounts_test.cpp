// Real file systems: full, over their quota, read-only from the start and in the midst of a run.
#include "site.hpp"

#include <grevy/host/random.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sched.h>
#include <sys/mount.h>

using namespace grevy::tests;

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t num_steps = 12, save_frequency = 3, more_steps = 60;

// In a namespace of their own mounts are gone with this process.
bool can_mount() {
  if (::unshare(CLONE_NEWNS) == 0 &&
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0)
    return true;
  MESSAGE("skipped: mounting needs root: " << std::strerror(errno));
  return false;
}

bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// A file system in a file, mounted on the run folder while this lives.
class Volume {
 public:
  Volume(const Workspace& workspace, const std::string& make, const std::string& options = "")
      : folder_(workspace / "run"), image_(workspace / "image"), options_("loop" + options) {
    std::ofstream(image_).close();
    fs::resize_file(image_, std::uintmax_t{128} << 20);
    fs::create_directory(folder_);
    is_there_ = shell(make + " " + image_.string()) && mount();
    // That of ext4 would be there before the run.
    if (is_there_) fs::remove(folder_ / "lost+found");
  }
  ~Volume() {
    shell("umount " + folder_.string());
    fs::remove(folder_);
    fs::remove(image_);
  }
  Volume(const Volume&) = delete;
  Volume& operator=(const Volume&) = delete;

  bool is_there() const { return is_there_; }
  const fs::path& folder() const { return folder_; }
  bool mount() const {
    return shell("mount -o " + options_ + " " + image_.string() + " " + folder_.string());
  }
  bool mount_again() const { return shell("umount " + folder_.string()) && mount(); }
  // "loop0".
  std::string device() const {
    for (const auto& entry : fs::directory_iterator("/sys/block")) {
      const fs::path file = entry.path() / "loop/backing_file";
      if (fs::exists(file) && contains(file_bytes(file), image_.string()))
        return entry.path().filename();
    }
    return "";
  }

 private:
  fs::path folder_, image_;
  std::string options_;
  bool is_there_ = false;
};

void empty_folder(const fs::path& folder) {
  for (const fs::path& file : files_of(folder)) fs::remove(file);
}

// `harm` is done while the run is stopped at a moment after its first call on the folder.
Outcome run_and_harm(const Site& site, long moment, const std::function<void()>& harm) {
  Fault stop;
  stop.signal = SIGSTOP;
  stop.delay = moment;
  LoadedProgram::Conditions conditions;
  conditions.meanwhile = [&](pid_t process) {
    if (!wait_for_stop(process)) return;
    harm();
    ::kill(process, SIGCONT);
  };
  return site.run(Arguments{}, stop, conditions);
}

}  // namespace

TEST_SUITE("long") {
  TEST_CASE("a full file system in memory") {
    if (!can_mount()) return;
    Site site(num_steps, save_frequency);
    const std::string folder = site.workspace() / "run";
    for (const int kilobytes : {4, 8, 12, 16, 20, 24, 28, 32}) {
      CAPTURE(kilobytes);
      fs::create_directory(folder);
      const std::string size = "size=" + std::to_string(kilobytes) + "k";
      REQUIRE(::mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()) == 0);
      const Outcome outcome = site.run(Arguments{});
      if (outcome.code != 0) check_failed(outcome, ENOSPC);
      site.check_readable(false);
      CHECK(::mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=1m") == 0);
      site.check_recovery();
      CHECK(::umount(folder.c_str()) == 0);
      fs::remove(folder);
    }
  }

  TEST_CASE("a run where /proc has no processes is refused") {
    if (!can_mount()) return;
    Site site(num_steps, save_frequency);
    site.prepare(Start::forced);
    const std::string processor = file_bytes("/proc/cpuinfo");  // LibTorch wants it
    REQUIRE(::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0);
    std::ofstream("/proc/cpuinfo") << processor;
    const Outcome outcome = site.run(Start::forced);
    CHECK(::umount("/proc") == 0);
    check_failed(outcome, std::vector<std::string>{"/proc must be mounted"});
    site.check_same();
  }

  TEST_CASE("a folder that is mounted read-only") {
    if (!can_mount()) return;
    Site site(num_steps, save_frequency);
    const std::string folder = site.workspace() / "run";
    for (const Start start : {Start::resumed, Start::forced}) {
      CAPTURE(to_string(start));
      site.prepare(start);
      REQUIRE(::mount(folder.c_str(), folder.c_str(), nullptr, MS_BIND, nullptr) == 0);
      REQUIRE(::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY,
                      nullptr) == 0);
      check_failed(site.run(start), EROFS);
      CHECK(::umount(folder.c_str()) == 0);
      site.check_readable(false);
      site.check_recovery();
    }
  }

  TEST_CASE("a quota that is used up") {
    if (!can_mount()) return;
    Site site(num_steps, save_frequency);
    const Volume volume(site.workspace(), "mkfs.btrfs -q");
    const std::string folder = volume.folder();
    if (!volume.is_there() || !shell("btrfs quota enable " + folder)) {
      MESSAGE("skipped: needs btrfs with quotas");
      return;
    }
    int num_refused = 0;
    for (int kilobytes = 32; kilobytes <= 320; kilobytes += 32) {
      CAPTURE(kilobytes);
      empty_folder(folder);
      REQUIRE(shell("sync -f " + folder + " && btrfs qgroup limit " + std::to_string(kilobytes) +
                    "K " + folder));
      const Outcome outcome = site.run(Arguments{});
      if (outcome.code != 0) check_failed(outcome, EDQUOT);
      site.check_readable(true);  // removing may take space as well
      REQUIRE(shell("btrfs qgroup limit none " + folder));
      site.check_recovery();
      num_refused += outcome.code != 0 ? 1 : 0;
    }
    MESSAGE(num_refused << " runs had too little");
    CHECK(num_refused > 0);
  }

  TEST_CASE("a disk whose errors make it read-only while the run goes on") {
    if (!can_mount()) return;
    Site site(more_steps, save_frequency);
    grevy::host::Random random(fault_seed(), "moments");
    int num_refused = 0;
    for (int i = 0; i < 12; ++i) {
      const Volume volume(site.workspace(), "mkfs.ext4 -q", ",errors=remount-ro");
      const fs::path trigger = "/sys/fs/ext4/" + volume.device() + "/trigger_fs_error";
      if (!volume.is_there() || !fs::exists(trigger)) {
        MESSAGE("skipped: needs ext4 whose errors can be triggered");
        return;
      }
      const auto moment = 1 + static_cast<long>(random.uniform() * 1e6 * site.seconds());
      CAPTURE(moment);
      const Outcome outcome =
          run_and_harm(site, moment, [&] { std::ofstream(trigger) << "a test"; });
      if (outcome.code != 0) check_failed(outcome, EROFS);
      site.check_readable(true);
      REQUIRE(volume.mount_again());
      site.check_recovery();
      num_refused += outcome.code != 0 ? 1 : 0;
    }
    MESSAGE(num_refused << " runs met it");
    CHECK(num_refused > 0);
  }
}

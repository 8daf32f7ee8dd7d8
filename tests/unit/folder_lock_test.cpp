#include "training/folder_lock.hpp"

#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using grevy::host::FolderLock;
using grevy::tests::TemporaryFolder;

namespace {

std::string refusal(const std::filesystem::path& folder) {
  try {
    const FolderLock lock(folder);
    return "";
  } catch (const grevy::Error& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("a folder is held once, and free again at the end") {
  const TemporaryFolder folder;
  {
    const FolderLock lock(folder.path());
    CHECK(refusal(folder.path()).find("another run is using this folder") != std::string::npos);
  }
  CHECK(refusal(folder.path()).empty());
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a folder that is moved away or replaced is not taken for the one that is held") {
  const TemporaryFolder root;
  const std::filesystem::path folder = root / "run", moved = root / "moved";
  std::filesystem::create_directory(folder);
  const FolderLock lock(folder);
  CHECK(lock.is_in_place());
  CHECK_NOTHROW(lock.require_in_place());
  CHECK(lock.path_now() == folder);
  std::filesystem::rename(folder, moved);
  CHECK_FALSE(lock.is_in_place());
  std::filesystem::create_directory(folder);
  CHECK_FALSE(lock.is_in_place());
  const std::string text = folder.string() + ": cannot be written: the run's folder was moved";
  try {
    lock.require_in_place();
    FAIL("no error");
  } catch (const grevy::Error& e) {
    CHECK(e.code() == grevy::ErrorCode::io);
    CHECK(std::string(e.what()).rfind(text, 0) == 0);
  }
  CHECK(lock.path_now() == std::filesystem::canonical(moved));
  CHECK(refusal(folder).empty());
  std::filesystem::remove(folder);
  std::filesystem::create_directory_symlink(moved, folder);
  CHECK(lock.is_in_place());
}

TEST_CASE("what is written under the held name stays with the folder wherever it goes") {
  const TemporaryFolder parent;
  const auto folder = parent / "run", moved = parent / "elsewhere";
  std::filesystem::create_directory(folder);
  const FolderLock lock(folder);
  CHECK(lock.held() != folder);
  std::filesystem::rename(folder, moved);
  std::filesystem::create_directory(folder);
  std::ofstream(lock.held() / "log.jsonl") << "{}";
  CHECK(std::filesystem::exists(moved / "log.jsonl"));
  CHECK(std::filesystem::is_empty(folder));
  const std::string held = lock.held().string(), name = folder.string();
  CHECK(lock.named(held + "/a: as " + held + "/b") == name + "/a: as " + name + "/b");
  CHECK(lock.named("nothing of it") == "nothing of it");
  CHECK(lock.named(held + "0/a and " + held) == held + "0/a and " + name);
}

TEST_CASE("a process that is killed holds nothing") {
  const TemporaryFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    const char byte = 1;
    if (::write(ready[1], &byte, 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK_FALSE(refusal(folder.path()).empty());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(refusal(folder.path()).empty());
}

TEST_CASE("a thread that outlives the first one holds a folder as others do") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread([&folder] {
      while (::access("/proc/self/fd/0", F_OK) == 0) ::usleep(1000);
      const FolderLock lock(folder.path());
      std::ofstream(lock.held() / "log.jsonl") << "{}";
      ::_exit(0);
    }).detach();
    ::syscall(SYS_exit, 0);  // of this thread alone
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(grevy::tests::file_bytes(folder / "log.jsonl") == "{}");
}

TEST_CASE("a folder that is not there is an error") {
  const TemporaryFolder folder;
  CHECK(refusal(folder.path() / "missing").find("cannot be opened") != std::string::npos);
}

#include "training/folder_lock.hpp"

#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <sys/wait.h>
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

TEST_CASE("a folder that is not there is an error") {
  const TemporaryFolder folder;
  CHECK(refusal(folder.path() / "missing").find("cannot be opened") != std::string::npos);
}

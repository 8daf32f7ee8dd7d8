#include "files/atomic_file.hpp"

#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::duplicate_file;
using grevy::host::is_temporary_name;
using grevy::host::write_file_atomically;
using grevy::tests::file_bytes;
using grevy::tests::TemporaryFolder;

namespace {

std::ptrdiff_t entries(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

void check_fails(const fs::path& file, ErrorCode code, const std::string& message) {
  try {
    write_file_atomically(file, {"text"});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK(std::string(error.what()) == message);
  }
}

// No file may grow beyond `bytes` while this lives; writing more fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit old_{};
};

}  // namespace

TEST_CASE("atomic file: pieces are joined, old content is replaced") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.bin";
  const std::string zeros(3, '\0');
  write_file_atomically(file, {"one", zeros, "", "two"});
  CHECK(file_bytes(file) == "one" + zeros + "two");
  write_file_atomically(file, {"x"});
  CHECK(file_bytes(file) == "x");
  write_file_atomically(file, {});
  CHECK(file_bytes(file).empty());
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("atomic file: permissions follow the umask") {
  const TemporaryFolder folder;
  const mode_t old = ::umask(027);
  write_file_atomically(folder / "a", {"x"});
  ::umask(old);
  struct stat status {};
  REQUIRE(::stat((folder / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("atomic file: a name as long as the file system allows") {
  const TemporaryFolder folder;
  const fs::path file = folder / std::string(255, 'n');
  write_file_atomically(file, {"x"});
  CHECK(file_bytes(file) == "x");
}

TEST_CASE("atomic file: a symbolic link is replaced, its target stays") {
  const TemporaryFolder folder;
  folder.write("target", "old");
  fs::create_symlink("target", folder / "link");
  fs::create_symlink("absent", folder / "dangling");
  write_file_atomically(folder / "link", {"new"});
  write_file_atomically(folder / "dangling", {"new"});
  CHECK(file_bytes(folder / "target") == "old");
  CHECK(file_bytes(folder / "link") == "new");
  CHECK(file_bytes(folder / "dangling") == "new");
  CHECK(fs::is_regular_file(fs::symlink_status(folder / "link")));
  CHECK_FALSE(fs::exists(folder / "absent"));
}

TEST_CASE("atomic file: a failed write leaves the old file and nothing else") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a.bin", "old");
  const std::string large(1 << 20, 'x');
  {
    const FileSizeLimit limit(4096);
    CHECK_THROWS_WITH_AS(write_file_atomically(file, {large}),
                         (file.string() + ": cannot be written: writing a temporary file in its "
                                          "folder: File too large")
                             .c_str(),
                         Error);
  }
  CHECK(file_bytes(file) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("atomic file: places that cannot be written") {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  folder.write("plain", "");
  fs::create_directory(folder / "sub");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  check_fails(folder / "absent/a", ErrorCode::io,
              root + "/absent/a: cannot be written: opening its folder: No such file or directory");
  check_fails(folder / "plain/a", ErrorCode::io,
              root + "/plain/a: cannot be written: opening its folder: Not a directory");
  check_fails(folder / "sub", ErrorCode::io, root + "/sub: cannot be written: it is a folder");
  check_fails(folder / "pipe", ErrorCode::io,
              root + "/pipe: cannot be written: it is not a regular file");
  const std::string long_name(256, 'n');
  check_fails(folder / long_name, ErrorCode::io,
              root + "/" + long_name +
                  ": cannot be written: looking for an existing file: File name too long");
  CHECK(entries(folder.path()) == 3);
}

TEST_CASE("atomic file: a folder without permission") {
  if (::geteuid() == 0) return;  // root may write everywhere
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  check_fails(folder / "a", ErrorCode::io,
              (folder / "a").string() +
                  ": cannot be written: making a temporary file in its folder: Permission denied");
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST_CASE("atomic file: paths that name no file") {
  check_fails("", ErrorCode::invalid_value, "\"\": names no file to write");
  for (const std::string path : {"/tmp/", "/tmp/.", ".."}) {
    check_fails(path, ErrorCode::invalid_value, "\"" + path + "\": names no file to write");
  }
}

TEST_CASE("atomic file: a reader sees the old or the new content, whole") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a", std::string(5000, 'a'));
  const auto write = [&file](char letter) {
    const std::string content(5000, letter);
    for (int i = 0; i < 5; ++i) write_file_atomically(file, {content});
  };
  std::thread first(write, 'b');
  std::thread second(write, 'c');
  for (int i = 0; i < 50; ++i) {
    const std::string found = file_bytes(file);
    CHECK(found.size() == 5000);
    CHECK(std::count(found.begin(), found.end(), found.front()) == 5000);
  }
  first.join();
  second.join();
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("atomic file: a further name keeps the content that the first one had") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a", "one");
  folder.write("b", "old");
  for (int i = 0; i < 2; ++i) {  // also where both are one file already
    duplicate_file(file, "b");
    CHECK(file_bytes(folder / "b") == "one");
    CHECK(entries(folder.path()) == 2);
  }
  write_file_atomically(file, {"two"});
  CHECK(file_bytes(folder / "b") == "one");
  CHECK(file_bytes(file) == "two");
}

TEST_CASE("atomic file: further names that cannot be given") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a", "one");
  fs::create_directory(folder / "sub");
  const auto refusal = [](const fs::path& from, const std::string& name) {
    try {
      duplicate_file(from, name);
      return std::string();
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::io);
      return std::string(error.what());
    }
  };
  CHECK(refusal(file, "sub") == (folder / "sub").string() + ": cannot be written: it is a folder");
  CHECK(refusal(folder / "gone", "b") ==
        (folder / "b").string() +
            ": cannot be written: linking it to gone: No such file or directory");
  CHECK(refusal(folder / "none/a", "b") ==
        (folder / "none/b").string() +
            ": cannot be written: opening its folder: No such file or directory");
  CHECK(entries(folder.path()) == 2);
}

TEST_CASE("atomic file: names of what a killed process leaves") {
  for (const std::string name :
       {".grevy-12-0.tmp", "embedding.npy.tmp-12-0", "embedding_1.npy.tmp-1-1"})
    CHECK(is_temporary_name(name));
  for (const std::string name : {"", ".tmp", "a.tmp", ".grevy-", ".grevy-12-0", "embedding.npy",
                                 "log.jsonl", "other.npy.tmp-12-0", "checkpoint.safetensors"})
    CHECK_FALSE(is_temporary_name(name));
}

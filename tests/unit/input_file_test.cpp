// Files that cannot be opened, or change while they are read.
#include "files/input_file.hpp"

#include "files/atomic_file.hpp"
#include "files/file_hash.hpp"
#include "temporary_folder.hpp"
#include "training/folder_lock.hpp"
#include "training/run_log.hpp"

#include <grevy/error.hpp>
#include <grevy/host/array.hpp>

#include <doctest/doctest.h>

#include <string>
#include <sys/resource.h>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using grevy::tests::TemporaryFolder;

namespace {

template <class Act>
void check_fails(Act&& act, ErrorCode code, const std::string& message) {
  try {
    act();
    FAIL("nothing was thrown instead of: " << message);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK(std::string(error.what()) == message);
  }
}

// No file can be opened while this lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    const rlimit none{0, old_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &old_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit old_{};
};

InputFile opened(const fs::path& file) { return {file, ErrorCode::invalid_value, "a thing"}; }

}  // namespace

TEST_CASE("input file: a link that leads to itself") {
  const TemporaryFolder folder;
  const fs::path loop = folder / "loop";
  fs::create_symlink("loop", loop);
  const std::string reason = "Too many levels of symbolic links", name = loop.string();
  check_fails([&] { opened(loop); }, ErrorCode::io, name + ": cannot be read: " + reason);
  check_fails([&] { Array::open(loop); }, ErrorCode::io, name + ": cannot be opened: " + reason);
  const float value = 1;
  check_fails([&] { write_npy(loop, {1}, &value); }, ErrorCode::io,
              name + ": cannot be written: looking for an existing file: " + reason);
  NpyWriter writer(loop, 1, 1);
  writer.append(&value, 1);
  writer.finish();  // takes its place
  CHECK(*Array::open(loop).to_float32() == value);
}

TEST_CASE("input file: below a file there is none") {
  const TemporaryFolder folder;
  const fs::path below = folder.write("a.npy", "x") / "b.npy";
  check_fails([&] { opened(below); }, ErrorCode::not_found, below.string() + ": no such file");
  check_fails([&] { Array::open(below); }, ErrorCode::not_found, below.string() + ": no such file");
}

// The sanitizer finds out with a pipe whether memory can be read, and has no descriptors then.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("input file: no more files can be opened") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a.bin", "1234");
  const std::string reason = "Too many open files", name = file.string();
  const NoDescriptors none;
  check_fails([&] { opened(file); }, ErrorCode::io, name + ": cannot be read: " + reason);
  check_fails([&] { Array::open(file); }, ErrorCode::io, name + ": cannot be opened: " + reason);
  check_fails([&] { sha256_of_file(file); }, ErrorCode::io, name + ": cannot be read");
  check_fails([&] { FolderLock lock(folder.path()); }, ErrorCode::io,
              folder.path().string() + ": cannot be opened: " + reason);
  check_fails([&] { write_file_atomically(file, {"x"}); }, ErrorCode::io,
              name + ": cannot be written: opening its folder: " + reason);
  check_fails([&] { RunLog log(file, {}); }, ErrorCode::io,
              name + ": cannot be written: opening it: " + reason);
  check_fails(
      [&] {
        RunLog log(file, {4, 3});
      },
      ErrorCode::io, name + ": cannot be read: " + reason);
}
#endif

TEST_CASE("input file: pieces outside the file") {
  const TemporaryFolder folder;
  const fs::path name = folder.write("a.bin", "1234");
  InputFile file = opened(name);
  CHECK(file.read(1, 3) == "234");
  CHECK(file.read(4, 0).empty());
  const std::string text = name.string() + ": cannot read 2 bytes at 3: the file has 4 bytes";
  char out[2];
  check_fails([&] { file.read(3, out, 2); }, ErrorCode::out_of_range, text);
  check_fails([&] { file.read(3, 2); }, ErrorCode::out_of_range, text);
}

TEST_CASE("input file: a file that becomes shorter while it is read") {
  const TemporaryFolder folder;
  const fs::path name = folder.write("a.bin", "1234");
  InputFile file = opened(name);
  fs::resize_file(name, 2);
  check_fails([&] { file.read(0, 4); }, ErrorCode::io,
              name.string() + ": cannot be read: it became shorter meanwhile");
  CHECK(file.read(0, 2) == "12");
}

TEST_CASE("the hash of what is no file") {
  const TemporaryFolder folder;
  check_fails([&] { sha256_of_file(folder.path()); }, ErrorCode::io,
              folder.path().string() + ": cannot be read");
  check_fails([&] { sha256_of_file(folder / "absent"); }, ErrorCode::io,
              (folder / "absent").string() + ": cannot be read");
}

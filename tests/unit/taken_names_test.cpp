// Temporary names that other processes, perhaps of other machines, have taken in the same folder.
#include "files/atomic_file.hpp"
#include "temporary_folder.hpp"

#include <grevy/error.hpp>
#include <grevy/host/array.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <unistd.h>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

// More than this process has used so far: names are numbered from 0 on.
constexpr int kTaken = 20000;

// Of the names BEFORE-PROCESS-NUMBER-AFTER every `step`th is there.
void take_names(const std::function<std::string(const std::string&)>& name, int step) {
  for (int number = 0; number < kTaken; number += step)
    fs::create_hard_link(name("first"),
                         name(std::to_string(::getpid()) + "-" + std::to_string(number)));
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::io);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("atomic file: names that are taken are passed over; where all are, that is an error") {
  const TemporaryFolder some, all;
  const auto names_in = [](const TemporaryFolder& folder) {
    return [&folder](const std::string& name) { return folder / (".grevy-" + name + ".tmp"); };
  };
  some.write(".grevy-first.tmp", "of another");
  take_names(names_in(some), 2);
  for (const char* text : {"a", "b", "c"}) {
    write_file_atomically(some / "file", {text});
    CHECK(file_bytes(some / "file") == text);
  }
  all.write(".grevy-first.tmp", "of another");
  take_names(names_in(all), 1);
  CHECK(error_of([&] { write_file_atomically(all / "file", {"a"}); }) ==
        (all / "file").string() +
            ": cannot be written: making a temporary file in its folder: File exists");
  CHECK_FALSE(fs::exists(all / "file"));
  CHECK(file_bytes(all / ".grevy-first.tmp") == "of another");
}

TEST_CASE("npy writer: names that are taken are passed over; where all are, that is an error") {
  const TemporaryFolder some, all;
  const auto names_in = [](const TemporaryFolder& folder) {
    return [&folder](const std::string& name) { return folder / ("a.npy.tmp-" + name); };
  };
  some.write("a.npy.tmp-first", "of another");
  take_names(names_in(some), 2);
  for (const float value : {1.0f, 2.0f, 3.0f}) {
    write_npy(some / "a.npy", {1}, &value);
    CHECK(*Array::open(some / "a.npy").to_float32() == value);
  }
  all.write("a.npy.tmp-first", "of another");
  take_names(names_in(all), 1);
  CHECK(error_of([&] { NpyWriter(all / "a.npy", 1, 1); }) ==
        (all / "a.npy").string() + ": cannot be created: File exists");
  CHECK(file_bytes(all / "a.npy.tmp-first") == "of another");
}

TEST_CASE("atomic file: a name without a folder is one in the current folder") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("file", {"text"});
  fs::current_path(before);
  CHECK(file_bytes(folder / "file") == "text");
}

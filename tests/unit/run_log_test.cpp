#include "training/run_log.hpp"

#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::RunLog;
using grevy::tests::file_bytes;
using grevy::tests::TemporaryFolder;
using nlohmann::json;

TEST_CASE("run log: a line at a time, and how long it is") {
  const TemporaryFolder folder;
  const auto file = folder.write("log.jsonl", "of another run\n");
  RunLog log(file, {});
  CHECK(log.bytes() == 0);
  CHECK(file_bytes(file).empty());
  log.add({{"step", 0}});
  log.add({{"step", 1}});
  CHECK(file_bytes(file) == "{\"step\":0}\n{\"step\":1}\n");
  CHECK(log.bytes() == 22);
  log.sync();
  CHECK_FALSE(log.was_shortened());
}

TEST_CASE("run log: what a checkpoint is behind of goes, to the byte") {
  const TemporaryFolder folder;
  const std::string kept = "{\"step\":0}\n{\"step\":0,\"other\":1}\n";
  const auto file = folder.write("log.jsonl", kept + "{\"step\":1}\n{\"ste");
  RunLog log(file, {1, kept.size()});
  CHECK(file_bytes(file) == kept);
  CHECK_FALSE(log.was_shortened());
  log.add({{"step", 1}});
  CHECK(file_bytes(file) == kept + "{\"step\":1}\n");
  CHECK(log.bytes() == kept.size() + 11);
}

TEST_CASE("run log: where the length is not known, or wrong, the steps decide") {
  const TemporaryFolder folder;
  const std::string whole =
      "{\"step\":0}\n{\"step\":1}\n7\n{\"total\":1}\n{\"step\":\"1\"}\n{\"step\":2}\n";
  const auto file = folder.write("log.jsonl", whole);
  const auto kept_of = [&](const RunLog::Position& position, bool shortened) {
    folder.write("log.jsonl", whole);
    const RunLog log(file, position);
    CHECK(log.was_shortened() == shortened);
    CHECK(log.bytes() == file_bytes(file).size());
    return file_bytes(file);
  };
  CHECK(kept_of({2, {}}, false) == "{\"step\":0}\n{\"step\":1}\n");
  CHECK(kept_of({2, 12}, true) == "{\"step\":0}\n{\"step\":1}\n");  // amid a line
  CHECK(kept_of({9, 1000}, true) == "{\"step\":0}\n{\"step\":1}\n{\"step\":2}\n");
  std::filesystem::remove(file);
  const RunLog log(file, {3, 22});
  CHECK(log.was_shortened());
  CHECK(file_bytes(file).empty());
}

TEST_CASE("run log: what cannot be written") {
  const TemporaryFolder folder;
  const auto refusal = [](auto&& body) {
    try {
      body();
      return std::string();
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::io);
      return std::string(error.what());
    }
  };
  std::filesystem::create_directory(folder / "log.jsonl");
  CHECK(refusal([&] { RunLog(folder / "log.jsonl", {}); }) ==
        (folder / "log.jsonl").string() + ": cannot be written: opening it: Is a directory");
  CHECK(refusal([&] { RunLog(folder / "none/log.jsonl", {}); }) ==
        (folder / "none/log.jsonl").string() +
            ": cannot be written: opening it: No such file or directory");
  if (std::filesystem::exists("/dev/full")) {
    RunLog full("/dev/full", {});
    CHECK(refusal([&] {
            full.add({{"step", 0}});
          }) == "/dev/full: cannot be written: adding a line: No space left on device");
  }
  RunLog log(folder / "a", {});
  log.add(json::object());
  std::filesystem::remove(folder / "a");
  CHECK(refusal([&] { log.sync(); }) ==
        (folder / "a").string() + ": cannot be written: it was removed meanwhile");
}

// What a run folder may hold beside a run's files, and files in it that stand in the way.
#include "files/atomic_file.hpp"
#include "temporary_folder.hpp"
#include "training/checkpoint_files.hpp"
#include "training/run_log.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

TEST_CASE("run folder: one that is not there, and names that are nearly those of a run") {
  const TemporaryFolder folder;
  CHECK(RunFolder(folder / "absent").files().empty());
  CHECK_FALSE(RunFolder(folder / "absent").is_used());
  for (const char* name : {"checkpoint-12.safetensorz", "checkpoint-1x.safetensors",
                           "checkpoint--1.safetensors", "embedding.txt"})
    folder.write(name, "x");
  const RunFolder run(folder.path());
  CHECK(run.files().empty());
  CHECK(run.results().empty());
  CHECK(run.is_used());
  CHECK(run.embedding(0, 1) == folder / "embedding.npy");
  CHECK(run.embedding(1, 2) == folder / "embedding_1.npy");
}

TEST_CASE("run folder: what is set aside is the run's, what people call damaged is theirs") {
  const TemporaryFolder folder;
  for (const char* name : {"best.safetensors.before-3", "checkpoint.safetensors.damaged",
                           "notes.damaged", "spikes.before-1"})
    folder.write(name, "x");
  const std::vector<fs::path> wanted = {folder / "best.safetensors.before-3",
                                        folder / "checkpoint.safetensors.damaged"};
  CHECK(RunFolder(folder.path()).files() == wanted);
}

TEST_CASE("checkpoint files: a damaged one that cannot be set aside is an error") {
  const TemporaryFolder folder;
  const RunFolder run(folder.path());
  OpenedCheckpoint from;
  from.file = folder.write("checkpoint-1.safetensors", "x");
  from.damaged = {folder.write("checkpoint.safetensors", "damaged")};
  fs::create_directory(folder / "checkpoint.safetensors.damaged");
  CheckpointFiles files(run, 2);
  CHECK_THROWS_WITH_AS(
      files.resume(from, 1, std::nullopt),
      ((folder / "checkpoint.safetensors").string() + ": cannot be renamed: Is a directory")
          .c_str(),
      Error);
  CHECK(file_bytes(folder / "checkpoint.safetensors") == "damaged");
}

TEST_CASE("run log: a position at the start, a log that is gone, lines of no step") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("log.jsonl", "{\"step\":\"one\"}\n{\"step\":1}\nno JSON\n");
  CHECK_FALSE(RunLog(file, {3, 0}).was_shortened());
  CHECK(file_bytes(file).empty());
  folder.write("log.jsonl", "{\"step\":\"one\"}\n{\"step\":1}\nno JSON\n");
  CHECK_FALSE(RunLog(file, {3, std::nullopt}).was_shortened());
  CHECK(file_bytes(file) == "{\"step\":1}\n");
  fs::remove(file);
  CHECK(RunLog(file, {3, 10}).was_shortened());
  CHECK(file_bytes(file).empty());
}

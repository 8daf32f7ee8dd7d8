#include "same_run.hpp"

#include "program/program.hpp"

#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace grevy::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// All that may differ; every other byte of every file is the same.

// In summary.json: how long it took and with how much memory; the first step of the program that
// was at it last, and its last one where it had none left to do.
const std::vector<const char*> of_time = {"/time", "/memory", "/peak_memory_mb", "/training/first"};
const std::vector<const char*> without_steps = {"/time", "/memory", "/peak_memory_mb", "/training"};

// In checkpoints that were written before training.num_steps was raised: the setting, and the
// checksum over it.
const std::set<std::string> metadata_of_raised = {"experiment", host::checksum_key};
const std::vector<const char*> settings_of_raised = {"/training/num_steps"};

// Of a run that was stopped by a signal: which earlier checkpoints it has. Of one that was to be
// replaced when the program ended: earlier checkpoints may be missing.

json without(json document, const std::vector<const char*>& pointers) {
  for (const char* text : pointers) {
    const json::json_pointer pointer(text);
    if (document.contains(pointer)) document[pointer.parent_pointer()].erase(pointer.back());
  }
  return document;
}

json read_json(const fs::path& file) { return json::parse(file_bytes(file)); }

bool is_checkpoint(const std::string& name) { return fs::path(name).extension() == ".safetensors"; }

bool is_predecessor(const std::string& name) { return name.rfind("checkpoint-", 0) == 0; }

std::set<std::string> names_of(const fs::path& folder, const Past& past) {
  std::set<std::string> names;
  for (const fs::path& file : files_of(folder)) {
    const std::string name = file.filename();
    if (!past.was_stopped || !is_predecessor(name)) names.insert(name);
  }
  return names;
}

void check_same_summary(const fs::path& file, const fs::path& expected) {
  const json a = read_json(file), b = read_json(expected);
  const bool have_steps = a.contains("training") && b.contains("training");
  const auto& ignored = have_steps ? of_time : without_steps;
  CHECK(without(a, ignored) == without(b, ignored));
}

void check_same_tensors(const host::StoredTensors& a, const host::StoredTensors& b) {
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& entry : b.tensors) {
    const std::string& name = entry.first;
    const host::StoredTensor& tensor = entry.second;
    CAPTURE(name);
    REQUIRE(a.tensors.count(name) == 1);
    CHECK(a.tensors.at(name).dtype == tensor.dtype);
    CHECK(a.tensors.at(name).shape == tensor.shape);
    CHECK(a.tensors.at(name).bytes == tensor.bytes);
  }
}

void check_same_metadata(const host::StoredTensors& a, const host::StoredTensors& b,
                         const std::set<std::string>& ignored) {
  REQUIRE(a.metadata.size() == b.metadata.size());
  for (const auto& entry : b.metadata) {
    const std::string& key = entry.first;
    CAPTURE(key);
    REQUIRE(a.metadata.count(key) == 1);
    if (ignored.count(key) == 0) CHECK(a.metadata.at(key) == entry.second);
  }
}

// Part by part where bytes differ, so that a failure names the part.
void check_same_checkpoint(const fs::path& file, const fs::path& expected, bool was_raised) {
  if (file_bytes(file) == file_bytes(expected)) return;
  const host::StoredTensors a = host::read_safetensors(file), b = host::read_safetensors(expected);
  check_same_tensors(a, b);
  check_same_metadata(a, b, was_raised ? metadata_of_raised : std::set<std::string>{});
  CHECK_MESSAGE(was_raised, "the bytes differ");
  if (was_raised)
    CHECK(without(json::parse(a.metadata.at("experiment")), settings_of_raised) ==
          without(json::parse(b.metadata.at("experiment")), settings_of_raised));
}

void check_same_file(const fs::path& file, const fs::path& expected, const Past& past) {
  const std::string name = file.filename();
  if (name == "summary.json") return check_same_summary(file, expected);
  const bool is_newest = name == "checkpoint.safetensors";
  if (is_checkpoint(name))
    return check_same_checkpoint(file, expected, past.was_raised && !is_newest);
  CHECK(file_bytes(file) == file_bytes(expected));
}

}  // namespace

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;  // there may be no folder
  for (const auto& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void check_same_run(const fs::path& run, const fs::path& expected, const Past& past) {
  const std::set<std::string> names = names_of(run, past);
  std::set<std::string> expected_names;
  for (const std::string& name : names_of(expected, past))
    if (names.count(name) != 0 || !past.was_replaced || !is_predecessor(name))
      expected_names.insert(name);
  REQUIRE(json(names).dump() == json(expected_names).dump());
  for (const std::string& name : names) {
    CAPTURE(name);
    check_same_file(run / name, expected / name, past);
  }
}

}  // namespace grevy::tests

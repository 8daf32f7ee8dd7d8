#include "site.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

namespace grevy::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json experiment(std::int64_t num_steps, std::int64_t save_frequency) {
  json document = Workspace::experiment();
  document["model"]["name"] = "offset5-model";
  document["training"] = {{"num_steps", num_steps},
                          {"batch_size", 32},
                          {"save_frequency", save_frequency},
                          {"valid_frequency", 4},
                          {"valid_batches", 2}};
  return document;
}

bool is_temporary(const fs::path& file) { return contains(file.filename().string(), ".tmp"); }

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;  // there may be no folder
  for (const auto& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void check_log(const std::string& text) {
  const std::size_t end = text.rfind('\n');
  if (end == std::string::npos) return;
  for (const std::string& line : lines_of(text.substr(0, end + 1)))
    CHECK_MESSAGE(json::accept(line), line);
}

void check_file(const fs::path& file) {
  CAPTURE(file);
  const std::string extension = file.extension();
  if (extension == ".json") CHECK(json::accept(file_bytes(file)));
  if (extension == ".jsonl") check_log(file_bytes(file));
  if (extension == ".npy") CHECK_NOTHROW(host::Array::open(file));
  if (extension == ".safetensors") CHECK_NOTHROW(host::read_safetensors(file));
}

void check_same_tensors(const fs::path& file, const fs::path& expected) {
  const host::StoredTensors a = host::read_safetensors(file);
  const host::StoredTensors b = host::read_safetensors(expected);
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
  CHECK(a.metadata.at("step") == b.metadata.at("step"));
}

// Without how long it took, and without the first step of the last program that was at it.
json comparable(json summary) {
  for (const char* key : {"time", "memory", "peak_memory_mb", "training"}) summary.erase(key);
  return summary;
}

// Steps that were done before the first one that a run reports, counted from 1: "step 7/12 ...".
std::int64_t steps_before(const std::string& err, std::int64_t num_steps) {
  for (const std::string& line : lines_of(err))
    if (line.rfind("step ", 0) == 0) return std::stoll(line.substr(5)) - 1;
  return num_steps;
}

}  // namespace

std::string to_string(Start start) {
  constexpr const char* names[] = {"fresh", "resumed", "forced"};
  return names[static_cast<int>(start)];
}

std::uint64_t fault_seed() {
  const char* text = std::getenv("GREVY_FAULT_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

Site::Site(std::int64_t num_steps, std::int64_t save_frequency)
    : num_steps_(num_steps), save_frequency_(save_frequency) {
  workspace_.write_experiment(experiment(num_steps, save_frequency));
  REQUIRE(run(Start::fresh).code == 0);
  seconds_ = workspace_.json("run/summary.json").at("time").at("total_s");
  fs::rename(workspace_ / "run", workspace_ / "whole");
  const std::string half = std::to_string(num_steps / 2);
  REQUIRE(run(Arguments{"--set", "training.num_steps=" + half}).code == 0);
  fs::rename(workspace_ / "run", workspace_ / "half");
}

void Site::prepare(Start start) {
  replaces_ = start == Start::forced;
  fs::remove_all(workspace_ / "run");
  if (start == Start::resumed) fs::copy(workspace_ / "half", workspace_ / "run");
  if (start == Start::forced) fs::copy(workspace_ / "whole", workspace_ / "run");
}

Outcome Site::run(Start start, const Fault& fault) const {
  if (start == Start::resumed) return run({"--resume"}, fault);
  if (start == Start::forced) return run({"--force"}, fault);
  return run(Arguments{}, fault);
}

Outcome Site::run(const Arguments& more, const Fault& fault,
                  const LoadedProgram::Conditions& conditions) const {
  Arguments arguments = {"run", "experiment.json", "--out", "run"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  LoadedProgram::Conditions all = conditions;
  const fs::path folder = fs::canonical(workspace_ / "");
  for (const auto& [name, value] : environment_of(fault, folder / "run"))
    all.environment[name] = value;
  return LoadedProgram::run(folder, arguments, all);
}

std::vector<Call> Site::calls(Start start) {
  prepare(start);
  Fault none;
  none.record = workspace_ / "calls.txt";
  fs::remove(none.record);
  REQUIRE(run(start, none).code == 0);
  check_same();
  std::vector<Call> calls;
  for (const std::string& line : lines_of(file_bytes(none.record))) {
    std::istringstream words(line);
    Call call;
    words >> call.kind >> call.path >> call.target;
    calls.push_back(std::move(call));
  }
  return calls;
}

void Site::check_readable(bool may_leave_temporaries) const {
  for (const fs::path& file : files_of(workspace_ / "run")) {
    if (is_temporary(file))
      CHECK_MESSAGE(may_leave_temporaries, file);
    else
      check_file(file);
  }
}

bool Site::has_checkpoint() const {
  for (const fs::path& file : files_of(workspace_ / "run"))
    if (file.extension() == ".safetensors") return true;
  return false;
}

// All bytes; names of files that were not finished say nothing.
std::string Site::state() const {
  std::string state;
  for (const fs::path& file : files_of(workspace_ / "run")) {
    state += is_temporary(file) ? "unfinished" : file.filename().string();
    state += '\0' + file_bytes(file) + '\0';
  }
  return state;
}

void Site::check_transform() const {
  const Outcome outcome = LoadedProgram::run(
      workspace_ / "", {"transform", "run", "recording/spikes.npy", "-o", "embedded.npy"}, {});
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
  CHECK_NOTHROW(host::Array::open(workspace_ / "embedded.npy"));
}

void Site::check_recovery() {
  if (!recovered_.insert(state()).second) return;
  const bool resumes = has_checkpoint();
  if (resumes) check_transform();
  const std::string log = workspace_.has("run/log.jsonl") ? workspace_.bytes("run/log.jsonl") : "";
  const auto num_logged = static_cast<std::int64_t>(std::count(log.begin(), log.end(), '\n'));

  const Outcome outcome = run(resumes ? Arguments{"--resume"} : Arguments{"--force"});
  CAPTURE(outcome.err);
  CHECK(complaints(outcome).empty());
  REQUIRE(outcome.code == 0);
  // A step's line is written before the checkpoint after it; but for that of a run that was about
  // to be replaced.
  const std::int64_t stored = std::max<std::int64_t>(num_logged - 1, 0) / save_frequency_;
  const bool is_of_replaced = replaces_ && log == workspace_.bytes("whole/log.jsonl");
  if (!is_of_replaced) CHECK(steps_before(outcome.err, num_steps_) >= stored * save_frequency_);
  check_same();
}

void Site::check_same() const {
  for (const char* file : {"log.jsonl", "embedding.npy", "experiment.json"}) {
    CAPTURE(file);
    CHECK(workspace_.bytes(std::string("run/") + file) ==
          workspace_.bytes(std::string("whole/") + file));
  }
  check_same_tensors(workspace_ / "run/checkpoint.safetensors",
                     workspace_ / "whole/checkpoint.safetensors");
  CHECK(comparable(workspace_.json("run/summary.json")) ==
        comparable(workspace_.json("whole/summary.json")));
}

}  // namespace grevy::tests

#include "site.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/safetensors.hpp>
#include <grevy/host/simulate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace grevy::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_temporary(const fs::path& file) { return contains(file.filename().string(), ".tmp"); }

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

// Of other channels, for experiments with two sessions.
void write_second_recording(const fs::path& folder) {
  host::SimulationOptions options;
  options.num_samples = 500;
  options.num_neurons = 5;
  options.seed = 2;
  host::write_recording(host::simulate(options), folder);
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
    : Site(experiments().front(), num_steps, save_frequency) {}

Site::Site(const Experiment& experiment, std::int64_t num_steps, std::int64_t save_frequency)
    : experiment_(experiment), num_steps_(num_steps), save_frequency_(save_frequency) {
  write_second_recording(workspace_ / "other");
  json document = experiment.document;
  document["training"].update({{"num_steps", num_steps}, {"save_frequency", save_frequency}});
  workspace_.write_experiment(document);
  run_to_end(Arguments{});
  const auto begin = fs::last_write_time(workspace_ / "run/experiment.json");
  const auto end = fs::last_write_time(workspace_ / "run/summary.json");
  seconds_ = std::chrono::duration<double>(end - begin).count();
  fs::rename(workspace_ / "run", workspace_ / "whole");
  run_to_end({"--set", "training.num_steps=" + std::to_string(num_steps / 2)});
  fs::rename(workspace_ / "run", workspace_ / "half");
}

void Site::run_to_end(const Arguments& more) const {
  const Outcome outcome = run(more);
  REQUIRE_MESSAGE(outcome.code == 0, experiment_.name << ": " << outcome.err);
}

void Site::prepare(Start start) {
  replaced_log_.reset();
  past_ = {};
  past_.was_raised = start == Start::resumed;
  fs::remove_all(workspace_ / "run");
  if (start == Start::resumed) fs::copy(workspace_ / "half", workspace_ / "run");
  if (start != Start::forced) return;
  fs::copy(workspace_ / "whole", workspace_ / "run");
  replaced_log_ = fs::last_write_time(workspace_ / "run/log.jsonl");
}

Outcome Site::run(Start start, const Fault& fault) const {
  if (start == Start::resumed) return run({"--resume"}, fault);
  if (start == Start::forced) return run({"--force"}, fault);
  return run(Arguments{}, fault);
}

Outcome Site::run(const Arguments& more, const Fault& fault,
                  const LoadedProgram::Conditions& conditions) const {
  Arguments arguments = {"run", "experiment.json", "--out", "run"};
  for (const Arguments& list : {experiment_.options, more})
    arguments.insert(arguments.end(), list.begin(), list.end());
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
  if (!experiment_.embeds_alone) return;
  Arguments arguments = {"transform", "run", "recording/spikes.npy", "-o", "embedded.npy"};
  arguments.insert(arguments.end(), experiment_.options.begin(), experiment_.options.end());
  const Outcome outcome = LoadedProgram::run(workspace_ / "", arguments, {});
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
  const bool is_of_replaced = replaced_log_ && !log.empty() &&
                              fs::last_write_time(workspace_ / "run/log.jsonl") == *replaced_log_;
  past_.was_replaced = resumes && is_of_replaced;

  const Outcome outcome = run(resumes ? Arguments{"--resume"} : Arguments{"--force"});
  CAPTURE(outcome.err);
  CHECK(complaints(outcome).empty());
  REQUIRE(outcome.code == 0);
  // A step's line is written before the checkpoint after it; but for that of a run that was about
  // to be replaced.
  const std::int64_t stored = std::max<std::int64_t>(num_logged - 1, 0) / save_frequency_;
  if (!is_of_replaced) CHECK(steps_before(outcome.err, num_steps_) >= stored * save_frequency_);
  check_same();
}

void Site::check_same() const {
  CAPTURE(experiment_.name);
  check_same_run(workspace_ / "run", workspace_ / "whole", past_);
}

bool wait_for_stop(pid_t process) {
  siginfo_t info{};
  constexpr int states = WSTOPPED | WEXITED | WNOWAIT;
  REQUIRE(::waitid(P_PID, static_cast<id_t>(process), &info, states) == 0);
  return info.si_code == CLD_STOPPED;
}

void check_failed(const Outcome& outcome, const std::vector<std::string>& texts) {
  CAPTURE(outcome.err);
  CHECK(outcome.code == 3);
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  CHECK(found[0].rfind("grevy: run", 0) == 0);
  const auto says = [&](const std::string& text) { return contains(found[0], text); };
  CHECK(std::any_of(texts.begin(), texts.end(), says));
}

void check_failed(const Outcome& outcome, int error) {
  check_failed(outcome, std::vector<std::string>{std::strerror(error)});
}

}  // namespace grevy::tests

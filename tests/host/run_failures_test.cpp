// What a run that cannot write says of its checkpoints.
#include "host/plugin_support.hpp"
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/run.hpp>
#include <grevy/host/safetensors.hpp>
#include <grevy/host/simulate.hpp>

#include <filesystem>
#include <functional>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

host::Experiment experiment_in(const TemporaryFolder& folder) {
  host::SimulationOptions options;
  options.num_samples = 200;
  options.num_neurons = 2;
  host::write_recording(host::simulate(options), folder / "recording");
  const json document = {
      {"threads", 1},
      {"data", {{"neural", "recording/spikes.npy"}}},
      {"model", {{"name", "offset1-model"}, {"num_units", 2}, {"num_output", 2}}},
      {"training",
       {{"num_steps", 4}, {"batch_size", 16}, {"save_frequency", 1}, {"keep_checkpoints", 1}}}};
  return host::Experiment::load(builtin_host(), folder.write("experiment.json", document.dump()));
}

using Change = std::function<void(const fs::path& checkpoint)>;

host::RunOptions in_folder(const fs::path& folder) {
  host::RunOptions options;
  options.folder = folder;
  return options;
}

std::string refusal_in(const fs::path& folder, const host::Experiment& experiment,
                       bool resume = false) {
  host::RunOptions options = in_folder(folder);
  options.resume = resume;
  return refusal([&] { host::run(builtin_host(), experiment, options); });
}

// How a run ends that loses its log, and something happens to its checkpoint, of step 1, before.
std::string end_of_run(const Change& change) {
  const TemporaryFolder folder;
  const host::Experiment experiment = experiment_in(folder);
  host::RunOptions options;
  options.folder = folder / "run";
  options.on_step = [&](const host::StepReport& report) {
    if (report.step != 1) return;
    change(options.folder / "checkpoint.safetensors");
    fs::remove(options.folder / "log.jsonl");
  };
  const auto run = [&] { host::run(builtin_host(), experiment, options); };
  const std::string text = refusal(run);
  const std::string begin =
      (options.folder / "log.jsonl").string() + ": cannot be written: it was removed meanwhile; ";
  REQUIRE_MESSAGE(text.rfind(begin, 0) == 0, text);
  std::string end = text.substr(begin.size());
  const std::string name = options.folder.string();
  for (std::size_t at = end.find(name); at != std::string::npos; at = end.find(name, at))
    end.replace(at, name.size(), "RUN");
  return end;
}

}  // namespace

TEST_CASE("a run that cannot write says which checkpoint there is, or why none can be read") {
  const OneThread one_thread;
  CHECK(end_of_run([](const fs::path&) {}) == "RUN/checkpoint.safetensors is intact, of step 1");
  CHECK(end_of_run([](const fs::path& file) { fs::remove(file); }) == "no checkpoint is stored");
  const std::string unread = "the checkpoints cannot be read: RUN/checkpoint.safetensors: ";
  const std::string damaged = end_of_run([](const fs::path& file) {
    std::ofstream(file, std::ios::in | std::ios::out | std::ios::binary) << "x";
  });
  CHECK_MESSAGE(damaged.rfind(unread, 0) == 0, damaged);
  CHECK(end_of_run([](const fs::path& file) {
          fs::remove(file);
          fs::create_symlink(file.filename(), file);  // to itself
        }) == unread + "cannot be read: Too many levels of symbolic links");
  CHECK(contains(end_of_run([](const fs::path& file) {
                   host::StoredTensors content = host::read_safetensors(file);
                   content.metadata.erase("step");
                   host::write_safetensors(file, content);
                 }),
                 "the checkpoints cannot be read: "));
}

TEST_CASE("folders that a run cannot have") {
  const TemporaryFolder folder;
  const host::Experiment experiment = experiment_in(folder);
  CHECK(refusal_in("", experiment) == "a run needs a folder");
  const fs::path file = folder.write("file", "");
  CHECK(refusal_in(file, experiment) == file.string() + ": is a file; a run needs a folder");
  const fs::path longest = folder / std::string(300, 'x');
  CHECK(contains(refusal_in(longest, experiment), ": cannot be used: File name too long"));
  // A run that has ended, and has lost its checkpoints.
  fs::create_directory(folder / "ended");
  for (const char* name : {"ended/experiment.json", "ended/summary.json"}) folder.write(name, "{}");
  CHECK(contains(refusal_in(folder / "ended", experiment, true), "there is nothing to resume"));
}

TEST_CASE("a run without callbacks; a log that became shorter is said, and gone on with") {
  const OneThread one_thread;
  const TemporaryFolder folder;
  const host::Experiment experiment = experiment_in(folder);
  std::vector<std::string> lines;
  host::Host host(logging({GREVY_BUILTIN_PLUGINS}, lines));
  host::RunOptions options = in_folder(folder / "run");
  CHECK(host::run(host, experiment, options).finished);
  fs::resize_file(options.folder / "log.jsonl", 0);
  options.resume = true;
  CHECK(host::run(host, experiment, options).finished);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == "run: " + (options.folder / "log.jsonl").string() +
                        ": is shorter than it was; what was lost stays lost");
}

TEST_CASE("metadata of a checkpoint that is of another kind, or of another version") {
  const OneThread one_thread;
  const TemporaryFolder folder;
  const host::Experiment experiment = experiment_in(folder);
  host::run(builtin_host(), experiment, in_folder(folder / "run"));
  const fs::path file = folder / "run/checkpoint.safetensors";
  fs::remove(folder / "run/best.safetensors");
  const host::StoredTensors content = host::read_safetensors(file);
  const auto refusal_with = [&](const char* key, const std::string& text) {
    host::StoredTensors changed = content;
    changed.metadata[key] = text;
    host::write_safetensors(file, changed);
    return refusal_in(folder / "run", experiment, true);
  };
  const std::string damaged = refusal_with("plugins", "7");
  CHECK_MESSAGE(contains(damaged, "checkpoint.safetensors: its metadata is damaged: "), damaged);
  // An experiment that is none any more is compared as it is.
  json stored = json::parse(content.metadata.at("experiment"));
  stored["colour"] = "red";
  const std::string changed = refusal_with("experiment", stored.dump());
  CHECK_MESSAGE(contains(changed, " --allow /colour"), changed);
}

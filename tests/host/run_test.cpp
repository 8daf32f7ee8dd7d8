// Runs of an application: what solvers hear of the host and ask it for in their midst.
#include "host/plugin_support.hpp"
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/run.hpp>
#include <grevy/plugin.hpp>

#include <algorithm>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace fs = std::filesystem;

namespace {

// Asks for another plugin's criterion where it has not gone on from a checkpoint, and logs what
// ends a training.
class Talker : public Solver {
 public:
  struct Options {
    bool asks = false;
    static constexpr auto fields() {
      return grevy::fields(field("asks", &Options::asks, "Whether it asks for a component."));
    }
  };
  Talker(const Options& options, const Context& context) : asks_(options.asks), context_(context) {}
  void fit(const TrainingRef& training) override {
    if (asks_ && training.first_step() == 0)
      context_.create<CriterionRef>({R"({"name": "scaled", "inner": {"name": "InfoNCE"}})"});
    try {
      Solver::fit(training);
    } catch (const std::exception& e) {
      context_.log(Context::Level::error, e.what());
      throw;
    }
  }

 private:
  bool asks_;
  Context context_;
};

}  // namespace

GREVY_REGISTER(Talker, "talker", "Asks and logs in the midst of a training.")
extern "C" const grevy_plugin* grevy_plugin_entry_v1();  // registry_test.cpp

namespace {

const std::vector<fs::path> all_plugins = {GREVY_BUILTIN_PLUGINS, test_plugins / "good"};

json experiment_of(const TemporaryFolder& folder, std::int64_t num_steps, bool asks) {
  const at::Tensor neural = made_recording(60, 2, 1).neural().contiguous();
  write_npy(folder / "neural.npy", {60, 2}, neural.data_ptr<float>());
  return {{"threads", 1},
          {"data", {{"neural", (folder / "neural.npy").string()}}},
          {"model", {{"name", "offset1-model"}, {"num_output", 3}, {"num_units", 4}}},
          {"solver", {{"name", "talker"}, {"asks", asks}}},
          {"training", {{"num_steps", num_steps}, {"batch_size", 8}}},
          {"evaluation", {{"num_batches", 2}}}};
}

bool names(const json& plugins, const char* id) {
  return std::any_of(plugins.begin(), plugins.end(),
                     [&](const json& plugin) { return plugin.at("id") == id; });
}

}  // namespace

TEST_CASE("a solver hears the name that the run's folder was given") {
  const OneThread one_thread;
  const TemporaryFolder folder;
  std::vector<std::string> lines;
  Host host(logging(all_plugins, lines));
  host.add(grevy_plugin_entry_v1(), true);
  const std::string file = (folder / "run/checkpoint.safetensors").string();
  RunOptions options;
  options.folder = folder / "run";
  options.on_step = [&](const StepReport&) { fs::create_directories(fs::path(file) / "in"); };
  const Experiment experiment(host, experiment_of(folder, 3, false));
  CHECK(contains(refusal([&] { run(host, experiment, options); }), file));
  const auto says = [&](const std::string& part) {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& line) { return contains(line, part); });
  };
  CHECK(says(file));
  CHECK_FALSE(says("/proc/"));
}

TEST_CASE("a plugin that is asked for in the midst of a training is stored, and looked at later") {
  const OneThread one_thread;
  const TemporaryFolder folder;
  Host host(only(all_plugins));
  host.add(grevy_plugin_entry_v1(), true);
  const auto run_in = [&](Host& used, const char* name, std::int64_t num_steps, bool resume) {
    RunOptions options;
    options.folder = folder / name;
    options.resume = resume;
    return run(used, Experiment(used, experiment_of(folder, num_steps, true)), options);
  };
  CHECK(names(run_in(host, "run", 3, false).document.at("plugins"), "zoo.scaled"));
  CHECK(names(read_checkpoint_info(folder / "run").at("plugins"), "zoo.scaled"));
  // It is asked for no more, but belongs to the run.
  CHECK(names(run_in(host, "run", 5, true).document.at("plugins"), "zoo.scaled"));
  run_in(host, "whole", 5, false);
  CHECK(file_bytes(folder / "run/checkpoint.safetensors") ==
        file_bytes(folder / "whole/checkpoint.safetensors"));

  Host without(only({GREVY_BUILTIN_PLUGINS}));
  without.add(grevy_plugin_entry_v1(), true);
  const std::string text = refusal([&] { run_in(without, "run", 7, true); });
  CHECK(contains(text, "plugin:zoo.scaled: found nothing; the run in "));
}

TEST_CASE("another run of the same host counts only what it asks for itself") {
  const OneThread one_thread;
  Host host(only(all_plugins));
  host.add(grevy_plugin_entry_v1(), true);
  const TemporaryFolder folder;
  for (const bool asks : {true, false, true}) {
    Trainer trainer(host, Experiment(host, experiment_of(folder, 3, asks)),
                    made_recording(60, 2, 1));
    CHECK_FALSE(names(trainer.plugins(), "zoo.scaled"));
    CHECK(trainer.fit());
    CHECK(names(trainer.plugins(), "zoo.scaled") == asks);
  }
}

TEST_CASE("an application's texts must be UTF-8, since they are stored") {
  const TemporaryFolder folder;
  json document = experiment_of(folder, 3, false);
  document["solver"] = {{"name", "single-session"}};
  document["description"] = "a\xff";
  CHECK(contains(refusal([&] { Experiment(builtin_host(), document, "e.json"); }),
                 "e.json: /description: found \"a\\xff\"; must be UTF-8"));
  document["description"] = "";
  document["data"]["labels"]["b\xfe"] = "b.npy";
  CHECK(contains(refusal([&] { Experiment(builtin_host(), document, "e.json"); }),
                 "found \"/data/labels/b\\xfe\"; must be UTF-8"));
}

// Every released version of the ABI in today's host: its header, and plugins that were built then.
#include "plugin_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/abi.h>
#include <grevy/host/experiment.hpp>
#include <grevy/host/trainer.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

const fs::path sources = fs::path(GREVY_TEST_DATA).parent_path() / "plugins/released";
const fs::path binaries = test_plugins / "released";

struct Version {
  int major = 0, minor = 0;
  std::string name() const { return std::to_string(major) + "." + std::to_string(minor); }
};

Version version_of(const std::string& text) {
  const auto dot = text.find('.');
  REQUIRE(dot != std::string::npos);
  return {std::stoi(text.substr(0, dot)), std::stoi(text.substr(dot + 1))};
}

// In the order of their release.
std::vector<Version> released() {
  std::vector<Version> versions;
  for (const auto& entry : fs::directory_iterator(sources))
    if (entry.is_directory()) versions.push_back(version_of(entry.path().filename().string()));
  std::sort(versions.begin(), versions.end(), [](const Version& a, const Version& b) {
    return std::pair(a.major, a.minor) < std::pair(b.major, b.minor);
  });
  return versions;
}

fs::path header_of(const Version& version) {
  return sources / version.name() / "include/grevy/abi.h";
}

int number_in(const std::string& header, const std::string& name) {
  const std::string line = "#define " + name + " ";
  const auto at = header.find(line);
  REQUIRE(at != std::string::npos);
  return std::stoi(header.substr(at + line.size()));
}

// The plugins of each version of this major, one after the other.
template <class Body>
void for_released(const std::string& plugin, Body&& body) {
  int count = 0;
  for (const Version& version : released()) {
    if (version.major != GREVY_ABI_MAJOR) continue;
    CAPTURE(version.name());
    ++count;
    body(binaries / version.name() / (plugin + ".so"));
  }
  CHECK(count >= 1);
}

at::Tensor scalar(double value) { return at::full({1, 1}, value); }

Recording recording() { return Recording(at::linspace(-1, 1, 200).reshape({100, 2})); }

}  // namespace

// ---- Headers --------------------------------------------------------------------------------

TEST_CASE("a released header says its own version") {
  CHECK_FALSE(released().empty());
  for (const Version& version : released()) {
    CAPTURE(version.name());
    const std::string header = file_bytes(header_of(version));
    CHECK(number_in(header, "GREVY_ABI_MAJOR") == version.major);
    CHECK(number_in(header, "GREVY_ABI_MINOR") == version.minor);
  }
}

TEST_CASE("abi.h changes only with its version") {
  const std::string now = file_bytes(sources / "../../../sdk/include/grevy/abi.h");
  const Version newest = released().back();
  const auto version = std::pair<int, int>(GREVY_ABI_MAJOR, GREVY_ABI_MINOR);
  CHECK(version >= std::pair(newest.major, newest.minor));
  if (version == std::pair(newest.major, newest.minor))
    CHECK_MESSAGE(now == file_bytes(header_of(newest)),
                  "abi.h differs from that of the release; a change needs another minor or major");
}

// ---- Criterions -----------------------------------------------------------------------------

TEST_CASE("a released criterion is found by its manifest") {
  for_released("criterion", [](const fs::path& file) {
    const Host host(only({file}));
    REQUIRE(host.plugins().size() == 1);
    const PluginManifest& plugin = host.plugins().front();
    CHECK(plugin.problem.empty());
    CHECK(plugin.id == "kept.criterion");
    CHECK(plugin.version == "1.0.0");
    CHECK(plugin.stamp.empty());
    REQUIRE(plugin.components.size() == 2);
    const ComponentManifest& component = *host.find(Kind::criterion, "kept-picker").component;
    CHECK(component.name == "kept-criterion");
    CHECK(component.summary == "A tensor of the prediction.");
    const json schema = json::parse(component.options_schema);
    CHECK(schema.at("/properties/pick/maximum"_json_pointer) == 2);
    CHECK(schema.at("/properties/pick/default"_json_pointer) == 0);
  });
}

TEST_CASE("a released criterion computes, describes itself and counts") {
  for_released("criterion", [](const fs::path& file) {
    std::vector<std::string> lines;
    Host host(logging({file}, lines));
    const at::Tensor positive = scalar(3).requires_grad_(true);
    {
      const auto picker = host.create_criterion("kept-picker", R"({"pick": 1})", channels(0));
      CHECK(lines == std::vector<std::string>{"kept-picker: is made"});
      const CriterionInfo info = picker->info();
      CHECK(info.parts == std::vector<std::string>{"picked", "reference"});
      CHECK(info.expects_normalized);
      CHECK_FALSE(info.parts_are_losses);

      const Evaluation evaluation = picker->evaluate({{scalar(2), positive, {}}}, 2);
      CHECK(evaluation.loss.is_same(positive));
      CHECK(evaluation.parts.at(0).item<double>() == 3);
      CHECK(evaluation.parts.at(1).item<double>() == 2);
      evaluation.loss.sum().backward();
      CHECK(positive.grad().item<double>() == 1);

      const Statistics statistics = picker->statistics();
      REQUIRE(statistics.size() == 2);
      CHECK(statistics[0].name == "evaluations");
      CHECK(statistics[0].value == 1);
      CHECK(statistics[1].name == "seed");
      CHECK(statistics[1].value == 5);
      CHECK(picker->tensors().empty());
    }
    CHECK(positive.use_count() == 1);
  });
}

TEST_CASE("a released criterion's errors come with code, message and place") {
  for_released("criterion", [](const fs::path& file) {
    Host host(only({file}));
    const Caught option = catch_error([&] { criterion(host, "kept-criterion", R"({"pick": 7})"); });
    CHECK(option.code == ErrorCode::invalid_value);
    CHECK(option.says("option \"pick\" must be 0, 1 or 2"));
    check_place(option, "kept.criterion", "kept-criterion", "create");

    const auto picker = criterion(host, "kept-criterion", R"({"pick": 2})");
    const Caught missing = catch_error([&] { picker->evaluate({{scalar(1), scalar(1), {}}}, 2); });
    CHECK(missing.code == ErrorCode::invalid_type);
    CHECK(missing.says("there is no such tensor"));
    check_place(missing, "kept.criterion", "kept-criterion", "evaluate");
  });
}

TEST_CASE("a released criterion's extension is answered by id") {
  struct Count {
    std::uint32_t struct_size, reserved;
    double (*evaluations)(void* self);
  };
  for_released("criterion", [](const fs::path& file) {
    Host host(only({file}));
    const auto picker = criterion(host, "kept-criterion");
    picker->evaluate({{scalar(1), scalar(1), {}}}, 2);
    CHECK(picker->extension("kept.count/2") == nullptr);
    const auto* count = static_cast<const Count*>(picker->extension("kept.count/1"));
    REQUIRE(count != nullptr);
    CHECK(count->evaluations(picker->instance().self) == 1);
    CHECK(criterion(host, "kept-wrapper", R"({"inner":"kept-criterion"})")->extension("any") ==
          nullptr);
  });
}

TEST_CASE("a released wrapper works around today's components") {
  for_released("criterion", [](const fs::path& file) {
    Host host(only({file, GREVY_BUILTIN_PLUGINS}));
    const auto inner = criterion(host, "LearnableCosineInfoNCE");
    const auto outer = criterion(host, "kept-wrapper", R"({"inner":"LearnableCosineInfoNCE"})");
    const auto rows = [](double scale) { return at::linspace(-1, scale, 8).reshape({4, 2}); };
    const std::vector<Prediction> predictions = {{rows(1), rows(2), rows(3)}};
    CHECK(outer->info().parts == inner->info().parts);
    CHECK(outer->evaluate(predictions, 2).loss.item<double>() ==
          inner->evaluate(predictions, 2).loss.item<double>());
    REQUIRE(outer->tensors().size() == 1);
    CHECK(outer->tensors()[0].name == "inner.log_inverse_temperature");
    CHECK(outer->tensors()[0].trained);
    CHECK(outer->statistics().at(0).name == "temperature");

    const Caught missing =
        catch_error([&] { criterion(host, "kept-wrapper", R"({"inner":"no-such"})"); });
    CHECK(missing.code == ErrorCode::not_found);
    CHECK(missing.says("there is no criterion \"no-such\""));
    const Caught endless =
        catch_error([&] { criterion(host, "kept-wrapper", R"({"inner":"kept-wrapper"})"); });
    CHECK(endless.code == ErrorCode::not_found);  // the inner one is made with the options {}
  });
}

// ---- Models ---------------------------------------------------------------------------------

TEST_CASE("a released model describes itself and embeds") {
  for_released("model", [](const fs::path& file) {
    std::vector<std::string> lines;
    Host host(logging({file}, lines));
    CHECK(host.create_model("kept-model", "{}", channels(3))->info().offset == Offset{0, 1});
    const auto model = host.create_model("kept-model-4", "{}", channels(3));
    const ModelInfo info = model->info();
    CHECK(info.num_input == 3);
    CHECK(info.num_output == 3);
    CHECK(info.offset == Offset{4, 1});
    CHECK(info.convolutional);
    CHECK(info.normalized);
    CHECK(info.resample_factor == 2);
    CHECK(info.num_tensors == 3);

    const at::Tensor windows = at::rand({2, 3, 5});
    CHECK(model->forward(windows).is_same(windows));
    CHECK(model->forward_all(windows, 3).size() == 3);
    CHECK(windows.use_count() == 1);
    CHECK(model->tensors().empty());
    model->set_training(false);
    model->set_training(true);
    CHECK(lines == std::vector<std::string>{"kept-model: evaluates", "kept-model: trains"});

    const Caught refused = catch_error([&] { model->forward_all(windows, 4); });
    CHECK(refused.code == ErrorCode::invalid_value);
    CHECK(refused.says("gives three tensors at most"));
    check_place(refused, "kept.model", "kept-model-4", "forward");
  });
}

// ---- Solvers --------------------------------------------------------------------------------

TEST_CASE("a released solver runs a training of today") {
  for_released("solver", [](const fs::path& file) {
    Host host(only({file, GREVY_BUILTIN_PLUGINS}));
    const Experiment experiment(
        host,
        {{"model", {{"name", "offset1-model-mse"}, {"num_units", 4}, {"num_output", 2}}},
         {"solver", {{"name", "kept-solver"}}},
         {"training",
          {{"num_steps", 6}, {"batch_size", 8}, {"valid_frequency", 3}, {"valid_batches", 2}}}});
    Trainer trainer(host, experiment, recording().slice(0, 80), recording().slice(80, 100));
    std::vector<double> steps, losses;
    FitCallbacks callbacks;
    callbacks.on_step = [&](const StepReport& report) {
      REQUIRE(report.statistics.size() == 1);
      CHECK(report.statistics[0].name == "steps");
      steps.push_back(report.statistics[0].value);
      if (report.validation_loss) losses.push_back(*report.validation_loss);
    };
    CHECK(trainer.fit(callbacks));
    CHECK(steps == std::vector<double>{1, 2, 3, 4, 5, 6});
    CHECK(losses == std::vector<double>{2, 2});
    CHECK(trainer.solver().save_state() == R"({"steps":6})");
  });
}

TEST_CASE("a released solver stops when it is asked to, and goes on from a checkpoint") {
  for_released("solver", [](const fs::path& file) {
    Host host(only({file, GREVY_BUILTIN_PLUGINS}));
    const Experiment experiment(
        host, {{"model", {{"name", "offset1-model-mse"}, {"num_units", 4}, {"num_output", 2}}},
               {"solver", {{"name", "kept-solver"}}},
               {"training", {{"num_steps", 6}, {"batch_size", 8}}}});
    const TemporaryFolder folder;
    {
      Trainer trainer(host, experiment, recording());
      FitCallbacks callbacks;
      callbacks.should_stop = [&] { return trainer.step() == 2; };
      CHECK_FALSE(trainer.fit(callbacks));
      CHECK(trainer.step() == 2);
      trainer.save(folder / "state");
    }
    Trainer trainer(host, experiment, recording());
    trainer.load(folder / "state");
    CHECK(trainer.solver().save_state() == R"({"steps":2})");
    CHECK(trainer.fit());
    CHECK(trainer.solver().save_state() == R"({"steps":6})");
    const Caught damaged = catch_error([&] { trainer.solver().load_state("{}"); });
    CHECK(damaged.code == ErrorCode::invalid_value);
    CHECK(damaged.says("the state has no \"steps\""));
  });
}

TEST_CASE("a released solver refuses what it cannot work with") {
  for_released("solver", [](const fs::path& file) {
    Host host(only({file, file.parent_path() / "model.so", file.parent_path() / "criterion.so"}));
    const auto solver = host.create_solver("kept-solver", "{}", channels(2));
    const auto model = host.create_model("kept-model", "{}", channels(2));
    const auto loss = criterion(host, "kept-criterion");
    CHECK(solver->info().sessions == SolverInfo::Sessions::one);
    CHECK(solver->info().num_positives == 1);
    const Caught two = catch_error([&] { solver->attach({*model, *model}, {*loss}); });
    CHECK(two.code == ErrorCode::invalid_value);
    CHECK(two.says("takes one model and one criterion"));
    solver->attach({*model}, {*loss});
    const at::Tensor samples = at::rand({5, 2});
    CHECK(solver->transform(0, samples).is_same(samples));
    const Caught session = catch_error([&] { solver->transform(1, samples); });
    CHECK(session.code == ErrorCode::out_of_range);
    check_place(session, "kept.solver", "kept-solver", "transform");
  });
}

#include "experiment/schema.hpp"
#include "files/file_hash.hpp"
#include "program.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/safetensors.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace grevy::tests;
using grevy::host::Array;
using nlohmann::json;

namespace {

Arguments run_into(const std::string& folder, const Arguments& more = {}) {
  Arguments arguments = {"run", "experiment.json", "--out", folder};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<json> json_lines(const std::string& text) {
  std::vector<json> entries;
  for (const std::string& line : lines_of(text)) entries.push_back(json::parse(line));
  return entries;
}

std::filesystem::path real(const std::filesystem::path& path) {
  return std::filesystem::canonical(path);
}

void check_experiment(const Workspace& workspace) {
  const json resolved = workspace.json("run/experiment.json");
  CHECK(resolved.at("data").at("neural") == real(workspace / "recording/spikes.npy").string());
  CHECK(resolved.at("data").at("labels").at("position") ==
        real(workspace / "recording/position.npy").string());
  CHECK(resolved.at("data").at("train_fraction") == 0.8);
  CHECK(resolved.at("criterion") == json{{"name", "InfoNCE"}, {"temperature", 1.0}});
  CHECK(resolved.at("solver") == json{{"name", "single-session"}});
  CHECK(resolved.at("model").at("normalize") == true);
  CHECK(resolved.at("optimizer").at("betas") == json{0.9, 0.999});
  CHECK(resolved.at("sampling").at("time_offset") == 10);
  CHECK(resolved.at("training").at("valid_frequency") == 4);
  const json schema = json::parse(workspace.grevy({"schema"}).out);
  json completed = resolved;
  grevy::host::apply_defaults(completed, schema);
  CHECK(completed == resolved);
  CHECK_NOTHROW(grevy::host::validate(resolved, schema, "run/experiment.json"));
}

void check_log(const Workspace& workspace) {
  const std::vector<json> log = json_lines(workspace.bytes("run/log.jsonl"));
  REQUIRE(log.size() == 6);
  for (std::size_t i = 0; i < log.size(); ++i) {
    CHECK(log[i].at("step") == i);
    CHECK(log[i].at("temperature") == 1.0);
    const double parts = log[i].at("pos").get<double>() + log[i].at("neg").get<double>();
    CHECK(log[i].at("total").get<double>() == doctest::Approx(parts));
    CHECK(log[i].contains("validation") == (i == 3));
  }
}

void check_embedding(const Workspace& workspace) {
  const Array embedding = Array::open(workspace / "run/embedding.npy");
  CHECK(embedding.shape() == std::vector<std::int64_t>{600, 3});
  const auto values = embedding.to_float32();
  for (std::int64_t i = 0; i < 600; ++i) {
    const float* row = values.get() + 3 * i;
    REQUIRE(std::hypot(row[0], row[1], row[2]) == doctest::Approx(1).epsilon(1e-5));
  }
}

void check_checkpoint(const Workspace& workspace) {
  const auto content = grevy::host::read_safetensors(workspace / "run/checkpoint.safetensors");
  CHECK(content.metadata.at("step") == "6");
  CHECK(content.tensors.count("model.net.0.weight") == 1);
}

void check_summary(const json& summary) {
  CHECK(summary.at("finished") == true);
  CHECK(summary.at("step") == 6);
  CHECK(summary.at("seed") == 3);
  CHECK(summary.at("versions").at("grevy").is_string());
  CHECK(contains(summary.at("versions").at("libtorch"), "libtorch"));
  CHECK(summary.at("recording") == json{{"samples", 600}, {"channels", 6}, {"train_samples", 480}});
  CHECK(summary.at("infonce").at("chance").get<double>() == doctest::Approx(std::log(32.0)));
  CHECK(summary.at("infonce").at("held_out").is_number());
  CHECK(summary.at("peak_memory_mb") > 1);
  CHECK(summary.at("memory").at("estimated_peak_mb") > 1);
  CHECK(summary.at("memory").at("parts_mb").contains("activations"));
  CHECK(summary.at("skipped_steps") == 0);
  for (const char* phase : {"batches", "optimizer", "services", "solver"})
    CHECK(summary.at("time").at("phases_s").at(phase) > 0);
  for (const char* key : {"total_s", "train_s", "cpu_s", "steps_per_s"})
    CHECK(summary.at("time").at(key) > 0);
  const json& labels = summary.at("decoding").at("labels");
  for (const char* source : {"embedding", "raw_windows", "rolled_labels"}) {
    CHECK(labels.at("position").at(source).at("mean_r2").is_number());
    CHECK(labels.at("direction").at(source).at("accuracy").is_number());
  }
  REQUIRE(summary.at("plugins").size() == 3);
  for (const json& plugin : summary.at("plugins")) {
    CHECK(plugin.at("sha256") == grevy::host::sha256_of_file(plugin.at("file").get<std::string>()));
    CHECK(plugin.at("sha256").get<std::string>().size() == 64);
  }
}

void check_progress(const Outcome& outcome) {
  const std::vector<json> progress = json_lines(outcome.err);
  REQUIRE(progress.size() >= 2);
  CHECK(progress.front().at("step") == 0);
  CHECK(progress.back().at("step") == 5);
  CHECK(progress.back().at("num_steps") == 6);
}

}  // namespace

TEST_CASE("a run folder holds experiment, log, checkpoint, embedding and summary") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome outcome =
      workspace.grevy(run_into("run", {"--json", "--set", "training.valid_frequency=4"}));
  REQUIRE(outcome.code == 0);
  const json summary = workspace.json("run/summary.json");
  CHECK(json::parse(outcome.out) == summary);

  check_experiment(workspace);
  check_log(workspace);
  check_embedding(workspace);
  check_checkpoint(workspace);
  check_summary(summary);
  check_progress(outcome);
}

TEST_CASE("the same file gives the same bytes, another seed does not") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(workspace.grevy(run_into("a")).code == 0);
  REQUIRE(workspace.grevy(run_into("b")).code == 0);
  REQUIRE(workspace.grevy(run_into("c", {"--set", "seed=4"})).code == 0);
  for (const std::string name : {"/checkpoint.safetensors", "/embedding.npy", "/log.jsonl"}) {
    CAPTURE(name);
    CHECK(workspace.bytes("a" + name) == workspace.bytes("b" + name));
    CHECK(workspace.bytes("a" + name) != workspace.bytes("c" + name));
  }
  // What a run folder says about its experiment is enough to repeat it.
  REQUIRE(workspace.grevy({"run", "a/experiment.json", "--out", "d"}).code == 0);
  CHECK(workspace.bytes("a/embedding.npy") == workspace.bytes("d/embedding.npy"));
  CHECK(workspace.bytes("a/experiment.json") == workspace.bytes("d/experiment.json"));
}

TEST_CASE("results go to stdout, plain progress lines to stderr") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome outcome = workspace.grevy({"run", "experiment.json"});
  REQUIRE(outcome.code == 0);
  CHECK(workspace.has("runs/experiment/summary.json"));
  CHECK(contains(outcome.out, "held-out FixedCosineInfoNCE "));
  CHECK(contains(outcome.out, "(chance 3.466)"));  // ln 32
  CHECK(contains(outcome.out, "written to runs/experiment"));
  CHECK_FALSE(contains(outcome.out, "steps/s, "));  // a progress line's end
  for (const std::string& line : lines_of(outcome.err)) CHECK(line.rfind("step ", 0) == 0);
  CHECK(contains(outcome.err, "step 1/6  pos: "));
  CHECK(contains(outcome.err, "step 6/6  pos: "));
  CHECK(outcome.err.find_first_of("\r\033") == std::string::npos);

  const Outcome quiet = workspace.grevy({"run", "experiment.json", "--quiet", "--force"});
  CHECK(quiet.code == 0);
  CHECK(quiet.err.empty());
  CHECK(lines_of(quiet.out).size() == 1);
}

TEST_CASE("--set changes numbers, texts, nested values, and makes objects") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome outcome = workspace.grevy(
      run_into("run", {"--quiet", "--set", "training.num_steps=2", "--set", "description=two words",
                       "--set", "optimizer.learning_rate=0.01", "--set",
                       "criterion={\"name\": \"InfoMSE\", \"temperature\": 2}", "--set",
                       "data.labels.half/way=recording/direction.npy", "--set",
                       "sampling.conditional=discrete", "--set", "sampling.discrete=direction"}));
  REQUIRE(outcome.code == 0);
  const json resolved = workspace.json("run/experiment.json");
  CHECK(resolved.at("training").at("num_steps") == 2);
  CHECK(resolved.at("training").at("batch_size") == 32);  // the file's
  CHECK(resolved.at("description") == "two words");
  CHECK(resolved.at("optimizer").at("learning_rate") == 0.01);
  CHECK(resolved.at("criterion") == json{{"name", "InfoMSE"}, {"temperature", 2}});
  CHECK(resolved.at("data").at("labels").contains("half/way"));
  CHECK(resolved.at("sampling").at("conditional") == "discrete");
  CHECK(lines_of(workspace.bytes("run/log.jsonl")).size() == 2);
}

TEST_CASE("a folder in use is left alone without --force") {
  const Workspace workspace;
  workspace.write_experiment();
  REQUIRE(workspace.grevy(run_into("run")).code == 0);
  const std::string before = workspace.bytes("run/checkpoint.safetensors");
  const Outcome refused = workspace.grevy(run_into("run", {"--set", "seed=9"}));
  CHECK(refused.code == 2);
  CHECK(complaints(refused) ==
        std::vector<std::string>{"grevy: run: exists and is not empty; use --resume to go on, "
                                 "--force to replace the run"});
  CHECK(workspace.bytes("run/checkpoint.safetensors") == before);
  CHECK(workspace.grevy(run_into("run", {"--set", "seed=9", "--force"})).code == 0);
  CHECK(workspace.json("run/summary.json").at("seed") == 9);
  CHECK(workspace.bytes("run/checkpoint.safetensors") != before);
}

TEST_CASE("without a held-out part that a window fits into there is no evaluation") {
  const Workspace workspace;
  workspace.write_experiment();
  for (const char* share : {"1", "0.995"}) {
    CAPTURE(share);
    REQUIRE(workspace
                .grevy(run_into(share,
                                {"--quiet", "--set", std::string("data.train_fraction=") + share}))
                .code == 0);
    const json summary = workspace.json(std::string(share) + "/summary.json");
    CHECK(summary.at("decoding").is_null());
    CHECK(summary.at("infonce").is_null());
    CHECK(contains(summary.at("evaluation_skipped"), "samples are held out"));
  }
}

TEST_CASE("a loss that is not finite ends the run, what is stored stays readable") {
  const Workspace workspace;
  workspace.write_experiment();
  const Outcome outcome = workspace.grevy(run_into(
      "run", {"--set", "optimizer.learning_rate=1e30", "--set", "training.save_frequency=1"}));
  CHECK(outcome.code == 2);
  const std::vector<std::string> found = complaints(outcome);
  REQUIRE(found.size() == 1);
  for (const char* part : {"grevy: step 1 (counted from 0): ", "the loss nan; it must be finite",
                           "FixedCosineInfoNCE", "offset10-model", "learning rate 1e+30"})
    CHECK_MESSAGE(contains(found[0], part), part);
  CHECK(json_lines(workspace.bytes("run/log.jsonl")).size() == 1);
  const auto content = grevy::host::read_safetensors(workspace / "run/checkpoint.safetensors");
  CHECK(content.metadata.at("step") == "1");
  CHECK_FALSE(workspace.has("run/summary.json"));
}

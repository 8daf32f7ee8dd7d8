// Solvers that call back wrongly, tensors that checkpoints cannot hold, and moments of an optimiser
// that are not those of the model.
#include "exchange/exchange_tensors.hpp"
#include "files/cebra_checkpoint.hpp"
#include "host/trainer_support.hpp"
#include "training/checkpoint.hpp"

#include <grevy/plugin.hpp>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace {

enum How : std::int64_t {
  as_others,
  other_step,
  many_statistics,
  returns_early,
  small_embedding,
  passes_over
};

class Wrong : public Solver {
 public:
  struct Options {
    std::int64_t how = as_others;
    static constexpr auto fields() {
      return grevy::fields(field("how", &Options::how, "What it does wrong."));
    }
  };
  Wrong(const Options& options, const Context&) : how_(options.how) {}
  void fit(const TrainingRef& training) override {
    const Statistic one{"total", 1};
    if (how_ == returns_early) return;
    if (how_ == other_step) training.end_step(5, {one});
    if (how_ == many_statistics) training.end_step(0, Statistics(4097, one));
    try {
      Solver::fit(training);
    } catch (const std::exception&) {
      if (how_ != passes_over) throw;
    }
  }
  at::Tensor transform(std::int64_t session, const at::Tensor& samples) override {
    const at::Tensor embedding = Solver::transform(session, samples);
    return how_ == small_embedding ? embedding.slice(0, 1) : embedding;
  }

 private:
  std::int64_t how_;
};

}  // namespace

GREVY_REGISTER(Wrong, "wrong-solver", "Calls back wrongly.")
extern "C" const grevy_plugin* grevy_plugin_entry_v1();  // registry_test.cpp

namespace {

json small_experiment() {
  return {{"model", {{"name", "offset1-model"}, {"num_output", 3}, {"num_units", 4}}},
          {"training", {{"num_steps", 3}, {"batch_size", 8}}}};
}

Trainer wrong_trainer(Host& host, How how) {
  json document = small_experiment();
  document["solver"] = {{"name", "wrong-solver"}, {"how", how}};
  return {host, Experiment(host, document), made_recording(50, 2, 1)};
}

StoredTensor zeros_of(const at::Tensor& tensor) {
  return {"F32", tensor.sizes().vec(),
          std::vector<unsigned char>(static_cast<std::size_t>(tensor.numel()) * sizeof(float))};
}

// Moments of every parameter of a trainer, all zero, after 7 steps.
CebraCheckpoint checkpoint_of(const Trainer& trainer, bool amsgrad) {
  CebraCheckpoint checkpoint;
  std::int64_t number = 0;
  json params = json::array();
  for (const NamedTensor& t : trainer.tensors()) {
    if (!t.trained) continue;
    const StoredTensor zeros = zeros_of(t.tensor);
    AdamMoments moments{zeros, zeros, std::nullopt, 7};
    if (amsgrad) moments.max_exp_avg_sq = zeros;
    checkpoint.optimizer[number] = moments;
    params.push_back(number++);
  }
  checkpoint.param_groups = {{{"params", params}}};
  return checkpoint;
}

Trainer trainer_with(bool amsgrad) {
  json document = small_experiment();
  document["optimizer"] = {{"amsgrad", amsgrad}};
  return Trainer::without_data(builtin_host(), Experiment(builtin_host(), document), {2});
}

}  // namespace

Host& host_of_wrong() {
  static Host& made = []() -> Host& {
    HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    static Host host(options);
    host.add(grevy_plugin_entry_v1(), true);
    return host;
  }();
  return made;
}

TEST_CASE("a solver that passes over an error of the host's does not hide it") {
  Trainer trainer = wrong_trainer(host_of_wrong(), passes_over);
  FitCallbacks callbacks;
  callbacks.on_step = [](const StepReport& report) {
    if (report.step == 2) throw Error(ErrorCode::io, "the disk is full");
  };
  CHECK(contains(refusal([&] { trainer.fit(callbacks); }), "the disk is full"));
}

TEST_CASE("a solver that reports other steps, too much, or returns too early") {
  Host& host = host_of_wrong();
  const auto refusal_of = [&](How how) {
    Trainer trainer = wrong_trainer(host, how);
    return refusal([&] { trainer.fit(); });
  };
  CHECK(refusal_of(as_others) == "no error");
  CHECK(contains(refusal_of(other_step), "the solver reported step 5; expected 0"));
  CHECK(contains(refusal_of(many_statistics),
                 "the solver reported 4097 statistics; must be at most 4096"));
  CHECK(contains(refusal_of(returns_early), "returned after step 0 of 3"));
  Trainer trainer = wrong_trainer(host, small_embedding);
  CHECK(contains(refusal([&] {
                   trainer.transform(at::zeros({10, 2}));
                 }),
                 "returned shape [9, 3]; needed: [10, 3]"));
}

TEST_CASE("tensors that a checkpoint cannot hold, lacks, or holds as another type") {
  const at::Tensor x = at::arange(3, at::kFloat), none = at::empty({0, 2});
  StoredTensors content;
  CHECK(contains(refusal([&] {
                   store({{"c", at::zeros({2}, at::kComplexFloat), true}}, content);
                 }),
                 "tensor \"c\" has a type that checkpoints do not hold"));
  store({{"x", x, true}, {"none", none, true}}, content);
  const at::Tensor copy = at::zeros({3}), empty = at::empty({0, 2});
  restore({{"x", copy, true}, {"none", empty, true}}, content);
  CHECK(at::equal(copy, x));
  CHECK(contains(refusal([&] {
                   restore({{"y", copy, true}}, content);
                 }),
                 "the checkpoint has no tensor \"y\""));
  CHECK(contains(refusal([&] {
                   restore({{"x", at::zeros({3}, at::kLong), true}}, content);
                 }),
                 "the checkpoint's tensor \"x\" is F32 [3]; needed: I64 [3]"));
  CHECK(contains(refusal([&] {
                   restore({{"x", at::zeros({2}), true}}, content);
                 }),
                 "needed: F32 [2]"));
}

TEST_CASE("moments of an optimiser that are not those of the model") {
  const Trainer trainer = trainer_with(false);
  const CebraCheckpoint whole = checkpoint_of(trainer, false);
  REQUIRE(match_moments(trainer, whole).problem.empty());
  CHECK(match_moments(trainer, whole).steps == 7);
  const auto problem_with = [&](auto&& change) {
    CebraCheckpoint changed = whole;
    change(changed);
    const MatchedMoments matched = match_moments(trainer, changed);
    CHECK(matched.content.tensors.empty());
    return matched.problem;
  };
  const std::size_t count = whole.optimizer.size();
  CHECK(problem_with([](auto& c) { c.param_groups.push_back(c.param_groups[0]); }) ==
        "it is for 0 parameters; there are " + std::to_string(count));
  CHECK(problem_with([](auto& c) { c.param_groups[0].erase("params"); }) ==
        "it is for 0 parameters; there are " + std::to_string(count));
  CHECK(problem_with([&](auto& c) { c.optimizer[99] = c.optimizer.at(0); }) ==
        "it has moments of parameter 99, counted from 0, of " + std::to_string(count));
  CHECK(problem_with([](auto& c) { c.optimizer.at(1).step = 8; }) ==
        "parameters have 7 and 8 steps; must be the same");
  CHECK(contains(problem_with([](auto& c) {
                   c.optimizer.at(0).exp_avg.shape = {1, 2};
                 }),
                 "are F32 [1, 2]; needed: F32 "));
  CHECK(contains(problem_with([](auto& c) { c.optimizer.at(0).exp_avg_sq.dtype = "F16"; }),
                 "the moments of parameter model."));
  CHECK(problem_with([](auto& c) {
          c.optimizer.at(0).max_exp_avg_sq = c.optimizer.at(0).exp_avg;
        }) == "the experiment is without amsgrad");

  const Trainer amsgrad = trainer_with(true);
  CHECK(match_moments(amsgrad, whole).problem == "the experiment is with amsgrad");
  const MatchedMoments matched = match_moments(amsgrad, checkpoint_of(amsgrad, true));
  CHECK(matched.problem.empty());
  CHECK(matched.content.tensors.size() == 3 * count);
  // Parameters that had no gradient yet have none.
  CebraCheckpoint partly = whole;
  partly.optimizer.erase(1);
  CHECK(match_moments(trainer, partly).missing.size() == 1);
}

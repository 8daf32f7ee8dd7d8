// Solvers and criterions that are not as others, tensors that checkpoints cannot hold, and moments
// of an optimiser that are not those of the model.
#include "exchange/exchange_tensors.hpp"
#include "files/cebra_checkpoint.hpp"
#include "host/trainer_support.hpp"
#include "training/checkpoint.hpp"

#include <grevy/host/stream.hpp>
#include <grevy/plugin.hpp>

#include <algorithm>
#include <cstring>
#include <stdexcept>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;

namespace {

enum How : std::int64_t {
  as_others,
  other_step,
  many_statistics,
  no_statistics,
  missing_statistics,
  returns_early,
  small_embedding,
  narrow_embedding,
  no_embedding,
  passes_over,
  validates_unasked,
  goes_on,
  any_positives,
  one_target
};

// As a solver in C may: without an array.
void end_first_step(const TrainingRef& training, std::uint64_t num_statistics) {
  const grevy_training* table = nullptr;
  static_assert(sizeof table == sizeof training);
  std::memcpy(&table, &training, sizeof table);
  std::uint32_t actions = 0;
  if (table->end_step(table->context, 0, nullptr, num_statistics, &actions, nullptr) != GREVY_OK)
    throw std::runtime_error("the host refused");
}

class Wrong : public Solver {
 public:
  struct Options {
    std::int64_t how = as_others;
    static constexpr auto fields() {
      return grevy::fields(field("how", &Options::how, "What it does wrong."));
    }
  };
  Wrong(const Options& options, const Context&) : how_(options.how) {}
  SolverInfo info() const override {
    SolverInfo wanted;
    if (how_ == any_positives) wanted.num_positives = 0;
    wanted.supervised = how_ == one_target;
    return wanted;
  }
  void fit(const TrainingRef& training) override {
    const Statistic one{"total", 1};
    if (how_ == returns_early) return;
    if (how_ == other_step) training.end_step(5, {one});
    if (how_ == many_statistics) training.end_step(0, Statistics(4097, one));
    if (how_ == no_statistics) end_first_step(training, 0);
    if (how_ == missing_statistics) end_first_step(training, 1);
    if (how_ == no_statistics || how_ == missing_statistics) return;
    if (how_ == validates_unasked) training.end_validation(0, {NAN, {}});
    try {
      Solver::fit(training);
    } catch (const std::exception&) {
      if (how_ != passes_over) throw;
    }
    if (how_ == goes_on) training.end_step(training.num_steps(), {{"total", NAN}});
  }
  Validation validate(const LoaderRef& loader) override {
    if (how_ == one_target) throw Error(ErrorCode::unimplemented, "validates nothing");
    return Solver::validate(loader);
  }
  at::Tensor transform(std::int64_t session, const at::Tensor& samples) override {
    const at::Tensor embedding = Solver::transform(session, samples);
    if (how_ == narrow_embedding) return embedding.slice(1, 1);
    if (how_ == no_embedding) return {};
    return how_ == small_embedding ? embedding.slice(0, 1) : embedding;
  }

 private:
  std::int64_t how_;
};

// The loss is 0, of no fewer than 8 negatives.
class ManyNegatives : public ContrastiveCriterion {
 public:
  using Options = NoOptions;
  ManyNegatives(const Options&, const Context&) {}
  Loss compute(const Prediction& p) override {
    if (p.negative.size(0) < 8) throw Error(ErrorCode::invalid_value, "needs 8 negatives");
    const at::Tensor loss = 0 * p.reference.sum();
    return {loss, loss, loss};
  }
};

// The loss does not depend on anything.
class Constant : public ContrastiveCriterion {
 public:
  using Options = NoOptions;
  Constant(const Options&, const Context&) {}
  Loss compute(const Prediction&) override {
    const at::Tensor loss = at::ones({});
    return {loss, loss, loss};
  }
};

// Trains, and embeds nothing.
class NeverEmbeds : public Model {
 public:
  using Options = NoOptions;
  NeverEmbeds(const Options&, const Context& context)
      : num_input_(context.num_input), weight_(parameter("weight", at::ones({num_input_, 3}))) {}
  ModelInfo info() const override {
    ModelInfo shape;
    shape.num_input = num_input_;
    shape.num_output = 3;
    shape.offset = {0, 1};
    return shape;
  }
  at::Tensor forward(const at::Tensor& windows) override {
    if (!is_training()) throw Error(ErrorCode::unimplemented, "embeds nothing");
    return windows.flatten(1).matmul(weight_);
  }

 private:
  std::int64_t num_input_;
  at::Tensor weight_;
};

}  // namespace

GREVY_REGISTER(Constant, "constant-loss", "Depends on nothing.")
GREVY_REGISTER(NeverEmbeds, "never-embeds", "Trains, and embeds nothing.")
GREVY_REGISTER(Wrong, "wrong-solver", "Calls back wrongly.")
GREVY_REGISTER(ManyNegatives, "many-negatives", "Needs 8 negatives.")
extern "C" const grevy_plugin* grevy_plugin_entry_v1();  // registry_test.cpp

namespace {

json small_experiment() {
  return {{"model", {{"name", "offset1-model"}, {"num_output", 3}, {"num_units", 4}}},
          {"training", {{"num_steps", 3}, {"batch_size", 8}}}};
}

Trainer wrong_trainer(Host& host, How how, const char* non_finite = "stop") {
  json document = small_experiment();
  document["training"]["non_finite"] = non_finite;
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
  CHECK(contains(refusal_of(missing_statistics), "the solver reported 1 statistics; must be"));
  CHECK(contains(refusal_of(no_statistics), "returned after step 1 of 3"));
  CHECK(contains(refusal_of(returns_early), "returned after step 0 of 3"));
  Trainer trainer = wrong_trainer(host, small_embedding);
  CHECK(contains(refusal([&] {
                   trainer.transform(at::zeros({10, 2}));
                 }),
                 "returned shape [9, 3]; needed: [10, 3]"));
  Stream stream(trainer);
  const float sample[2] = {};
  float embedding[3];
  CHECK(contains(refusal([&] { stream.push(sample, embedding); }),
                 "returned 0 numbers for one window; needed: 3"));
  Trainer narrow = wrong_trainer(host, narrow_embedding);
  CHECK(contains(refusal([&] {
                   narrow.transform(at::zeros({10, 2}));
                 }),
                 "returned shape [10, 2]; needed: [10, 3]"));
  Trainer without = wrong_trainer(host, no_embedding);
  CHECK(contains(refusal([&] {
                   without.transform(at::zeros({10, 2}));
                 }),
                 "the embedding must have two axes"));
}

TEST_CASE("what is not finite outside a step of the training is no step to leave out") {
  const auto refusal_of = [&](How how) {
    Trainer trainer = wrong_trainer(host_of_wrong(), how, "skip");
    const std::string text = refusal([&] { trainer.fit(); });
    CHECK(trainer.num_skipped() == 0);
    return text;
  };
  CHECK(contains(refusal_of(other_step), "the solver reported step 5; expected 0"));
  const std::string early = refusal_of(validates_unasked), late = refusal_of(goes_on);
  CHECK_MESSAGE(contains(early, "step 0 (counted from 0): the validation loss is nan"), early);
  CHECK_MESSAGE(contains(late, "step 3 (counted from 0): \"total\" is nan"), late);
}

TEST_CASE("a solver for any number of positives trains with a criterion of one loss") {
  Trainer trainer = wrong_trainer(host_of_wrong(), any_positives);
  CHECK(trainer.solver_info().num_positives == 0);
  CHECK(trainer.fit());
}

TEST_CASE("a solver that wants one target gets one, and need not validate") {
  Host& host = host_of_wrong();
  const auto fit_with = [&](const json& targets) {
    json document = small_experiment();
    document["model"]["num_output"] = 1;
    document["criterion"] = {{"name", "nn.MSELoss"}};
    document["solver"] = {{"name", "wrong-solver"}, {"how", one_target}};
    document["sampling"] = {{"targets", targets}};
    Trainer(host, Experiment(host, document), made_recording(50, 2, 1)).fit();
  };
  CHECK(refusal([&] { fit_with({"position"}); }) == "no error");
  const std::string two = refusal([&] { fit_with({"position", "direction"}); });
  CHECK_MESSAGE(contains(two, "the solver works with 1 set(s) of targets; found 2"), two);
}

TEST_CASE("targets beyond any finite loss are found by the step that meets them") {
  Recording recording(made_recording(50, 2, 1).neural());
  recording.add_continuous("far", at::full({50, 3}, 1e30));
  json document = small_experiment();
  const json objective = {{"slice", {0, 3}}, {"loss", {{"name", "nn.MSELoss"}}}, {"label", "far"}};
  document["objectives"] = json::array({objective});
  document["solver"] = {{"name", "supervised-solver-xcebra"}};
  Trainer trainer = trainer_of(document, {recording});
  const std::string text = refusal([&] { trainer.fit(); });
  CHECK_MESSAGE(contains(text, "step 0 (counted from 0): "), text);
  CHECK_MESSAGE(contains(text, "is inf; it must be finite"), text);
}

TEST_CASE("a criterion that cannot compare with a few negatives has no chance level") {
  Host& host = host_of_wrong();
  json document = small_experiment();
  document["criterion"] = {{"name", "many-negatives"}};
  const Recording recording = made_recording(50, 2, 1);
  const Trainer trainer(host, Experiment(host, document), recording);
  const HeldOut found = trainer.loss_on({recording}, 1);
  CHECK(found.loss == 0);
  CHECK(std::isnan(found.chance));
}

TEST_CASE("without a save frequency only the end is stored") {
  json document = small_experiment();
  document["training"]["save_frequency"] = nullptr;
  Trainer trainer = trainer_of(document, {made_recording(50, 2, 1)});
  std::vector<std::int64_t> stored;
  FitCallbacks callbacks;
  callbacks.on_checkpoint = [&](std::int64_t step) { stored.push_back(step); };
  CHECK(trainer.fit(callbacks));
  CHECK(stored == std::vector<std::int64_t>{3});
}

TEST_CASE("a plugin that is linked into the application has no file to be hashed") {
  const Trainer trainer = wrong_trainer(host_of_wrong(), as_others);
  const json& plugins = trainer.plugins();
  const auto own = std::find_if(plugins.begin(), plugins.end(),
                                [](const json& p) { return p.at("id") == "tests.application"; });
  REQUIRE(own != plugins.end());
  CHECK(own->at("sha256").is_null());
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

TEST_CASE("a loss without a gradient, and a model that cannot embed") {
  Host& host = host_of_wrong();
  const auto trained_with = [&](const char* kind, const char* name) {
    json document = small_experiment();
    document[kind] = {{"name", name}};
    return Trainer(host, Experiment(host, document), made_recording(50, 2, 1));
  };
  Trainer constant = trained_with("criterion", "constant-loss");
  CHECK(constant.memory().needed() > 0);
  CHECK(contains(refusal([&] { constant.fit(); }), "grad"));

  CHECK(contains(refusal([&] { trained_with("model", "never-embeds"); }), "embeds nothing"));
}

// Solvers: short trainings on a simulated recording, with built-in models and criterions.
#include "check.hpp"

#include <grevy/host/simulate.hpp>
#include <grevy/host/trainer.hpp>

#include <cmath>
#include <numeric>

namespace grevy::cli {
namespace {

using nlohmann::json;
using Recordings = std::vector<host::Recording>;
using Sessions = SolverInfo::Sessions;

constexpr std::int64_t kTrain = 400, kHeldOut = 100;  // samples

// The position of a simulated animal, and cells that tell it with little noise, so that a short
// training must get somewhere.
host::Recording simulated(host::Random random, std::int64_t channels) {
  host::SimulationOptions options;
  options.num_samples = kTrain + kHeldOut;
  options.num_neurons = 1;
  options.seed = random.next();
  const host::SimulatedRecording made = host::simulate(options);
  const at::Tensor position = at::tensor(made.position).unsqueeze(1);
  const at::Tensor fields = at::linspace(0, options.track_length, channels).unsqueeze(0);
  const double width = options.track_length / static_cast<double>(channels);
  const at::Tensor noise = normal(random, {options.num_samples, channels}) * 0.1;
  host::Recording recording(((position - fields) / width).square().neg().exp() + noise);
  recording.add_continuous("position", position);
  recording.add_discrete("direction", at::tensor(made.direction));
  return recording;
}

// ---- an experiment that gives a solver what its info() wants -----------------------------------

void sample_pairs(json& document, std::int64_t sets) {
  const json by_label = {
      {"conditional", "time_delta"}, {"continuous", {"position"}}, {"time_offset", 5}};
  const json in_time = {{"conditional", "time"}, {"time_offset", 5}};
  document["sampling"] = by_label;
  if (sets < 2) return;
  document["sampling"] = {{"positives", json::array()}};
  for (std::int64_t i = 0; i < sets; ++i)
    document["sampling"]["positives"].push_back(i % 2 == 0 ? by_label : in_time);
}

void predict_labels(json& document, std::int64_t sets) {
  document["model"] = {{"name", "offset1-model-mse"}, {"num_output", 1}};
  document["criterion"] = {{"name", "nn.MSELoss"}};
  document["sampling"]["targets"] = json::array();
  for (std::int64_t i = 0; i < sets; ++i) document["sampling"]["targets"].push_back("position");
}

// For solvers that work with any number of sets: a slice of the embedding for each.
void set_objectives(json& document, bool supervised) {
  document["model"] = {{"name", "offset1-model-mse"}, {"num_output", 3}};
  document["objectives"] = {{{"slice", {0, 1}}}, {{"slice", {1, 3}}}};
  json& first = document["objectives"][0];
  json& second = document["objectives"][1];
  if (supervised) {
    first.update({{"loss", {{"name", "nn.MSELoss"}}}, {"label", "position"}});
    second.update({{"loss", {{"name", "nn.CrossEntropyLoss"}}}, {"label", "direction"}});
    return;
  }
  const json loss = {{"name", "FixedEuclideanInfoNCE"}};
  first.update({{"loss", loss}, {"distribution", {{"name", "time"}, {"time_offset", 5}}}});
  second.update(
      {{"loss", loss},
       {"distribution", {{"name", "time_delta"}, {"label_name", "position"}, {"time_delta", 5}}}});
}

json document_for(const Subject& subject, const SolverInfo& info, std::int64_t num_steps) {
  json document = {{"seed", subject.target().seed},
                   {"threads", 1},
                   {"model", {{"name", "offset1-model"}, {"num_units", 16}, {"num_output", 3}}},
                   {"solver", subject.options()},
                   {"optimizer", {{"learning_rate", 0.01}}},
                   {"training", {{"num_steps", num_steps}}}};
  document["solver"]["name"] = subject.full_name();
  if (!info.full_batch) document["training"]["batch_size"] = 64;
  if (info.num_positives == 0)
    set_objectives(document, info.supervised);
  else if (info.supervised)
    predict_labels(document, info.num_positives);
  else
    sample_pairs(document, info.num_positives);
  return document;
}

// ---- trainers ----------------------------------------------------------------------------------

class Bench {
 public:
  explicit Bench(const Subject& subject) : subject_(subject), info_(subject.make_solver()->info()) {
    add(simulated(subject.random("first recording"), Subject::num_channels));
    if (info_.sessions != Sessions::one)
      add(simulated(subject.random("second recording"), Subject::num_channels + 2));
  }

  host::Trainer make(std::int64_t num_steps, const json& changes = json::object()) const {
    json document = document_for(subject_, info_, num_steps);
    document.merge_patch(changes);
    try {
      host::Host& host = subject_.host();
      return host::Trainer(host, host::Experiment(host, document), train_, held_out_);
    } catch (const PluginError& e) {
      if (e.operation() != "attach" || e.code() != ErrorCode::invalid_value) throw;
      throw Skipped(std::string("needs other parts than these checks have: ") + e.message());
    }
  }

 private:
  void add(const host::Recording& recording) {
    train_.push_back(recording.slice(0, kTrain));
    held_out_.push_back(recording.slice(kTrain, kTrain + kHeldOut));
  }

  const Subject& subject_;
  SolverInfo info_;
  Recordings train_, held_out_;
};

double total_of(const Statistics& statistics) {
  for (const Statistic& s : statistics)
    if (s.name == "total") return s.value;
  throw Failed("the statistics of a step have no \"total\"");
}

// The totals of all steps that are left.
std::vector<double> fit(host::Trainer& trainer) {
  std::vector<double> totals;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) {
    totals.push_back(total_of(report.statistics));
  };
  trainer.fit(callbacks);
  return totals;
}

void expect_same(const NamedTensors& found, const NamedTensors& expected, const char* what) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!at::equal(found.at(i).tensor, expected[i].tensor))
      throw Failed(
          std::string(what) + ": \"" + expected[i].name + "\" differs by up to " +
          std::to_string((found[i].tensor - expected[i].tensor).abs().max().item<double>()));
}

// ---- the checks --------------------------------------------------------------------------------

void total(const Subject& subject) {
  host::Trainer trainer = Bench(subject).make(3);
  const std::size_t reported = fit(trainer).size();
  if (reported != 3)
    throw Failed("3 steps were to be made; " + std::to_string(reported) + " were reported");
}

double mean(std::vector<double>::const_iterator begin, std::vector<double>::const_iterator end) {
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

void loss_falls(const Subject& subject) {
  constexpr std::int64_t steps = 60, part = 10;
  host::Trainer trainer = Bench(subject).make(steps);
  const std::vector<double> totals = fit(trainer);
  const double before = mean(totals.begin(), totals.begin() + part);
  const double after = mean(totals.end() - part, totals.end());
  if (!(after < before))
    throw Failed("the mean loss of the first " + std::to_string(part) + " steps is " +
                 std::to_string(before) + ", of the last of " + std::to_string(steps) + " " +
                 std::to_string(after));
}

void resume(const Subject& subject) {
  const Bench bench(subject);
  const std::filesystem::path file = subject.target().folder / "checkpoint.safetensors";
  host::Trainer whole = bench.make(8), first = bench.make(4), second = bench.make(8);
  fit(whole);
  fit(first);
  first.save(file);
  second.load(file);
  fit(second);
  expect_same(second.tensors(), whole.tensors(), "8 steps, and 4 + 4 through a checkpoint");
}

void stop(const Subject& subject) {
  host::Trainer trainer = Bench(subject).make(50);
  host::FitCallbacks callbacks;
  callbacks.should_stop = [&] { return trainer.step() >= 3; };
  trainer.fit(callbacks);
  if (trainer.step() != 3)
    throw Failed("was told to stop after step 3 and made " + std::to_string(trainer.step()));
}

void validation(const Subject& subject) {
  const Bench bench(subject);
  host::Trainer without = bench.make(6);
  host::Trainer with =
      bench.make(6, {{"training", {{"valid_frequency", 2}, {"valid_batches", 2}}}});
  fit(without);
  std::size_t count = 0;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) {
    count += report.validation_loss ? 1 : 0;
  };
  with.fit(callbacks);
  if (count != 3)
    throw Failed("3 validations were asked for; " + std::to_string(count) + " were made");
  expect_same(with.tensors(), without.tensors(), "trainings with and without validations");
}

// Masks need windows; this one is too narrow to hide a channel.
void samples(const Subject& subject) {
  if (!subject.make_solver()->takes_samples()) throw Skipped("takes windows only");
  const Bench bench(subject);
  const json model = {{"model", {{"name", "offset10-model-mse"}, {"num_units", 16}}}};
  json windows = model;
  windows["sampling"] = {{"masks", {{"NeuronBlockMask", 0.001}}}};
  host::Trainer by_sample = bench.make(4, model), by_window = bench.make(4, windows);
  const std::vector<double> found = fit(by_sample), expected = fit(by_window);
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(found.at(i) - expected[i]) <= 1e-3 * (1 + std::abs(expected[i]))))
      throw Failed("the loss of step " + std::to_string(i) + " is " + std::to_string(found[i]) +
                   " from sample numbers, " + std::to_string(expected[i]) + " from windows");
}

void embedding(const Subject& subject) {
  const Bench bench(subject);
  const host::Trainer trainer = bench.make(1);
  const std::int64_t channels = trainer.model_info().num_input;
  host::Random random = subject.random("samples");
  const at::Tensor samples = normal(random, {50, channels}).to(at::kFloat);
  const at::Tensor first = trainer.transform(samples), second = trainer.transform(samples);
  if (first.size(0) != 50)
    throw Failed("50 samples gave " + std::to_string(first.size(0)) + " embeddings");
  if (!at::equal(first, second)) throw Failed("the same samples gave other embeddings");
}

}  // namespace

Checks solver_checks() {
  return {
      {"total", total, "steps are made and each one's statistics have \"total\"",
       "report {\"total\", loss} from step(); call end_step() after each step of fit()", true},
      {"loss-falls", loss_falls, "training makes the loss smaller",
       "zero_grad(), backward(), step(), in this order; the loss must keep its graph"},
      {"resume", resume, "a training that is stored and goes on equals one that never stopped",
       "state beyond tensors goes through save_state() and load_state(); seed generators from "
       "Context::seed and the step"},
      {"stop", stop, "a request to stop is obeyed at once",
       "leave fit() when end_step() answers with stop"},
      {"validation", validation, "validations leave the training as it was",
       "validate() without gradients, in evaluation mode, and restore the mode"},
      {"samples", samples, "sample numbers train like the windows they stand for",
       "embed with embed() or embed_sets(); or say takes_samples() false"},
      {"embedding", embedding, "new samples are embedded, the same each time",
       "transform() in evaluation mode, without gradients"},
  };
}

}  // namespace grevy::cli

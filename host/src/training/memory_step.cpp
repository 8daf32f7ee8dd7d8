#include "training/memory_step.hpp"

#include "training/memory_probe.hpp"
#include "training/trial_batch.hpp"

#include <grevy/host/random.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace grevy::host {
namespace {

// Steps with a share of the samples, of 1 to 4 quarters. Where windows overlap, they come from as
// small a share of the recording, so that they overlap as much.
class SmallStep {
 public:
  SmallStep(const Network& network, const SamplingSpec& spec, const std::vector<Recording>& train)
      : network_(network), spec_(spec), train_(train) {
    double rows = 0, windows = 0;
    for (std::size_t s = 0; s < train.size(); ++s) {
      sizes_.push_back(size_of_step(network, spec, train, s));
      const StepSize& size = sizes_.back();
      const bool whole = network.solver_info.full_batch;  // each window once
      const std::int64_t count = whole ? size.references : size.windows();
      const auto apart = static_cast<double>(count * size.length);
      windows += apart;
      rows += overlap() ? std::min(apart, static_cast<double>(size.places + size.length)) : apart;
    }
    // Rows that are worth a measurement, and no more windows than it may take time for.
    constexpr double wanted = 768, most_apart = 16384;
    const auto sessions = static_cast<double>(train.size());
    const double few = std::min({1.0, wanted * sessions / rows, most_apart * sessions / windows});
    // Whole references in each quarter.
    const auto references = static_cast<double>(sizes_.front().references);
    share_ = 4 * std::max(std::floor(few * references / 4), 1.0) / references;
  }

  double share() const { return share_; }

  MemoryUse use(std::int64_t quarters, double* beside = nullptr) const {
    const FixedLoader loader(batches(quarters));
    return use_of_step(*network_.solver, loader.table(), beside);
  }

  // The loss of as many samples; none: of a whole step.
  double use_of_loss(std::int64_t quarters) const {
    std::int64_t references = 0, negatives = 0;
    for (const StepSize& size : sizes_) {
      references += quarters == 0 ? size.references : quarters * quarter(size.references);
      negatives += quarters == 0 ? size.negatives : quarters * quarter(size.negatives);
    }
    const CriterionInfo info = network_.criterion->info();
    const std::size_t losses = info.parts_are_losses ? info.parts.size() : 1;
    const MemoryUse use = host::use_of_loss(*network_.criterion, losses, references, negatives,
                                            network_.infos.front().num_output);
    const auto times = info.parts_are_losses ? 1 : static_cast<double>(spec_.positives.size());
    return use.most + (times - 1) * use.held;
  }

 private:
  bool overlap() const { return network_.solver_info.full_batch || gives_samples(network_, spec_); }

  std::int64_t quarter(std::int64_t count) const {
    const auto rounded = std::llround(static_cast<double>(count) * share_ / 4);
    return count == 0 ? 0 : std::max<std::int64_t>(rounded, 1);
  }

  std::vector<Batch> batches(std::int64_t quarters) const {
    if (gives_samples(network_, spec_)) {
      std::vector<Batch> all;
      for (std::size_t s = 0; s < train_.size(); ++s) all.push_back(placed(s, quarters));
      return all;
    }
    std::vector<TrialSamples> samples;
    for (std::size_t s = 0; s < train_.size(); ++s) {
      TrialSamples some{{}, quarters * quarter(sizes_[s].negatives)};
      for (std::int64_t i = 0; i < quarters * quarter(sizes_[s].references); ++i)
        some.references.push_back(i % train_[s].num_samples());
      samples.push_back(some);
    }
    return trial_batches(network_, at::kCPU, spec_, train_, samples);
  }

  // Sample numbers, and so much of the series. The first quarters are those of smaller steps.
  Batch placed(std::size_t session, std::int64_t quarters) const {
    const StepSize& size = sizes_[session];
    const std::int64_t places = std::min(quarters * quarter(size.places), size.places);
    Batch batch;
    batch.session = static_cast<std::int64_t>(session);
    batch.series = train_[session].neural().slice(0, 0, places + size.length - 1);
    const auto set = [&](const std::string& name, std::int64_t count) {
      Random random(network_.experiment.seed(), "memory of " + name);
      std::vector<std::int64_t> starts;
      for (std::int64_t q = 0; q < quarters; ++q)
        for (std::int64_t i = 0; i < quarter(count); ++i)
          starts.push_back(
              std::min(q * quarter(size.places) + random.below(quarter(size.places)), places - 1));
      const std::int64_t left = network_.info(static_cast<std::int64_t>(session)).offset.left;
      return at::tensor(starts, at::kLong) + left;
    };
    batch.reference = set("references", size.references);
    const std::int64_t count = batch.reference.size(0);
    for (const std::string& name : spec_.targets)
      batch.positives.push_back(train_[session].label(name).values.slice(0, 0, count));
    for (std::int64_t i = 0; i < size.sets; ++i)
      batch.positives.push_back(set("positives " + std::to_string(i), size.references));
    if (!network_.solver_info.supervised) batch.negative = set("negatives", size.negatives);
    return batch;
  }

  const Network& network_;
  const SamplingSpec& spec_;
  const std::vector<Recording>& train_;
  std::vector<StepSize> sizes_;
  double share_ = 1;
};

// A line through what both sizes of a step take.
struct Line {
  double half, whole, share;
  double at_zero() const { return std::max(2 * half - whole, 0.0); }
  double at_one() const {
    return std::max(whole + std::max(whole - half, 0.0) * 2 * (1 - share) / share, 0.0);
  }
};

}  // namespace

bool gives_samples(const Network& network, const SamplingSpec& spec) {
  return network.takes_samples() && spec.masks.empty() && !network.is_joined();
}

StepSize size_of_step(const Network& network, const SamplingSpec& spec,
                      const std::vector<Recording>& train, std::size_t session) {
  const SolverInfo& solver = network.solver_info;
  const std::int64_t samples = train[session].num_samples();
  StepSize size;
  size.length = network.info(static_cast<std::int64_t>(session)).offset.length();
  size.places = std::max<std::int64_t>(samples - size.length + 1, 1);
  size.references = solver.full_batch ? samples : network.experiment.batch_size();
  size.negatives = solver.full_batch ? samples : network.experiment.num_negatives();
  if (solver.supervised) size.negatives = 0;
  size.sets = static_cast<std::int64_t>(spec.positives.size());
  return size;
}

// The first step is for what is made once. Each is larger than the one before, so that a buffer
// that a model keeps is too small for the next one.
StepUse use_of_training_step(const Network& network, const SamplingSpec& spec,
                             const std::vector<Recording>& train) {
  const SmallStep step(network, spec, train);
  const double parameters = bytes_of(network.tensors(), true);
  double beside = 0;
  step.use(1, &beside);
  const MemoryUse small = step.use(2), large = step.use(4);
  const Line all{small.most, large.most, step.share()};
  const Line kept{small.held, large.held, step.share()};
  clear_gradients(network.tensors());
  StepUse use;
  use.activations = all.at_one() - std::min(all.at_zero(), parameters);
  use.kept = std::min(kept.at_one(), use.activations);
  use.copies = std::min(beside, 4 * parameters);
  if (network.solver_info.supervised) return use;
  const Line loss{step.use_of_loss(2), step.use_of_loss(4), step.share()};
  use.activations = std::max(use.activations - loss.at_one(), use.kept);
  use.loss = std::max(step.use_of_loss(0), loss.at_one());
  return use;
}

}  // namespace grevy::host

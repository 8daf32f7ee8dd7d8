#include "sampling/batch_sampler.hpp"

#include "sampling/label_view.hpp"

#include <algorithm>
#include <numeric>

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;

// References must have a positive in every set: with `time`, the longest way decides.
std::size_t strictest(const std::vector<PositiveSpec>& sets) {
  std::size_t found = 0;
  std::int64_t farthest = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].options.conditional != Conditional::time) continue;
    if (sets[i].options.time_offset > farthest) found = i;
    farthest = std::max(farthest, sets[i].options.time_offset);
  }
  return found;
}

void shuffle(Random& random, Samples& samples) {
  for (std::size_t i = samples.size(); i > 1; --i)
    std::swap(samples[i - 1],
              samples[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
}

// ---- one session -------------------------------------------------------------------------------

// References and negatives come from one prior; each set of positives has its own conditional.
class SingleSampler : public BatchSampler {
 public:
  SingleSampler(const SamplingSpec& spec, const Recording& recording, const BatchShape& shape)
      : shape_(shape), strictest_(strictest(spec.positives)) {
    for (const PositiveSpec& set : spec.positives)
      sets_.push_back(make_distribution(set.options, LabelView(recording, set).labels()));
    if (!shape_.complete.empty()) keep_those_with_positives();
  }

  StepDraw draw(Random& random) const override {
    SampleDraw d;
    if (complete_.empty()) {
      draw_prior(random, d);
    } else {
      d.reference = d.negative = complete_;
      shuffle(random, d.negative);
    }
    for (const auto& set : sets_) {
      d.positives.emplace_back(d.reference.size());
      set->conditional(random, d.reference.data(), static_cast<std::int64_t>(d.reference.size()),
                       d.positives.back().data());
    }
    return {{std::move(d)}, {}, {}};
  }
  std::int64_t num_compared() const override {
    return complete_.empty() ? shape_.num_negatives : static_cast<std::int64_t>(complete_.size());
  }

 private:
  void draw_prior(Random& random, SampleDraw& d) const {
    Samples drawn(static_cast<std::size_t>(shape_.num_references + shape_.num_negatives));
    sets_[strictest_]->prior(random, static_cast<std::int64_t>(drawn.size()), drawn.data());
    const auto middle = drawn.begin() + shape_.num_references;
    d.reference.assign(drawn.begin(), middle);
    d.negative.assign(middle, drawn.end());
  }

  void keep_those_with_positives() {
    for (const std::int64_t sample : shape_.complete.front())
      if (sets_[strictest_]->has_positive(sample)) complete_.push_back(sample);
    if (complete_.empty())
      throw Error(ErrorCode::invalid_value,
                  "no sample has both a complete window and a positive in the recording");
  }

  BatchShape shape_;
  std::size_t strictest_;
  std::vector<std::unique_ptr<Distribution>> sets_;
  Samples complete_;
};

// Every sample may be a reference; one that comes too late for its positive in time shares the last
// sample of its trial.
class ClampedSampler : public BatchSampler {
 public:
  ClampedSampler(const SamplingSpec& spec, const Recording& recording, const BatchShape& shape)
      : shape_(shape), num_samples_(recording.num_samples()), trials_(recording.trials()) {
    if (trials_.empty()) trials_ = {0};
    for (const PositiveSpec& set : spec.positives) {
      const bool in_time = set.options.conditional == Conditional::time;
      time_offsets_.push_back(in_time ? set.options.time_offset : 0);
      sets_.push_back(make_distribution(set.options, LabelView(recording, set).labels()));
    }
  }

  StepDraw draw(Random& random) const override {
    SampleDraw d;
    for (std::int64_t i = 0; i < shape_.num_references; ++i)
      d.reference.push_back(random.below(num_samples_));
    for (std::int64_t i = 0; i < shape_.num_negatives; ++i)
      d.negative.push_back(random.below(num_samples_));
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      Samples positives(d.reference.size());
      if (time_offsets_[i] == 0)
        sets_[i]->conditional(random, d.reference.data(), shape_.num_references, positives.data());
      for (std::size_t k = 0; time_offsets_[i] != 0 && k < positives.size(); ++k)
        positives[k] = std::min(d.reference[k] + time_offsets_[i], last_of_trial(d.reference[k]));
      d.positives.push_back(std::move(positives));
    }
    return {{std::move(d)}, {}, {}};
  }
  std::int64_t num_compared() const override { return shape_.num_negatives; }

 private:
  std::int64_t last_of_trial(std::int64_t sample) const {
    const auto next = std::upper_bound(trials_.begin(), trials_.end(), sample);
    return (next == trials_.end() ? num_samples_ : *next) - 1;
  }

  BatchShape shape_;
  std::int64_t num_samples_;
  Samples trials_;
  std::vector<std::unique_ptr<Distribution>> sets_;
  std::vector<std::int64_t> time_offsets_;  // 0: another conditional
};

// References alone: their targets are labels.
class ReferenceSampler : public BatchSampler {
 public:
  ReferenceSampler(const Recording& recording, const BatchShape& shape)
      : count_(shape.num_references), num_samples_(recording.num_samples()) {}
  StepDraw draw(Random& random) const override {
    SampleDraw d;
    for (std::int64_t i = 0; i < count_; ++i) d.reference.push_back(random.below(num_samples_));
    return {{std::move(d)}, {}, {}};
  }
  std::int64_t num_compared() const override { return 0; }

 private:
  std::int64_t count_, num_samples_;
};

// ---- several sessions --------------------------------------------------------------------------

class SessionsSampler : public BatchSampler {
 public:
  SessionsSampler(const SamplingSpec& spec, const std::vector<Recording>& sessions,
                  const BatchShape& shape)
      : shape_(shape), strictest_(strictest(spec.positives)) {
    for (const PositiveSpec& set : spec.positives)
      sets_.push_back(make_for_sessions<SessionDistribution>(set, sessions));
    for (std::size_t s = 0; s < shape_.complete.size(); ++s) keep_those_with_positives(s);
  }

  StepDraw draw(Random& random) const override {
    StepDraw step;
    Samples references, counts;
    for (std::int64_t s = 0; s < sets_.front().num_sessions(); ++s) {
      step.sessions.push_back(draw_session(random, s));
      const Samples& own = step.sessions.back().reference;
      references.insert(references.end(), own.begin(), own.end());
      counts.push_back(static_cast<std::int64_t>(own.size()));
    }
    for (const SessionDistribution& set : sets_) {
      SessionDraw d = set.conditional(random, references, counts);
      auto next = d.positives.begin();
      for (std::size_t s = 0; s < counts.size(); ++s, next += counts[s - 1])
        step.sessions[s].positives.emplace_back(next, next + counts[s]);
      step.index.push_back(std::move(d.index));
      step.index_reversed.push_back(std::move(d.index_reversed));
    }
    return step;
  }
  std::int64_t num_compared() const override {
    std::int64_t count =
        complete_.empty() ? sets_.front().num_sessions() * shape_.num_negatives : 0;
    for (const Samples& session : complete_) count += static_cast<std::int64_t>(session.size());
    return count;
  }

 private:
  SampleDraw draw_session(Random& random, std::int64_t session) const {
    SampleDraw d;
    if (!complete_.empty()) {
      d.reference = d.negative = complete_[static_cast<std::size_t>(session)];
      shuffle(random, d.negative);
      return d;
    }
    d.reference.resize(static_cast<std::size_t>(shape_.num_references));
    d.negative.resize(static_cast<std::size_t>(shape_.num_negatives));
    const SessionDistribution& prior = sets_[strictest_];
    prior.prior(random, session, shape_.num_references, d.reference.data());
    prior.prior(random, session, shape_.num_negatives, d.negative.data());
    return d;
  }

  void keep_those_with_positives(std::size_t session) {
    complete_.emplace_back();
    for (const std::int64_t sample : shape_.complete[session])
      if (sets_[strictest_].has_positive(static_cast<std::int64_t>(session), sample))
        complete_.back().push_back(sample);
    if (complete_.back().empty())
      throw Error(ErrorCode::invalid_value, "no sample of session " + std::to_string(session) +
                                                " has both a complete window and a positive");
  }

  BatchShape shape_;
  std::size_t strictest_;
  std::vector<SessionDistribution> sets_;
  std::vector<Samples> complete_;
};

class UnifiedSampler : public BatchSampler {
 public:
  UnifiedSampler(const SamplingSpec& spec, const std::vector<Recording>& sessions,
                 const BatchShape& shape)
      : shape_(shape),
        distribution_(make_for_sessions<UnifiedDistribution>(spec.positives.front(), sessions)) {}

  StepDraw draw(Random& random) const override {
    const Samples reference = distribution_.prior(random, shape_.num_references);
    const Samples negative = distribution_.prior(random, shape_.num_negatives);
    const Samples positive = distribution_.conditional(random, reference, shape_.num_references);
    StepDraw step;
    for (std::int64_t s = 0; s < distribution_.num_sessions(); ++s)
      step.sessions.push_back({row(reference, s, shape_.num_references),
                               row(negative, s, shape_.num_negatives),
                               {row(positive, s, shape_.num_references)}});
    return step;
  }
  std::int64_t num_compared() const override { return shape_.num_negatives; }

 private:
  static Samples row(const Samples& all, std::int64_t session, std::int64_t count) {
    return {all.begin() + session * count, all.begin() + (session + 1) * count};
  }

  BatchShape shape_;
  UnifiedDistribution distribution_;
};

}  // namespace

std::unique_ptr<BatchSampler> make_batch_sampler(const SamplingSpec& spec,
                                                 const std::vector<Recording>& sessions,
                                                 const BatchShape& shape) {
  if (!spec.targets.empty()) return std::make_unique<ReferenceSampler>(sessions.front(), shape);
  if (shape.joined) return std::make_unique<UnifiedSampler>(spec, sessions, shape);
  if (sessions.size() > 1) return std::make_unique<SessionsSampler>(spec, sessions, shape);
  if (spec.clamp) return std::make_unique<ClampedSampler>(spec, sessions.front(), shape);
  return std::make_unique<SingleSampler>(spec, sessions.front(), shape);
}

}  // namespace grevy::host

#include <grevy/error.hpp>
#include <grevy/host/sampling.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

// Order of the draws, part of the repeatability promise: sample after sample as they are written.
// A prior takes below(limit), or below(classes) then below(samples in the class). A positive takes
// nothing (time), below(N) for k (time_delta), one normal per column (delta_normal) or
// below(samples in the class) (discrete).

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Prior = SamplingOptions::Prior;
using Classes = std::shared_ptr<const ClassTable>;

struct PriorDraw {
  std::int64_t limit = 0;   // samples come from [0, limit)
  Classes uniform_classes;  // or, where given, from a class of equal chance

  std::int64_t operator()(Random& random) const {
    return uniform_classes ? uniform_classes->draw_uniform_class(random) : random.below(limit);
  }
};

class BatchDistribution : public Distribution {
 public:
  BatchDistribution(PriorDraw prior_draw, std::int64_t num_references)
      : prior_draw_(std::move(prior_draw)), num_references_(num_references) {}

  void prior(Random& random, std::int64_t count, std::int64_t* samples) const final {
    for (std::int64_t i = 0; i < count; ++i) samples[i] = prior_draw_(random);
  }

  void conditional(Random& random, const std::int64_t* references, std::int64_t count,
                   std::int64_t* positives) const final {
    std::vector<double> query;
    for (std::int64_t i = 0; i < count; ++i) {
      check_reference(references[i]);
      positives[i] = positive(random, references[i], query);
    }
  }

 private:
  // `query` is scratch space that one call of conditional() shares.
  virtual std::int64_t positive(Random& random, std::int64_t reference,
                                std::vector<double>& query) const = 0;

  void check_reference(std::int64_t reference) const {
    if (reference >= 0 && reference < num_references_) return;
    throw Error(ErrorCode::out_of_range,
                "reference sample " + std::to_string(reference) +
                    ": the conditional distribution has positives for samples 0 to " +
                    std::to_string(num_references_ - 1));
  }

  PriorDraw prior_draw_;
  std::int64_t num_references_;
};

class TimeDistribution final : public BatchDistribution {
 public:
  TimeDistribution(std::int64_t num_samples, std::int64_t time_offset)
      : BatchDistribution({num_samples - time_offset, nullptr}, num_samples - time_offset),
        time_offset_(time_offset) {}

 private:
  std::int64_t positive(Random&, std::int64_t reference, std::vector<double>&) const override {
    return reference + time_offset_;
  }

  std::int64_t time_offset_;
};

class DiscreteDistribution final : public BatchDistribution {
 public:
  DiscreteDistribution(PriorDraw prior_draw, Classes classes)
      : BatchDistribution(std::move(prior_draw), classes->num_samples()),
        classes_(std::move(classes)) {}

 private:
  std::int64_t positive(Random& random, std::int64_t reference,
                        std::vector<double>&) const override {
    return classes_->draw_from_class(random, classes_->class_of(reference));
  }

  Classes classes_;
};

// Continuous labels with their trees: one for all samples, or one for each class.
class LabelSearch {
 public:
  LabelSearch(const SamplingLabels& labels, Classes classes)
      : num_samples_(labels.num_samples),
        width_(labels.width),
        values_(labels.continuous, labels.continuous + labels.num_samples * labels.width),
        classes_(std::move(classes)) {
    if (!classes_) trees_.emplace_back(values_.data(), num_samples_, width_);
    for (std::int64_t cls = 0; classes_ && cls < classes_->num_classes(); ++cls) {
      trees_.emplace_back(values_.data(), width_, classes_->samples(cls));
    }
  }

  std::int64_t num_samples() const { return num_samples_; }
  std::int64_t width() const { return width_; }
  const float* label(std::int64_t sample) const { return values_.data() + sample * width_; }

  // Nearest among the samples of the reference's class.
  std::int64_t find(std::int64_t reference, const std::vector<double>& query) const {
    const std::int64_t tree = classes_ ? classes_->class_of(reference) : 0;
    return trees_[static_cast<std::size_t>(tree)].find(query.data());
  }

 private:
  std::int64_t num_samples_;
  std::int64_t width_;
  std::vector<float> values_;
  Classes classes_;
  std::vector<NearestLabel> trees_;
};

// Shared by the conditionals that move the reference's label and look for the nearest sample.
class NearestDistribution : public BatchDistribution {
 public:
  NearestDistribution(PriorDraw prior_draw, LabelSearch search)
      : BatchDistribution(std::move(prior_draw), search.num_samples()),
        search_(std::move(search)) {}

 protected:
  const LabelSearch& search() const { return search_; }

 private:
  virtual void move_label(Random& random, std::vector<double>& query) const = 0;

  std::int64_t positive(Random& random, std::int64_t reference,
                        std::vector<double>& query) const override {
    const float* label = search_.label(reference);
    query.assign(label, label + search_.width());
    move_label(random, query);
    return search_.find(reference, query);
  }

  LabelSearch search_;
};

class TimeDeltaDistribution final : public NearestDistribution {
 public:
  TimeDeltaDistribution(PriorDraw prior_draw, LabelSearch labels, std::int64_t time_offset)
      : NearestDistribution(std::move(prior_draw), std::move(labels)), time_offset_(time_offset) {}

 private:
  void move_label(Random& random, std::vector<double>& query) const override {
    const std::int64_t k = random.below(search().num_samples());
    if (k < time_offset_) return;  // zero differences are part of the pool
    const float* now = search().label(k);
    const float* before = search().label(k - time_offset_);
    for (std::size_t column = 0; column < query.size(); ++column) {
      query[column] += static_cast<double>(now[column]) - static_cast<double>(before[column]);
    }
  }

  std::int64_t time_offset_;
};

class DeltaNormalDistribution final : public NearestDistribution {
 public:
  DeltaNormalDistribution(PriorDraw prior_draw, LabelSearch labels, double delta)
      : NearestDistribution(std::move(prior_draw), std::move(labels)), delta_(delta) {}

 private:
  void move_label(Random& random, std::vector<double>& query) const override {
    for (double& value : query) value += delta_ * random.normal();
  }

  double delta_;
};

enum class Need { never, optional, always };

struct Rule {
  Conditional conditional;
  const char* name;
  Need continuous;  // never: not looked at
  Need discrete;
  bool uses_time_offset;
  bool uses_delta;
};

constexpr Rule rules[] = {
    {Conditional::time, "time", Need::never, Need::never, true, false},
    {Conditional::time_delta, "time_delta", Need::always, Need::optional, true, false},
    {Conditional::delta_normal, "delta_normal", Need::always, Need::optional, false, true},
    {Conditional::discrete, "discrete", Need::never, Need::always, false, false},
};

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_value, "sampling: " + message);
}

const Rule& rule_of(Conditional conditional) {
  for (const Rule& rule : rules) {
    if (rule.conditional == conditional) return rule;
  }
  refuse("conditional number " + std::to_string(static_cast<int>(conditional)) +
         " is unknown; allowed are time, time_delta, delta_normal and discrete");
}

std::string quoted(const char* name) { return '"' + std::string(name) + '"'; }

void check_options(const Rule& rule, const SamplingOptions& options, std::int64_t num_samples) {
  const std::int64_t offset = options.time_offset;
  if (rule.uses_time_offset && (offset < 1 || offset >= num_samples)) {
    refuse("time_offset is " + std::to_string(offset) + ", conditional " + quoted(rule.name) +
           " allows 1 to below the number of samples, " + std::to_string(num_samples));
  }
  if (rule.uses_delta && !(options.delta > 0 && std::isfinite(options.delta))) {
    refuse("delta is " + std::to_string(options.delta) + ", conditional " + quoted(rule.name) +
           " needs a finite number above 0");
  }
}

void check_continuous(const Rule& rule, const SamplingLabels& labels) {
  if (rule.continuous == Need::never) return;
  if (labels.continuous == nullptr) {
    refuse(
        "conditional " + quoted(rule.name) +
        " needs a continuous label and none was given; without one \"time\" and \"discrete\" are "
        "allowed");
  }
  if (labels.width < 1 ||
      labels.num_samples > std::numeric_limits<std::int64_t>::max() / 8 / labels.width) {
    refuse("the continuous label has " + std::to_string(labels.num_samples) + " rows of width " +
           std::to_string(labels.width) +
           "; the width must be at least 1 and the size addressable");
  }
}

void check_discrete(const Rule& rule, const SamplingOptions& options,
                    const SamplingLabels& labels) {
  const bool given = labels.discrete != nullptr;
  if (given && rule.discrete == Need::never) {
    refuse("conditional " + quoted(rule.name) +
           " takes no discrete label but one was given; leave it out or use \"discrete\", "
           "\"time_delta\" or \"delta_normal\"");
  }
  if (!given && rule.discrete == Need::always) {
    refuse("conditional " + quoted(rule.name) + " needs a discrete label and none was given");
  }
  if (!given && options.prior == Prior::uniform) {
    refuse(
        "prior \"uniform\" needs a discrete label and none was given; without one \"empirical\" "
        "is allowed");
  }
  const auto found = given ? static_cast<std::int64_t>(labels.discrete->size()) : 0;
  if (given && found != labels.num_samples) {
    refuse("the discrete label has " + std::to_string(found) + " entries for " +
           std::to_string(labels.num_samples) + " samples; one for each sample is needed");
  }
}

}  // namespace

std::unique_ptr<Distribution> make_distribution(const SamplingOptions& options,
                                                const SamplingLabels& labels) {
  const Rule& rule = rule_of(options.conditional);
  if (labels.num_samples < 1) {
    refuse(std::to_string(labels.num_samples) + " samples were given, at least one is needed");
  }
  check_discrete(rule, options, labels);
  check_continuous(rule, labels);
  check_options(rule, options, labels.num_samples);

  const std::int64_t count = labels.num_samples;
  if (options.conditional == Conditional::time) {
    return std::make_unique<TimeDistribution>(count, options.time_offset);
  }
  const Classes classes =
      labels.discrete ? std::make_shared<const ClassTable>(*labels.discrete) : nullptr;
  PriorDraw prior{count, options.prior == Prior::uniform ? classes : nullptr};
  if (options.conditional == Conditional::discrete) {
    return std::make_unique<DiscreteDistribution>(std::move(prior), classes);
  }
  LabelSearch search(labels, classes);
  if (options.conditional == Conditional::delta_normal) {
    return std::make_unique<DeltaNormalDistribution>(std::move(prior), std::move(search),
                                                     options.delta);
  }
  return std::make_unique<TimeDeltaDistribution>(std::move(prior), std::move(search),
                                                 options.time_offset);
}

}  // namespace grevy::host

// What a distribution is made of: the parts of one recording that its draws look at.
#ifndef GREVY_HOST_SAMPLING_PARTS_HPP
#define GREVY_HOST_SAMPLING_PARTS_HPP

#include <grevy/host/sampling.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace grevy::host {

// Steps from a sample to the one `offset` later that stay inside a trial, numbered in the order of
// their starts. With offset 0 a step starts at every sample.
class TrialSteps {
 public:
  // trials: as in SamplingLabels, checked.
  TrialSteps(std::int64_t num_samples, const std::vector<std::int64_t>* trials,
             std::int64_t offset);

  std::int64_t offset() const { return offset_; }
  std::int64_t count() const { return before_.back(); }
  std::int64_t start(std::int64_t step) const;
  bool starts_at(std::int64_t sample) const;  // any number

 private:
  std::int64_t offset_;
  std::vector<std::int64_t> first_;   // sample of each trial; then the number of samples
  std::vector<std::int64_t> before_;  // steps before each trial; then the number of steps
};

// Continuous labels with their trees: one for all samples, or one for each class.
class LabelSearch {
 public:
  LabelSearch(const SamplingLabels& labels, const ClassTable* classes);

  std::int64_t width() const { return width_; }
  const float* label(std::int64_t sample) const { return values_.data() + sample * width_; }
  // Nearest among the samples of a class; class 0 is everything where there are no classes.
  std::int64_t find(std::int64_t cls, const double* query) const {
    return trees_[static_cast<std::size_t>(cls)].find(query);
  }

 private:
  std::int64_t width_;
  std::vector<float> values_;
  std::vector<NearestLabel> trees_;
};

// The label differences over time_offset samples. The zeros come first.
class DifferencePool {
 public:
  DifferencePool(std::shared_ptr<const LabelSearch> labels, TrialSteps steps,
                 std::int64_t num_zeros);

  std::int64_t count() const { return num_zeros_ + steps_.count(); }
  void add(std::int64_t difference, double* query) const;

 private:
  std::shared_ptr<const LabelSearch> labels_;
  TrialSteps steps_;
  std::int64_t num_zeros_;
};

// Whose differences a reference takes: its recording's, with zeros for the first time_offset
// samples where there are no trials, or without; or those of several recordings, of which one may
// have none.
enum class Differences { own_with_zeros, own, shared };

// One recording for one set of options.
class SamplingParts {
 public:
  // Errors: those of make_distribution.
  SamplingParts(const SamplingOptions& options, const SamplingLabels& labels,
                Differences differences);

  const SamplingOptions& options() const { return options_; }
  const TrialSteps& references() const { return references_; }  // steps start where positives exist
  const ClassTable* classes() const { return classes_.get(); }  // null without a discrete label
  // Null where the conditional looks at no continuous label.
  const LabelSearch* search() const { return search_.get(); }
  const DifferencePool* pool() const { return pool_.get(); }  // time_delta only

  std::int64_t class_of(std::int64_t sample) const {
    return classes_ ? classes_->class_of(sample) : 0;
  }
  std::int64_t draw_reference(Random& random) const;
  // Errors: out_of_range for a sample without a positive.
  void check_reference(std::int64_t sample) const;

 private:
  SamplingOptions options_;
  TrialSteps references_;
  std::unique_ptr<const ClassTable> classes_;
  std::shared_ptr<const LabelSearch> search_;
  std::unique_ptr<const DifferencePool> pool_;
};

std::unique_ptr<Distribution> make_distribution(std::shared_ptr<const SamplingParts> parts);

}  // namespace grevy::host

#endif

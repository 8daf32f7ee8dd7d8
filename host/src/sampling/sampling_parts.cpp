#include "sampling/sampling_parts.hpp"

#include "sampling/sampling_rules.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Prior = SamplingOptions::Prior;

// The last of ascending numbers that is not above `value`; the first never is.
std::size_t last_up_to(const std::vector<std::int64_t>& numbers, std::int64_t value) {
  const auto after = std::upper_bound(numbers.begin(), numbers.end(), value);
  return static_cast<std::size_t>(after - numbers.begin()) - 1;
}

// The checks come first: the other parts rely on them.
const SamplingOptions& checked(const SamplingOptions& options, const SamplingLabels& labels,
                               Differences differences) {
  check_sampling(options, labels);
  if (differences != Differences::shared || options.conditional == Conditional::time) {
    check_time_offset(options, longest_trial(labels),
                      labels.trials ? "the samples of the longest trial" : "the number of samples");
  }
  return options;
}

std::unique_ptr<const ClassTable> make_classes(const SamplingLabels& labels) {
  return labels.discrete ? std::make_unique<const ClassTable>(*labels.discrete) : nullptr;
}

std::shared_ptr<const LabelSearch> make_search(Conditional conditional,
                                               const SamplingLabels& labels,
                                               const ClassTable* classes) {
  const bool looks =
      conditional == Conditional::time_delta || conditional == Conditional::delta_normal;
  return looks ? std::make_shared<const LabelSearch>(labels, classes) : nullptr;
}

std::unique_ptr<const DifferencePool> make_pool(const SamplingOptions& options,
                                                const SamplingLabels& labels,
                                                Differences differences,
                                                std::shared_ptr<const LabelSearch> search) {
  if (options.conditional != Conditional::time_delta) return nullptr;
  const bool zeros = differences == Differences::own_with_zeros && labels.trials == nullptr;
  return std::make_unique<const DifferencePool>(
      std::move(search), TrialSteps(labels.num_samples, labels.trials, options.time_offset),
      zeros ? options.time_offset : 0);
}

}  // namespace

TrialSteps::TrialSteps(std::int64_t num_samples, const std::vector<std::int64_t>* trials,
                       std::int64_t offset)
    : offset_(offset), first_(trials ? *trials : std::vector<std::int64_t>{0}), before_{0} {
  first_.push_back(num_samples);
  for (std::size_t trial = 0; trial + 1 < first_.size(); ++trial) {
    const std::int64_t samples = first_[trial + 1] - first_[trial];
    before_.push_back(before_.back() + std::max<std::int64_t>(samples - offset, 0));
  }
}

std::int64_t TrialSteps::start(std::int64_t step) const {
  const std::size_t trial = last_up_to(before_, step);
  return first_[trial] + step - before_[trial];
}

bool TrialSteps::starts_at(std::int64_t sample) const {
  if (sample < 0 || sample >= first_.back()) return false;
  return offset_ < first_[last_up_to(first_, sample) + 1] - sample;
}

LabelSearch::LabelSearch(const SamplingLabels& labels, const ClassTable* classes)
    : width_(labels.width),
      values_(labels.continuous, labels.continuous + labels.num_samples * labels.width) {
  if (classes == nullptr) trees_.emplace_back(values_.data(), labels.num_samples, width_);
  for (std::int64_t cls = 0; classes != nullptr && cls < classes->num_classes(); ++cls) {
    trees_.emplace_back(values_.data(), width_, classes->samples(cls));
  }
}

DifferencePool::DifferencePool(std::shared_ptr<const LabelSearch> labels, TrialSteps steps,
                               std::int64_t num_zeros)
    : labels_(std::move(labels)), steps_(std::move(steps)), num_zeros_(num_zeros) {}

void DifferencePool::add(std::int64_t difference, double* query) const {
  if (difference < num_zeros_) return;
  const std::int64_t start = steps_.start(difference - num_zeros_);
  const float* before = labels_->label(start);
  const float* now = labels_->label(start + steps_.offset());
  for (std::int64_t column = 0; column < labels_->width(); ++column) {
    query[column] += static_cast<double>(now[column]) - static_cast<double>(before[column]);
  }
}

SamplingParts::SamplingParts(const SamplingOptions& options, const SamplingLabels& labels,
                             Differences differences)
    : options_(checked(options, labels, differences)),
      references_(labels.num_samples, labels.trials,
                  options.conditional == Conditional::time ? options.time_offset : 0),
      classes_(make_classes(labels)),
      search_(make_search(options.conditional, labels, classes_.get())),
      pool_(make_pool(options, labels, differences, search_)) {}

std::int64_t SamplingParts::draw_reference(Random& random) const {
  if (options_.prior == Prior::uniform) return classes_->draw_uniform_class(random);
  return references_.start(random.below(references_.count()));
}

void SamplingParts::check_reference(std::int64_t sample) const {
  if (references_.starts_at(sample)) return;
  const std::int64_t last = references_.start(references_.count() - 1);
  std::string text = "reference sample " + std::to_string(sample) +
                     ": the conditional distribution has positives for samples 0 to " +
                     std::to_string(last);
  if (references_.count() <= last) text += ", as far as sample + time_offset is in the same trial";
  throw Error(ErrorCode::out_of_range, text);
}

}  // namespace grevy::host

#include "sampling/sampling_parts.hpp"

#include <grevy/host/sampling.hpp>

#include <utility>

// Order of the draws, part of the repeatability promise: sample after sample as they are written.
// A prior takes below(references), or below(classes) then below(samples in the class). A positive
// takes nothing (time), below(differences) (time_delta), one normal per column (delta_normal) or
// below(samples in the class) (discrete). There are N differences without trials.

namespace grevy::host {
namespace {

using Conditional = SamplingOptions::Conditional;
using Parts = std::shared_ptr<const SamplingParts>;

class PartsDistribution : public Distribution {
 public:
  explicit PartsDistribution(Parts parts) : parts_(std::move(parts)) {}

  void prior(Random& random, std::int64_t count, std::int64_t* samples) const final {
    for (std::int64_t i = 0; i < count; ++i) samples[i] = parts_->draw_reference(random);
  }

  void conditional(Random& random, const std::int64_t* references, std::int64_t count,
                   std::int64_t* positives) const final {
    std::vector<double> query;
    for (std::int64_t i = 0; i < count; ++i) {
      parts_->check_reference(references[i]);
      positives[i] = positive(random, references[i], query);
    }
  }

  bool has_positive(std::int64_t sample) const final {
    return parts_->references().starts_at(sample);
  }

  std::int64_t num_references() const final { return parts_->references().count(); }

 protected:
  const SamplingParts& parts() const { return *parts_; }

 private:
  // `query` is scratch space that one call of conditional() shares.
  virtual std::int64_t positive(Random& random, std::int64_t reference,
                                std::vector<double>& query) const = 0;

  Parts parts_;
};

class TimeDistribution final : public PartsDistribution {
 public:
  using PartsDistribution::PartsDistribution;

 private:
  std::int64_t positive(Random&, std::int64_t reference, std::vector<double>&) const override {
    return reference + parts().options().time_offset;
  }
};

class DiscreteDistribution final : public PartsDistribution {
 public:
  using PartsDistribution::PartsDistribution;

 private:
  std::int64_t positive(Random& random, std::int64_t reference,
                        std::vector<double>&) const override {
    return parts().classes()->draw_from_class(random, parts().class_of(reference));
  }
};

// time_delta and delta_normal: move the reference's label and look for the nearest sample.
class NearestDistribution final : public PartsDistribution {
 public:
  using PartsDistribution::PartsDistribution;

 private:
  std::int64_t positive(Random& random, std::int64_t reference,
                        std::vector<double>& query) const override {
    const LabelSearch& search = *parts().search();
    const float* label = search.label(reference);
    query.assign(label, label + search.width());
    if (const DifferencePool* pool = parts().pool()) {
      pool->add(random.below(pool->count()), query.data());
    } else {
      for (double& value : query) value += parts().options().delta * random.normal();
    }
    return search.find(parts().class_of(reference), query.data());
  }
};

}  // namespace

std::unique_ptr<Distribution> make_distribution(std::shared_ptr<const SamplingParts> parts) {
  switch (parts->options().conditional) {
    case Conditional::time:
      return std::make_unique<TimeDistribution>(std::move(parts));
    case Conditional::discrete:
      return std::make_unique<DiscreteDistribution>(std::move(parts));
    default:
      return std::make_unique<NearestDistribution>(std::move(parts));
  }
}

std::unique_ptr<Distribution> make_distribution(const SamplingOptions& options,
                                                const SamplingLabels& labels) {
  return make_distribution(
      std::make_shared<const SamplingParts>(options, labels, Differences::own_with_zeros));
}

}  // namespace grevy::host

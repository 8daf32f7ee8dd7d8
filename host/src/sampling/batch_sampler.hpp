// Which samples of which session make a step's batches: numbers only.
#ifndef GREVY_HOST_BATCH_SAMPLER_HPP
#define GREVY_HOST_BATCH_SAMPLER_HPP

#include "sampling/sampling_spec.hpp"

#include <memory>
#include <vector>

namespace grevy::host {

using Samples = std::vector<std::int64_t>;

// One session's share.
struct SampleDraw {
  Samples reference, negative;
  std::vector<Samples> positives;  // a set each; none in supervised training
};

struct StepDraw {
  std::vector<SampleDraw> sessions;
  // Per set of positives, the pairing across sessions as grevy_batch has it; empty: rows correspond
  // in every set.
  std::vector<Samples> index, index_reversed;
};

struct BatchShape {
  std::int64_t num_references = 0, num_negatives = 0;  // per session
  bool joined = false;  // sessions are lined up and share one set of references
  // Full batch: the samples of each session that may be references; empty: they are drawn.
  std::vector<Samples> complete;
};

// Thread: one at a time; the state lives in the Random.
class BatchSampler {
 public:
  virtual ~BatchSampler() = default;
  virtual StepDraw draw(Random& random) const = 0;
  // How many negatives a reference is compared with; 0 in supervised training.
  virtual std::int64_t num_compared() const = 0;
};

// Errors: those of make_distribution, SessionDistribution and UnifiedDistribution.
std::unique_ptr<BatchSampler> make_batch_sampler(const SamplingSpec& spec,
                                                 const std::vector<Recording>& sessions,
                                                 const BatchShape& shape);

}  // namespace grevy::host

#endif

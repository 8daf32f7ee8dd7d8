// Small batches of the recordings to be trained on, to try components with.
#ifndef GREVY_HOST_TRIAL_BATCH_HPP
#define GREVY_HOST_TRIAL_BATCH_HPP

#include "sampling/sampling_spec.hpp"
#include "training/network.hpp"

#include <grevy/calls.hpp>

#include <cstdint>
#include <vector>

namespace grevy::host {

// A loader that gives the same batches every time.
class FixedLoader {
 public:
  explicit FixedLoader(std::vector<Batch> batches);
  FixedLoader(const FixedLoader&) = delete;
  FixedLoader& operator=(const FixedLoader&) = delete;
  const grevy_loader& table() const { return table_; }

 private:
  std::vector<Batch> batches_;
  detail::CBatches lent_;
  grevy_loader table_{};
};

// Which samples of a session go into its batch.
struct TrialSamples {
  std::vector<std::int64_t> references;  // also the rows of targets and positives
  std::int64_t num_negatives = 0;        // the first of the references, again and again
};

// What the network's solver is given in a step, shaped as a Loader does it: a batch per session, or
// one where it sees the sessions as one; windows, or numbers into a stretch of the series for full
// batches. `samples`: one per session, in range.
std::vector<Batch> trial_batches(const Network& network, at::Device device,
                                 const SamplingSpec& spec, const std::vector<Recording>& sessions,
                                 const std::vector<TrialSamples>& samples);

}  // namespace grevy::host

#endif

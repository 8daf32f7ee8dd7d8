// Batches of windows (or of whole series) from recordings.
#ifndef GREVY_HOST_LOADER_HPP
#define GREVY_HOST_LOADER_HPP

#include "sampling/batch_sampler.hpp"
#include "sampling/window_gather.hpp"

#include <grevy/host/masking.hpp>

#include <memory>
#include <vector>

namespace grevy::host {

struct LoaderOptions {
  SolverInfo solver;                 // what the batches must look like
  std::vector<Offset> offsets;       // receptive field of each session's model
  std::int64_t batch_size = 512;     // references per session; full batch: not looked at
  std::int64_t num_negatives = 512;  // likewise
  std::int64_t num_batches = 1;      // a pass
  std::int64_t first_session = 0;    // number of the first session given
  at::Device device = at::kCPU;
};

// Endless batches. The random state is the loader's own: one generator for samples, one for masks.
class Loader {
 public:
  // Errors: those of make_batch_sampler, WindowGather and Masks; not_found for a label that does
  // not exist; invalid_value for a number of sessions or sets of positives that the solver or its
  // models do not work with.
  Loader(const std::vector<Recording>& sessions, const SamplingSpec& spec,
         const LoaderOptions& options, Random random, Random mask_random);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  const grevy_loader* table() const { return &table_; }
  std::vector<Batch> next();  // one per session, or one for all that are joined
  // InfoNCE of a constant embedding, summed over the sets of positives; NaN where there are
  // targets.
  double chance() const;
  Random& random() { return random_; }
  Random& mask_random() { return mask_random_; }

 private:
  // A session with the buffers of its windows.
  struct Session {
    WindowGather windows;
    std::vector<at::Tensor> targets;
    std::vector<at::Tensor> buffers;
  };

  Batch batch(Session& session, const SampleDraw& draw);
  Batch series(const Session& session, const SampleDraw& draw) const;
  at::Tensor windows(Session& session, const Samples& samples, std::size_t buffer);
  static Batch join(const std::vector<Batch>& sessions);
  void pair(const StepDraw& draw, std::vector<Batch>& batches) const;

  LoaderOptions options_;
  std::vector<Session> sessions_;
  std::unique_ptr<BatchSampler> sampler_;
  Masks masks_;
  Random random_, mask_random_;
  std::size_t num_sets_ = 0;
  grevy_loader table_{};
  std::vector<Batch> current_;
  std::unique_ptr<detail::CBatches> lent_;
};

}  // namespace grevy::host

#endif

// Batches of windows (or of whole series) from recordings.
#ifndef GREVY_HOST_LOADER_HPP
#define GREVY_HOST_LOADER_HPP

#include "sampling/background.hpp"
#include "sampling/batch_sampler.hpp"
#include "sampling/window_gather.hpp"

#include <grevy/host/masking.hpp>

#include <array>
#include <memory>
#include <optional>
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
  // Sample numbers and the series in place of windows, where these are the recording's own: on the
  // CPU, without masks, one session beside the other.
  bool samples = false;
  bool prefetch = false;  // prepare the next batches on another thread, with the same numbers
};

// Endless batches. The random state is the loader's own: one generator for samples, one for masks.
// It is that of the batches handed out, whatever has been prepared ahead.
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
  // A session with the buffers of its windows: those that are lent and those that are prepared.
  struct Session {
    WindowGather windows;
    std::vector<at::Tensor> targets;
    std::array<std::vector<at::Tensor>, 2> buffers;
  };
  // Batches, and the generators before and after them.
  struct Prepared {
    std::vector<Batch> batches;
    Random::State before, masks_before;
    Random random, mask_random;
  };

  Prepared prepare(Random random, Random mask_random);
  std::optional<Prepared> take_prepared();
  Batch batch(Session& session, const SampleDraw& draw, Random& mask_random);
  bool gives_samples() const;
  Batch samples(const Session& session, const SampleDraw& draw) const;
  void add_targets(const Session& session, const Samples& references, Batch& batch) const;
  at::Tensor windows(Session& session, const Samples& samples, std::size_t buffer,
                     Random& mask_random);
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
  std::size_t buffers_ = 0;  // which of each session's are written next
  std::optional<Prepared> prepared_;
  std::unique_ptr<Background> background_;  // last: it uses the others; null without prefetching
};

}  // namespace grevy::host

#endif

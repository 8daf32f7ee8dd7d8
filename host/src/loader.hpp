// Batches of windows from a recording.
#ifndef GREVY_HOST_LOADER_HPP
#define GREVY_HOST_LOADER_HPP

#include <grevy/calls.hpp>
#include <grevy/host/recording.hpp>
#include <grevy/host/sampling.hpp>

#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

// Which labels of a recording the sampling looks at; empty: none.
struct SamplingSpec {
  SamplingOptions options;
  std::vector<std::string> continuous;  // joined along the columns
  std::string discrete;
  bool hybrid = false;  // a second set of positives, time_offset samples later
};

// Gathers windows: sample i becomes rows i - left .. i + right - 1, with i clamped to
// [left, T - right], so that samples near a border share the first or last complete window. Rows
// are copied whole, (n, L, C), and shown as (n, C, L).
class WindowGather {
 public:
  // neural: float32 (T, C) on the CPU, moved to `device`. Errors: invalid_value where T < L.
  WindowGather(const at::Tensor& neural, Offset offset, at::Device device);
  // indices: int64 values in [0, T). `buffer` is used again where nobody else holds it.
  at::Tensor gather(const std::vector<std::int64_t>& indices, at::Tensor& buffer) const;

 private:
  at::Tensor neural_;
  Offset offset_;
};

// Endless batches: 2n draws of the prior are references and negatives, each conditional gives a set
// of positives. Hybrid batches draw from the prior of `time`, so that both sets exist for every
// reference. The random state is the loader's own.
class Loader {
 public:
  // Errors: those of make_distribution and WindowGather; not_found for a label that does not exist.
  Loader(const Recording& recording, const SamplingSpec& spec, Offset offset,
         std::int64_t batch_size, std::int64_t num_batches, at::Device device, Random random);
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  const grevy_loader* table() const { return &table_; }
  Batch next();
  Random& random() { return random_; }

 private:
  WindowGather windows_;
  std::vector<std::unique_ptr<Distribution>> distributions_;  // the last one's prior counts
  std::int64_t batch_size_;
  Random random_;
  std::vector<std::int64_t> drawn_, references_, negatives_, positives_;
  at::Tensor reference_buffer_, negative_buffer_;
  std::vector<at::Tensor> positive_buffers_;
  grevy_loader table_{};
  std::vector<Batch> current_;
  std::unique_ptr<detail::CBatches> lent_;
};

}  // namespace grevy::host

#endif

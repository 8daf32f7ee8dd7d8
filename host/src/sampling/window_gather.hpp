// Cuts windows out of a recording.
#ifndef GREVY_HOST_WINDOW_GATHER_HPP
#define GREVY_HOST_WINDOW_GATHER_HPP

#include <grevy/calls.hpp>

#include <vector>

namespace grevy::host {

// Sample i becomes rows i - left .. i + right - 1, with i clamped to where such a window lies
// inside its trial, so that samples near a border share the first or last complete window. Rows are
// copied whole, (n, L, C), and shown as (n, C, L).
class WindowGather {
 public:
  // neural: float32 (T, C) on the CPU, moved to `device`. trials: first sample of each, ascending
  // from 0; empty: one trial. Errors: invalid_value where a trial has fewer than L samples.
  WindowGather(const at::Tensor& neural, Offset offset, at::Device device,
               std::vector<std::int64_t> trials = {});
  // indices: values in [0, T). `buffer` is used again where nobody else holds it; on the CPU it is
  // what the result looks at.
  at::Tensor gather(const std::vector<std::int64_t>& indices, at::Tensor& buffer) const;

  const at::Tensor& neural() const { return neural_; }
  // The samples with a window of their own, ascending.
  std::vector<std::int64_t> complete() const;
  // The one of these whose window a sample has: itself, or the nearest of its trial.
  std::int64_t complete(std::int64_t sample) const { return start(sample) + offset_.left; }

 private:
  std::int64_t start(std::int64_t sample) const;  // first row of its window
  std::int64_t trial_begin(std::size_t trial) const { return trials_[trial]; }
  std::int64_t trial_end(std::size_t trial) const {
    return trial + 1 < trials_.size() ? trials_[trial + 1] : neural_.size(0);
  }

  at::Tensor neural_;
  Offset offset_;
  std::vector<std::int64_t> trials_;  // never empty
};

}  // namespace grevy::host

#endif

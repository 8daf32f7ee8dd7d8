#include "sampling/window_gather.hpp"

#include <algorithm>
#include <cstring>

namespace grevy::host {

WindowGather::WindowGather(const at::Tensor& neural, Offset offset, at::Device device,
                           std::vector<std::int64_t> trials)
    : neural_(device.is_cpu() ? neural : neural.to(device)),
      offset_(offset),
      trials_(std::move(trials)) {
  const bool whole = trials_.empty();
  if (whole) trials_ = {0};
  for (std::size_t t = 0; t < trials_.size(); ++t) {
    const std::int64_t count = trial_end(t) - trial_begin(t);
    if (count >= offset.length()) continue;
    throw Error(ErrorCode::invalid_value,
                (whole ? "the recording (or its part)"
                       : "trial " + std::to_string(t) + ", from sample " +
                             std::to_string(trial_begin(t)) + " on,") +
                    " has " + std::to_string(count) +
                    " samples; the model's receptive field needs at least " +
                    std::to_string(offset.length()));
  }
}

std::int64_t WindowGather::start(std::int64_t sample) const {
  const auto after = std::upper_bound(trials_.begin(), trials_.end(), sample);
  const auto trial = static_cast<std::size_t>(after - trials_.begin() - 1);
  return std::clamp(sample - offset_.left, trial_begin(trial), trial_end(trial) - offset_.length());
}

std::vector<std::int64_t> WindowGather::complete() const {
  std::vector<std::int64_t> samples;
  for (std::size_t t = 0; t < trials_.size(); ++t)
    for (std::int64_t i = trial_begin(t) + offset_.left; i <= trial_end(t) - offset_.right; ++i)
      samples.push_back(i);
  return samples;
}

at::Tensor WindowGather::gather(const std::vector<std::int64_t>& indices,
                                at::Tensor& buffer) const {
  const auto n = static_cast<std::int64_t>(indices.size());
  const std::int64_t length = offset_.length(), channels = neural_.size(1);
  if (!neural_.device().is_cpu()) {
    std::vector<std::int64_t> starts;
    for (const std::int64_t i : indices) starts.push_back(start(i));
    const at::Tensor rows = at::tensor(starts, at::kLong).unsqueeze(1) + at::arange(length);
    return neural_.index_select(0, rows.flatten().to(neural_.device()))
        .view({n, length, channels})
        .transpose(1, 2);
  }
  const bool reusable =
      buffer.defined() && buffer.size(0) == n && buffer.storage().use_count() == 1;
  if (!reusable) buffer = at::empty({n, length, channels}, at::kFloat);
  const float* source = neural_.data_ptr<float>();
  auto* target = buffer.data_ptr<float>();
  const std::int64_t window = length * channels;
  for (std::int64_t i = 0; i < n; ++i)
    std::memcpy(target + i * window,
                source + start(indices[static_cast<std::size_t>(i)]) * channels,
                static_cast<std::size_t>(window) * sizeof(float));
  return buffer.transpose(1, 2);
}

}  // namespace grevy::host

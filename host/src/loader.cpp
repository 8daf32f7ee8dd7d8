#include "loader.hpp"

#include <algorithm>
#include <cstring>

namespace grevy::host {
namespace {

std::vector<std::unique_ptr<Distribution>> make(const Recording& recording,
                                                const SamplingSpec& spec) {
  SamplingLabels labels;
  labels.num_samples = recording.num_samples();
  std::vector<at::Tensor> columns;
  for (const std::string& name : spec.continuous) {
    const Label& label = recording.label(name);
    if (label.discrete)
      throw Error(ErrorCode::invalid_type,
                  "label \"" + name + "\" is discrete; a continuous one is needed");
    columns.push_back(label.values);
  }
  const at::Tensor continuous = columns.empty() ? at::Tensor() : at::cat(columns, 1).contiguous();
  if (continuous.defined()) {
    labels.continuous = continuous.data_ptr<float>();
    labels.width = continuous.size(1);
  }
  std::vector<std::int64_t> classes;
  if (!spec.discrete.empty()) {
    const Label& label = recording.label(spec.discrete);
    if (!label.discrete)
      throw Error(ErrorCode::invalid_type,
                  "label \"" + spec.discrete + "\" is continuous; a discrete one is needed");
    const auto* values = label.values.data_ptr<std::int64_t>();
    classes.assign(values, values + label.values.numel());
    labels.discrete = &classes;
  }
  std::vector<std::unique_ptr<Distribution>> made;
  made.push_back(make_distribution(spec.options, labels));
  if (!spec.hybrid) return made;
  SamplingOptions later = spec.options;
  later.conditional = SamplingOptions::Conditional::time;
  later.prior = SamplingOptions::Prior::empirical;
  SamplingLabels none;
  none.num_samples = labels.num_samples;
  made.push_back(make_distribution(later, none));
  return made;
}

}  // namespace

WindowGather::WindowGather(const at::Tensor& neural, Offset offset, at::Device device)
    : neural_(device.is_cpu() ? neural : neural.to(device)), offset_(offset) {
  if (neural.size(0) < offset.length())
    throw Error(ErrorCode::invalid_value,
                "the recording (or its part) has " + std::to_string(neural.size(0)) +
                    " samples; the model's receptive field needs at least " +
                    std::to_string(offset.length()));
}

at::Tensor WindowGather::gather(const std::vector<std::int64_t>& indices,
                                at::Tensor& buffer) const {
  const auto n = static_cast<std::int64_t>(indices.size());
  const std::int64_t length = offset_.length(), channels = neural_.size(1),
                     last = neural_.size(0) - length;
  const auto start = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i - offset_.left, 0, last);
  };
  if (!neural_.device().is_cpu()) {
    std::vector<std::int64_t> starts(indices.size());
    std::transform(indices.begin(), indices.end(), starts.begin(), start);
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

Loader::Loader(const Recording& recording, const SamplingSpec& spec, Offset offset,
               std::int64_t batch_size, std::int64_t num_batches, at::Device device, Random random)
    : windows_(recording.neural(), offset, device),
      distributions_(make(recording, spec)),
      batch_size_(batch_size),
      random_(random),
      drawn_(static_cast<std::size_t>(2 * batch_size)),
      positives_(static_cast<std::size_t>(batch_size)),
      positive_buffers_(distributions_.size()) {
  table_.struct_size = sizeof(table_);
  table_.context = this;
  table_.num_batches = num_batches;
  table_.next = [](void* context, const grevy_batch* const** batches, std::uint64_t* count,
                   const grevy_error_sink* errors) {
    return detail::guarded(errors, {"host", "loader", "next"}, [&] {
      auto& loader = *static_cast<Loader*>(context);
      loader.lent_.reset();
      loader.current_.clear();
      loader.current_.push_back(loader.next());
      loader.lent_ = std::make_unique<detail::CBatches>(loader.current_);
      *batches = loader.lent_->data();
      *count = loader.lent_->size();
    });
  };
}

Batch Loader::next() {
  distributions_.back()->prior(random_, 2 * batch_size_, drawn_.data());
  references_.assign(drawn_.begin(), drawn_.begin() + batch_size_);
  negatives_.assign(drawn_.begin() + batch_size_, drawn_.end());
  Batch batch;
  batch.reference = windows_.gather(references_, reference_buffer_);
  for (std::size_t i = 0; i < distributions_.size(); ++i) {
    distributions_[i]->conditional(random_, references_.data(), batch_size_, positives_.data());
    batch.positives.push_back(windows_.gather(positives_, positive_buffers_[i]));
  }
  batch.negative = windows_.gather(negatives_, negative_buffer_);
  return batch;
}

}  // namespace grevy::host

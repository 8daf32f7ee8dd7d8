#include "training/trial_batch.hpp"

#include "sampling/window_gather.hpp"

#include <algorithm>
#include <utility>

namespace grevy::host {

FixedLoader::FixedLoader(std::vector<Batch> batches)
    : batches_(std::move(batches)), lent_(batches_) {
  table_.struct_size = sizeof(table_);
  table_.context = this;
  table_.num_batches = 1;
  table_.next = [](void* context, const grevy_batch* const** given, std::uint64_t* count,
                   const grevy_error_sink*) -> std::int32_t {
    const auto& self = *static_cast<FixedLoader*>(context);
    *given = self.lent_.data();
    *count = self.lent_.size();
    return GREVY_OK;
  };
}

namespace {

// One session's share.
class BatchMaker {
 public:
  BatchMaker(const Network& network, at::Device device, const SamplingSpec& spec)
      : network_(network), device_(device), spec_(spec) {}

  Batch make(const Recording& session, std::int64_t number, const TrialSamples& samples) const {
    Batch batch;
    batch.session = network_.is_joined() ? 0 : number;
    const auto count = static_cast<std::int64_t>(samples.references.size());
    const bool whole = network_.solver_info.full_batch;
    const Offset offset = network_.info(number).offset;
    // As many rows as samples, where there are as many.
    const std::int64_t stretch = std::min(count + offset.length() - 1, session.num_samples());
    if (whole) batch.series = session.neural().slice(0, 0, stretch).to(device_);
    const auto rows = [&](std::int64_t wanted) {
      std::vector<std::int64_t> picked;
      for (std::int64_t i = 0; i < wanted; ++i)
        picked.push_back(samples.references[static_cast<std::size_t>(i % count)]);
      return whole ? at::arange(wanted, at::kLong)
                         .remainder(stretch - offset.length() + 1)
                         .to(device_)
                   : windows(session, offset, picked);
    };
    batch.reference = rows(count);
    const at::Tensor picked = at::tensor(samples.references, at::kLong);
    for (const std::string& name : spec_.targets)
      batch.positives.push_back(session.label(name).values.index_select(0, picked).to(device_));
    for (std::size_t set = 0; set < spec_.positives.size(); ++set)
      batch.positives.push_back(rows(count));
    if (!network_.solver_info.supervised) batch.negative = rows(samples.num_negatives);
    return batch;
  }

 private:
  at::Tensor windows(const Recording& session, Offset offset,
                     const std::vector<std::int64_t>& samples) const {
    at::Tensor buffer;
    return WindowGather(session.neural(), offset, at::kCPU, session.trials())
        .gather(samples, buffer)
        .to(device_);
  }

  const Network& network_;
  at::Device device_;
  const SamplingSpec& spec_;
};

// Channels side by side.
Batch join(const std::vector<Batch>& sessions) {
  Batch all = sessions.front();
  for (std::size_t s = 1; s < sessions.size(); ++s) {
    all.reference = at::cat({all.reference, sessions[s].reference}, 1);
    all.positives.front() = at::cat({all.positives.front(), sessions[s].positives.front()}, 1);
    if (all.negative.defined()) all.negative = at::cat({all.negative, sessions[s].negative}, 1);
  }
  return all;
}

}  // namespace

std::vector<Batch> trial_batches(const Network& network, at::Device device,
                                 const SamplingSpec& spec, const std::vector<Recording>& sessions,
                                 const std::vector<TrialSamples>& samples) {
  const BatchMaker maker(network, device, spec);
  std::vector<Batch> batches;
  for (std::size_t s = 0; s < sessions.size(); ++s)
    batches.push_back(maker.make(sessions[s], static_cast<std::int64_t>(s), samples[s]));
  if (network.is_joined()) return {join(batches)};
  return batches;
}

}  // namespace grevy::host

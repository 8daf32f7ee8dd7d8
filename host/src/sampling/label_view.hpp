// Labels of recordings as the distributions take them.
#ifndef GREVY_HOST_LABEL_VIEW_HPP
#define GREVY_HOST_LABEL_VIEW_HPP

#include "sampling/sampling_spec.hpp"

#include <grevy/host/session_sampling.hpp>

namespace grevy::host {

// The labels of a session that a set of positives looks at.
class LabelView {
 public:
  LabelView(const Recording& recording, const PositiveSpec& set) : trials_(recording.trials()) {
    labels_.num_samples = recording.num_samples();
    std::vector<at::Tensor> columns;
    for (const std::string& name : set.continuous) columns.push_back(recording.label(name).values);
    if (!columns.empty()) {
      continuous_ = at::cat(columns, 1).contiguous();
      labels_.continuous = continuous_.data_ptr<float>();
      labels_.width = continuous_.size(1);
    }
    if (!set.discrete.empty()) {
      const at::Tensor values = recording.label(set.discrete).values.contiguous();
      classes_.assign(values.data_ptr<std::int64_t>(),
                      values.data_ptr<std::int64_t>() + values.numel());
    }
  }
  // Points into this object.
  SamplingLabels labels() const {
    SamplingLabels labels = labels_;
    if (!classes_.empty()) labels.discrete = &classes_;
    if (!trials_.empty()) labels.trials = &trials_;
    return labels;
  }

 private:
  SamplingLabels labels_;
  at::Tensor continuous_;
  std::vector<std::int64_t> classes_, trials_;
};

// A distribution over several sessions.
template <class Made>
Made make_for_sessions(const PositiveSpec& set, const std::vector<Recording>& sessions) {
  std::vector<LabelView> views;
  std::vector<SamplingLabels> labels;
  views.reserve(sessions.size());
  for (const Recording& session : sessions) views.emplace_back(session, set);
  for (const LabelView& view : views) labels.push_back(view.labels());
  return Made(set.options, labels);
}

}  // namespace grevy::host

#endif

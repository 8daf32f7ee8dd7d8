#include "sampling/line_up.hpp"

#include "sampling/label_view.hpp"

namespace grevy::host {

Recording line_up(const std::vector<Recording>& sessions, std::int64_t target,
                  const PositiveSpec& labels, Random random) {
  if (target < 0 || target >= static_cast<std::int64_t>(sessions.size()))
    throw Error(ErrorCode::out_of_range, "session " + std::to_string(target) +
                                             " does not exist; there are " +
                                             std::to_string(sessions.size()) + ", counted from 0");
  const auto distribution = make_for_sessions<UnifiedDistribution>(labels, sessions);
  const Recording& wanted = sessions[static_cast<std::size_t>(target)];
  std::vector<at::Tensor> rows;
  for (std::size_t s = 0; s < sessions.size(); ++s)
    rows.push_back(at::empty({wanted.num_samples()}, at::kLong));
  for (std::int64_t i = 0; i < wanted.num_samples(); ++i) {
    const std::vector<std::int64_t> beside = distribution.align(random, target, i);
    for (std::size_t s = 0; s < rows.size(); ++s) rows[s].data_ptr<std::int64_t>()[i] = beside[s];
  }
  std::vector<at::Tensor> channels;
  for (std::size_t s = 0; s < sessions.size(); ++s)
    channels.push_back(sessions[s].neural().index_select(0, rows[s]));
  return wanted.with_neural(at::cat(channels, 1));
}

}  // namespace grevy::host

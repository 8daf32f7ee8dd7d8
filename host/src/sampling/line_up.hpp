// Sessions seen as one recording.
#ifndef GREVY_HOST_LINE_UP_HPP
#define GREVY_HOST_LINE_UP_HPP

#include "sampling/sampling_spec.hpp"

namespace grevy::host {

// Session `target` with the channels of all sessions, in their order: beside each of its samples
// stand those of the other sessions that UnifiedDistribution lines up with it. Labels and trials
// are the target's.
Recording line_up(const std::vector<Recording>& sessions, std::int64_t target,
                  const PositiveSpec& labels, Random random);

}  // namespace grevy::host

#endif

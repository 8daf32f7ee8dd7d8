#ifndef GREVY_HOST_SAMPLING_SPEC_HPP
#define GREVY_HOST_SAMPLING_SPEC_HPP

#include "loader.hpp"

#include <grevy/host/experiment.hpp>

namespace grevy::host {

// What /sampling means for this recording: labels named or found, the prior chosen. Errors name the
// JSON pointer.
SamplingSpec resolve_sampling(const Experiment& experiment, const Recording& recording);

}  // namespace grevy::host

#endif

// What each conditional takes, and the checks of a sampling against it.
#ifndef GREVY_HOST_SAMPLING_RULES_HPP
#define GREVY_HOST_SAMPLING_RULES_HPP

#include <grevy/host/sampling.hpp>

#include <cstdint>
#include <string>

namespace grevy::host {

[[noreturn]] void refuse_sampling(const std::string& message);  // invalid_value

// Labels, trials, prior and delta. Errors: invalid_value, as make_distribution says.
void check_sampling(const SamplingOptions& options, const SamplingLabels& labels);

// Samples of the longest trial; the trials must be right.
std::int64_t longest_trial(const SamplingLabels& labels);

// `longest`: the most samples in a row; `what` names them. Errors: invalid_value unless time_offset
// leaves a step, where the conditional takes steps.
void check_time_offset(const SamplingOptions& options, std::int64_t longest, const char* what);

}  // namespace grevy::host

#endif

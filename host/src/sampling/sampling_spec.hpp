#ifndef GREVY_HOST_SAMPLING_SPEC_HPP
#define GREVY_HOST_SAMPLING_SPEC_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/recording.hpp>
#include <grevy/host/sampling.hpp>

#include <string>
#include <vector>

namespace grevy::host {

// How one set of positives is found, and the labels that it looks at; empty: none.
struct PositiveSpec {
  SamplingOptions options;
  std::vector<std::string> continuous;  // joined along the columns
  std::string discrete;
};

// Which samples make a batch.
struct SamplingSpec {
  std::vector<PositiveSpec> positives;  // a set each; the prior is that of the first
  std::vector<std::string> targets;     // supervised training: labels in place of positives
  bool clamp = false;  // references whose positive in time lies beyond the end share the last
  nlohmann::json masks = nlohmann::json::object();  // see Masks
};

// What /sampling means for these recordings: labels named or found, the prior chosen. Errors name
// the JSON pointer.
SamplingSpec resolve_sampling(const Experiment& experiment, const std::vector<Recording>& sessions);

}  // namespace grevy::host

#endif

// Whether an experiment's components work together, tried before the training.
#ifndef GREVY_HOST_TRIAL_HPP
#define GREVY_HOST_TRIAL_HPP

#include "sampling/sampling_spec.hpp"
#include "training/network.hpp"

#include <vector>

namespace grevy::host {

// Has a supervised solver validate a few samples: those of the smallest and largest class. Nothing
// but that they can be compared is looked at. `network`: like the one to be trained, as its
// components may keep something. Errors: PluginError with the JSON pointer of
// what does not fit.
void try_a_batch(const Network& network, const Experiment& experiment, at::Device device,
                 const std::vector<Recording>& sessions, const SamplingSpec& spec);

// Whether the criterion gives the logarithm of the number of negatives, for each of its losses,
// where all embeddings are the same: InfoNCE in its forms.
bool is_log_of_negatives(const Network& network, at::Device device);

}  // namespace grevy::host

#endif

// What a step of a training takes, seen in smaller ones like it.
#ifndef GREVY_HOST_MEMORY_STEP_HPP
#define GREVY_HOST_MEMORY_STEP_HPP

#include "sampling/sampling_spec.hpp"
#include "training/network.hpp"

#include <cstdint>
#include <vector>

namespace grevy::host {

// Of one session in a step.
struct StepSize {
  std::int64_t references = 0, negatives = 0;
  std::int64_t sets = 0;    // of positives that are embedded
  std::int64_t places = 0;  // windows that the recording has
  std::int64_t length = 0;  // rows of a window
  std::int64_t windows() const { return references * (1 + sets) + negatives; }
};

StepSize size_of_step(const Network& network, const SamplingSpec& spec,
                      const std::vector<Recording>& train, std::size_t session);

// Whether a step is given sample numbers rather than windows.
bool gives_samples(const Network& network, const SamplingSpec& spec);

// Bytes at most.
struct StepUse {
  double activations = 0;  // embedding, and what the solver adds; less the loss and the gradients
  double kept = 0;         // of the activations: not given back after the step
  double loss = 0;
  double copies = 0;  // of parameters, in memory that is not LibTorch's
};

// Gradients of the network are cleared.
StepUse use_of_training_step(const Network& network, const SamplingSpec& spec,
                             const std::vector<Recording>& train);

}  // namespace grevy::host

#endif

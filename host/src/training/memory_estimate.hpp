// What a training and the evaluation after it will take.
#ifndef GREVY_HOST_MEMORY_ESTIMATE_HPP
#define GREVY_HOST_MEMORY_ESTIMATE_HPP

#include "training/network.hpp"

#include <grevy/host/memory.hpp>
#include <grevy/host/run.hpp>

#include <vector>

namespace grevy::host {

// Of the training alone; recordings that are in memory already count as in use. `network`: like the
// one to be trained, to try things with; its gradients are cleared.
MemoryEstimate estimate_memory(const Network& network, const Experiment& experiment,
                               const std::vector<Recording>& train,
                               const std::vector<Recording>& held_out);

// With what embedding and evaluating a run takes beyond what a step has given back by then.
MemoryEstimate with_evaluation(MemoryEstimate training, const Trainer& trainer,
                               const TrainingData& data);

}  // namespace grevy::host

#endif

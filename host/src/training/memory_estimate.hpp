// What a training and the evaluation after it will take.
#ifndef GREVY_HOST_MEMORY_ESTIMATE_HPP
#define GREVY_HOST_MEMORY_ESTIMATE_HPP

#include "training/network.hpp"

#include <grevy/host/memory.hpp>
#include <grevy/host/run.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace grevy::host {

// Of the training alone; recordings that are in memory already count as in use, and so do the
// parameters and the optimiser. `network`: like the one to be trained, to try things with; its
// gradients are cleared, and it is not counted.
MemoryEstimate estimate_memory(const Network& network, const Experiment& experiment,
                               const std::vector<Recording>& train,
                               const std::vector<Recording>& held_out);

// With what embedding and evaluating a run takes beyond what a step has given back by then.
MemoryEstimate with_evaluation(MemoryEstimate training, const Trainer& trainer,
                               const TrainingData& data);

// What there is for a training: available_memory(), and what the process has taken since the
// estimate was made, which is a part of it by now.
std::optional<std::int64_t> available_for(const MemoryEstimate& estimate);

}  // namespace grevy::host

#endif

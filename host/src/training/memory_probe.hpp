// What models and criterions take, seen from LibTorch's allocator.
#ifndef GREVY_HOST_MEMORY_PROBE_HPP
#define GREVY_HOST_MEMORY_PROBE_HPP

#include <grevy/calls.hpp>

#include <cstdint>

namespace grevy::host {

// Bytes: held between the forward and the backward pass, and at most at any time of both.
struct MemoryUse {
  double held = 0, most = 0;
};

// Of each row of the embedding, on the CPU in evaluation mode: from windows, or from a series. What
// does not grow with the rows is left out. `backward`: with a graph and its gradients. All zero for
// a model that fails: the training says why.
MemoryUse use_of_row(const ModelRef& model, const ModelInfo& info, bool series, bool backward);

// Of one step of a solver, which is given the same batches as often as it asks. The optimiser
// changes nothing; gradients are cleared. All zero for a solver that fails.
MemoryUse use_of_step(const SolverRef& solver, const NamedTensors& trained,
                      const grevy_loader& loader);

// Of one evaluation of `losses` predictions of n references and m negatives, with gradients.
// Larger ones are scaled up from smaller ones, which grow with n * m or with n.
MemoryUse use_of_loss(const CriterionRef& criterion, std::size_t losses, std::int64_t n,
                      std::int64_t m, std::int64_t width);

}  // namespace grevy::host

#endif

// What models, criteria and solvers take, seen from LibTorch's allocator.
#ifndef GREVY_HOST_MEMORY_PROBE_HPP
#define GREVY_HOST_MEMORY_PROBE_HPP

#include <grevy/calls.hpp>

#include <cstdint>

namespace grevy::host {

// Bytes: held at a time that the function says, and at most.
struct MemoryUse {
  double held = 0, most = 0;
};

// At most, of each row that a model embeds of a series, without gradients. What does not grow with
// the rows is left out. Zero for a model that fails: the training says why.
double use_of_row(const ModelRef& model, const ModelInfo& info);

// Of one step of a solver, which is given the same batches as often as it asks; held: after it. The
// optimiser changes nothing; gradients stay, and those of the next step are added to them. All zero
// for a solver that fails. `beside`: what is taken beside LibTorch's allocator, where it is large
// and the system can say; null: not asked for.
MemoryUse use_of_step(const SolverRef& solver, const grevy_loader& loader,
                      double* beside = nullptr);

// Of tensors, or of the trained ones among them.
double bytes_of(const NamedTensors& tensors, bool trained_alone);
void clear_gradients(const NamedTensors& tensors);

// Of one evaluation of `losses` predictions of n references and m negatives, with gradients; held:
// between the forward and the backward pass. Larger ones are scaled up from smaller ones, which
// grow with n * m or with n.
MemoryUse use_of_loss(const CriterionRef& criterion, std::size_t losses, std::int64_t n,
                      std::int64_t m, std::int64_t width);

}  // namespace grevy::host

#endif

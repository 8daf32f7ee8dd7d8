// Tensors of components to and from a safetensors file.
#ifndef GREVY_HOST_CHECKPOINT_HPP
#define GREVY_HOST_CHECKPOINT_HPP

#include <grevy/calls.hpp>
#include <grevy/host/safetensors.hpp>

#include <string>

namespace grevy::host {

// Adds the tensors under their names, copied to the CPU.
void store(const NamedTensors& tensors, StoredTensors& content);

// Writes stored values into the tensors, in place. Errors: invalid_value naming the tensor that is
// missing or has another dtype or shape. Nothing is changed unless all fit.
void restore(const NamedTensors& tensors, const StoredTensors& content);

}  // namespace grevy::host

#endif

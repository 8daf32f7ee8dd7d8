// Tensors of components to and from a safetensors file.
#ifndef GREVY_HOST_CHECKPOINT_HPP
#define GREVY_HOST_CHECKPOINT_HPP

#include <grevy/calls.hpp>
#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <string>

namespace grevy::host {

inline constexpr const char* checkpoint_format = "grevy.checkpoint/1";

// Adds the tensors under their names, copied to the CPU.
void store(const NamedTensors& tensors, StoredTensors& content);

// Writes stored values into the tensors, in place. Errors: invalid_value naming the tensor that is
// missing or has another dtype or shape. Nothing is changed unless all fit.
void restore(const NamedTensors& tensors, const StoredTensors& content);

// Metadata is text by the format's rule: each value is JSON.
void store_info(const nlohmann::json& info, StoredTensors& content);
// Errors: invalid_value for a file that is no checkpoint, or of a newer format.
nlohmann::json read_info(const StoredTensors& content);

}  // namespace grevy::host

#endif

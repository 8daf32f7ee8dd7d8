// What a checkpoint says besides its tensors.
#ifndef GREVY_HOST_CHECKPOINT_INFO_HPP
#define GREVY_HOST_CHECKPOINT_INFO_HPP

#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

namespace grevy::host {

inline constexpr const char* checkpoint_format = "grevy.checkpoint/1";

// Metadata is text by the format's rule: each value is JSON.
void store_info(const nlohmann::json& info, StoredTensors& content);
// Errors: invalid_value for a file that is no checkpoint, or of a newer format.
nlohmann::json read_info(const StoredTensors& content);

}  // namespace grevy::host

#endif

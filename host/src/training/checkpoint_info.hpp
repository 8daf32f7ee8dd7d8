// What a checkpoint says besides its tensors.
#ifndef GREVY_HOST_CHECKPOINT_INFO_HPP
#define GREVY_HOST_CHECKPOINT_INFO_HPP

#include <grevy/host/random.hpp>
#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

namespace grevy::host {

// What is written; docs/checkpoints.md says how the versions differ.
inline constexpr const char* checkpoint_format = "grevy.checkpoint/2";

// Metadata is text by the format's rule: each value is JSON, but for the checksum that the file is
// to have.
void store_info(const nlohmann::json& info, StoredTensors& content);
// Without the checksum. Errors: invalid_value for a file that is no checkpoint, or that has lost
// its checksum; incompatible for one of a format that this version does not read.
nlohmann::json read_info(const StoredTensors& content);

// A generator's state, as text: 64-bit words are more than JSON numbers of other programs hold.
nlohmann::json to_words(const Random::State& state);
// Errors: invalid_value.
Random::State parse_words(const nlohmann::json& words);

}  // namespace grevy::host

#endif

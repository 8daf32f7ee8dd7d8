// Which data a run is trained on.
#ifndef GREVY_HOST_DATA_IDENTITY_HPP
#define GREVY_HOST_DATA_IDENTITY_HPP

#include <grevy/host/experiment.hpp>
#include <grevy/host/recording.hpp>

#include <nlohmann/json.hpp>

#include <vector>

namespace grevy::host {

// By place in the experiment ("/data/neural", "/data/labels/position", "/data/trials",
// "/data/sessions/0/neural", ...) type, shape and SHA-256 of the values that were read, row by row
// as they lie in memory: "float32 [600, 6] sha256:...". Reads everything once.
nlohmann::json identify(const Experiment& experiment, const std::vector<Recording>& sessions);

}  // namespace grevy::host

#endif

#ifndef GREVY_HOST_EXPERIMENT_SCHEMA_HPP
#define GREVY_HOST_EXPERIMENT_SCHEMA_HPP

#include <grevy/host/experiment.hpp>

namespace grevy::host {

// The schema with components as objects that have a name; their options are checked one by one,
// against the manifest of the one that is named.
nlohmann::json base_schema();

}  // namespace grevy::host

#endif

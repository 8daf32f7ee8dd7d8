// What a resumed run may have other than the run before it.
#ifndef GREVY_HOST_RUN_CHANGES_HPP
#define GREVY_HOST_RUN_CHANGES_HPP

#include "training/run_folder.hpp"
#include "training/run_state.hpp"

#include <grevy/host/trainer.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace grevy::host {

// What is not as it was when a checkpoint was written, but for /training/num_steps. `info`: the
// checkpoint's; `data`: what identify() says of the recordings now.
std::vector<Change> changes_since(const nlohmann::json& info, const Host& host,
                                  const Trainer& trainer, const nlohmann::json& data);

// Errors: invalid_value, with every change that none of the names in `allow` is of.
void check_allowed(const std::vector<Change>& changes, const RunFolder& folder,
                   const Experiment& experiment, const std::vector<std::string>& allow);

// Errors: invalid_value for an experiment of fewer steps than are done.
void check_steps(const Experiment& experiment, std::int64_t done);

}  // namespace grevy::host

#endif

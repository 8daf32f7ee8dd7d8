// What a checkpoint of the reference says about the experiment behind it.
#ifndef GREVY_HOST_EXCHANGE_EXPERIMENT_HPP
#define GREVY_HOST_EXCHANGE_EXPERIMENT_HPP

#include "exchange/exchange_names.hpp"
#include "files/cebra_checkpoint.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace grevy::host {

// Adds to a list of what a reader should know.
using Notes = std::vector<std::string>;

struct DescribedExperiment {
  nlohmann::json document;  // an experiment without data
  Notes assumed;            // what the file does not say
  Notes left_out;           // what it says and the document cannot hold
};

// `model` names the encoder where the file does not. Errors: invalid_value for a missing name, for
// one beside another in the file, for arguments that an experiment cannot have.
DescribedExperiment describe_experiment(const CebraCheckpoint& checkpoint,
                                        const StoredEncoders& encoders, const std::string& model);

// Steps that the file tells of: losses, else entries of the log, else Adam's steps.
std::int64_t steps_done(const CebraCheckpoint& checkpoint);

// The history as a run's log: a JSON object a line. What does not fit its length is noted.
std::string log_lines(const CebraCheckpoint& checkpoint, Notes& left_out);

}  // namespace grevy::host

#endif

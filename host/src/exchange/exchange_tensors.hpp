// Tensors of the reference's checkpoints, found for those of a Trainer.
#ifndef GREVY_HOST_EXCHANGE_TENSORS_HPP
#define GREVY_HOST_EXCHANGE_TENSORS_HPP

#include "exchange/exchange_names.hpp"
#include "files/cebra_checkpoint.hpp"

#include <grevy/host/trainer.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace grevy::host {

struct MatchedTensors {
  StoredTensors content;                 // under the names of Trainer::state()
  std::vector<std::string> of_no_place;  // tensors of the file's criterion that the Trainer's lacks
};

// Parameters and buffers, by name. Errors: invalid_value for a tensor that the file lacks or has
// beyond the model's, or of another dtype or shape (names it); for another number of sessions.
MatchedTensors match_tensors(const Trainer& trainer, const CebraCheckpoint& checkpoint,
                             const StoredEncoders& encoders);

struct MatchedMoments {
  StoredTensors content;  // as above
  std::int64_t steps = 0;
  std::vector<std::string> missing;  // parameters that have none yet
  std::string problem;               // why they do not fit; then there is no content
};

// Adam's moments, by the parameters' numbers: those of the models in the order of registration,
// then the criterion's. They fit together or not at all.
MatchedMoments match_moments(const Trainer& trainer, const CebraCheckpoint& checkpoint);

// Writes matched tensors into a Trainer's.
void put(const StoredTensors& content, const Trainer& trainer);

}  // namespace grevy::host

#endif

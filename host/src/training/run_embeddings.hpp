// What a run embeds at its end.
#ifndef GREVY_HOST_RUN_EMBEDDINGS_HPP
#define GREVY_HOST_RUN_EMBEDDINGS_HPP

#include "training/folder_lock.hpp"
#include "training/run_folder.hpp"
#include "training/stop.hpp"

#include <grevy/host/trainer.hpp>

#include <vector>

namespace grevy::host {

// Writes the embedding of every session into the folder, piece by piece. `folder`: under the lock's
// descriptor. Errors: those of Trainer::transform; io; cancelled.
void write_embeddings(const Trainer& trainer, const std::vector<Recording>& sessions,
                      const RunFolder& folder, const FolderLock& lock,
                      const ShouldStop& should_stop);

}  // namespace grevy::host

#endif

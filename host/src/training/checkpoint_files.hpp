// The checkpoints of a run: the newest, those before it, and the best.
#ifndef GREVY_HOST_CHECKPOINT_FILES_HPP
#define GREVY_HOST_CHECKPOINT_FILES_HPP

#include "training/run_folder.hpp"

#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <functional>
#include <optional>

namespace grevy::host {

// A checkpoint that was read and checked.
struct OpenedCheckpoint {
  std::filesystem::path file;
  StoredTensors content;
  nlohmann::json info;                         // as read_info() gives it
  std::vector<std::filesystem::path> damaged;  // newer ones, which cannot be read
  // One line about them, and what is used in their place; empty where nothing is wrong.
  std::string warning;
};

// `run`: a checkpoint, or a run folder: the newest one in it whose content is whole, by step.
// Errors: not_found; invalid_value (names every file and what is wrong with it). Whole, if of no
// use here, is one of a newer format (incompatible) or one that cannot be read as things are (io).
OpenedCheckpoint open_checkpoint(const std::filesystem::path& run);

// Writes the checkpoints of a run and keeps the last ones and the best.
//
// At every moment the newest whole state is in a file that open_checkpoint() finds: the present
// checkpoint gets its further name before the new one replaces it, and nothing is removed before
// the new one is in place and synced. The best one is a file of its own, not a link: what damages
// one of them leaves the other.
class CheckpointFiles {
 public:
  using Write = std::function<void(const std::filesystem::path&)>;

  // keep: how many, the newest included, at least 1.
  CheckpointFiles(RunFolder folder, std::int64_t keep);

  // Goes on from a checkpoint of the folder: it becomes the newest; those that are damaged get
  // ".damaged" behind their names. best: the step of the best one, if there is one. Returns whether
  // best.safetensors holds it by now; what else has this name gets ".before-STEP" behind it, with
  // its own step, or ".damaged". Errors: io.
  bool resume(const OpenedCheckpoint& from, std::int64_t step, std::optional<std::int64_t> best);
  // `write` writes the state after `step` steps to a file, atomically. Errors: its own, io.
  void store(std::int64_t step, bool is_best, const Write& write);

 private:
  bool find_best(std::optional<std::int64_t> wanted) const;
  void remove_old() const;

  RunFolder folder_;
  std::size_t keep_;
  std::int64_t newest_ = -1;  // its step; none: -1
};

}  // namespace grevy::host

#endif

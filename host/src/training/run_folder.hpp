// The files of a run folder.
#ifndef GREVY_HOST_RUN_FOLDER_HPP
#define GREVY_HOST_RUN_FOLDER_HPP

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace grevy::host {

// An earlier checkpoint that is kept.
struct Predecessor {
  std::int64_t step = 0;  // as its name says
  std::filesystem::path file;
};

// Whether a file has a name, also a link that leads nowhere. Errors: io, where the system cannot
// say.
bool is_there(const std::filesystem::path& file);

// Names alone: none of them need exist. Errors of what looks: io.
struct RunFolder {
  explicit RunFolder(std::filesystem::path folder) : path(std::move(folder)) {}

  std::filesystem::path path;
  std::filesystem::path experiment() const { return path / "experiment.json"; }
  std::filesystem::path log() const { return path / "log.jsonl"; }
  std::filesystem::path checkpoint() const { return path / "checkpoint.safetensors"; }
  std::filesystem::path best() const { return path / "best.safetensors"; }
  std::filesystem::path summary() const { return path / "summary.json"; }
  std::filesystem::path predecessor(std::int64_t step) const;
  // A best one of another experiment, or of a course that was given up.
  std::filesystem::path best_before(std::int64_t step) const;
  // Of one session "embedding.npy", of several "embedding_0.npy", ...
  std::filesystem::path embedding(std::size_t session, std::size_t count) const;

  // Those that are there, newest first.
  std::vector<Predecessor> predecessors() const;
  // Every checkpoint that is there.
  std::vector<std::filesystem::path> checkpoints() const;
  // Whatever a run has left that is there, checkpoints first.
  std::vector<std::filesystem::path> files() const;
  // Of these what is made of the last step: summary and embeddings.
  std::vector<std::filesystem::path> results() const;
  // What processes that were killed have left half written.
  std::vector<std::filesystem::path> leftovers() const;
  // Whether anything is there but leftovers.
  bool is_used() const;
};

// Errors: io, but for a file that is not there.
void remove_files(const std::vector<std::filesystem::path>& files);

}  // namespace grevy::host

#endif

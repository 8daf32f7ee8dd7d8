#include "training/run_errors.hpp"

#include "training/checkpoint_files.hpp"

namespace grevy::host {

std::string what_is_left(const FolderLock& lock) {
  try {
    const OpenedCheckpoint opened = open_checkpoint(lock.held());
    const std::filesystem::path file = lock.path_now() / opened.file.filename();
    return file.string() + " is intact, of step " + opened.info.at("step").dump();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::not_found) return "no checkpoint is stored";
    return "the checkpoints cannot be read: " + lock.named(e.what());
  } catch (const std::exception& e) {
    return std::string("the checkpoints cannot be read: ") + e.what();
  }
}

}  // namespace grevy::host

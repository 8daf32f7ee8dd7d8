#include "training/folder_lock.hpp"

#include <grevy/error.hpp>

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace grevy::host {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : folder_(folder), descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0)
    throw Error(ErrorCode::io,
                folder.string() + ": cannot be opened: " + std::generic_category().message(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw Error(ErrorCode::invalid_state,
              folder.string() +
                  ": another run is using this folder; wait for its end, or choose "
                  "another one");
}

FolderLock::~FolderLock() { ::close(descriptor_); }

bool FolderLock::is_in_place() const {
  struct stat held {
  }, named{};
  return ::fstat(descriptor_, &held) == 0 && ::stat(folder_.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

void FolderLock::require_in_place() const {
  if (is_in_place()) return;
  throw Error(ErrorCode::io, folder_.string() +
                                 ": cannot be written: the run's folder was moved away, removed or "
                                 "replaced meanwhile");
}

std::filesystem::path FolderLock::path_now() const {
  if (is_in_place()) return folder_;
  std::error_code error;
  const auto link = "/proc/self/fd/" + std::to_string(descriptor_);
  const std::filesystem::path found = std::filesystem::read_symlink(link, error);
  return error ? folder_ : found;
}

}  // namespace grevy::host

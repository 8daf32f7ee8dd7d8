#include "training/folder_lock.hpp"

#include <grevy/error.hpp>

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

namespace grevy::host {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
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

}  // namespace grevy::host

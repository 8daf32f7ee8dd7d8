#include "training/folder_lock.hpp"

#include <grevy/error.hpp>

#include <cctype>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace grevy::host {
namespace {

// Not /proc/self: that is the first thread, which may have ended before this one.
std::filesystem::path name_of(int descriptor) {
  return "/proc/thread-self/fd/" + std::to_string(descriptor);
}

bool leads_to(const std::filesystem::path& name, int descriptor) {
  struct stat held {
  }, found{};
  return ::fstat(descriptor, &held) == 0 && ::stat(name.c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder)
    : folder_(folder),
      place_(std::filesystem::absolute(folder)),
      descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      held_(name_of(descriptor_)) {
  if (descriptor_ < 0)
    throw Error(ErrorCode::io,
                folder.string() + ": cannot be opened: " + std::generic_category().message(errno));
  if (!leads_to(held_, descriptor_)) {
    ::close(descriptor_);
    throw Error(ErrorCode::io, folder.string() + ": cannot be held: there is no " + held_.string() +
                                   "; /proc must be mounted");
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw Error(ErrorCode::invalid_state,
              folder.string() +
                  ": another run is using this folder; wait for its end, or choose "
                  "another one");
}

FolderLock::~FolderLock() { ::close(descriptor_); }

bool FolderLock::is_in_place() const { return leads_to(place_, descriptor_); }

void FolderLock::require_in_place() const {
  if (is_in_place()) return;
  throw Error(ErrorCode::io, folder_.string() +
                                 ": cannot be written: the run's folder was moved away, removed or "
                                 "replaced meanwhile");
}

std::filesystem::path FolderLock::path_now() const {
  if (is_in_place()) return folder_;
  std::error_code error;
  const std::filesystem::path found = std::filesystem::read_symlink(name_of(descriptor_), error);
  return error ? folder_ : found;
}

std::string FolderLock::named(std::string text) const {
  const std::string from = held_.string(), to = folder_.string();
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    const std::size_t end = at + from.size();
    const bool is_other = end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]));
    if (!is_other) text.replace(at, from.size(), to);
    at += is_other ? from.size() : to.size();
  }
  return text;
}

}  // namespace grevy::host

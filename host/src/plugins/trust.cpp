#include "plugins/trust.hpp"

#include "files/file_hash.hpp"

#include <grevy/error.hpp>

#include <cerrno>
#include <cstdio>
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, ErrorCode code) {
  throw Error(code, path.string() + ": cannot be read: " + std::generic_category().message(errno));
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(path, ErrorCode::io);
  return status;
}

// Whoever owns the library that runs now has no need of a plugin.
uid_t owner_of_this_library() {
  Dl_info info{};
  struct stat status {};
  if (dladdr(reinterpret_cast<const void*>(&find_distrust), &info) == 0 ||
      info.dli_fname == nullptr || ::stat(info.dli_fname, &status) != 0)
    return 0;
  return status.st_uid;
}

bool is_trusted(uid_t owner) {
  return owner == 0 || owner == ::geteuid() || owner == owner_of_this_library();
}

std::string name_of(uid_t user) {
  constexpr std::size_t buffer_size = 1 << 14;
  std::string buffer(buffer_size, '\0');
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  const std::string number = "uid " + std::to_string(user);
  return found == nullptr ? number : std::string(entry.pw_name) + " (" + number + ")";
}

std::string describe(const fs::path& path, const struct stat& status) {
  char mode[8];
  std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(status.st_mode & 07777));
  return (S_ISDIR(status.st_mode) ? "the folder " : "the file ") + path.string() + " belongs to " +
         name_of(status.st_uid) + " and has mode " + mode;
}

}  // namespace

std::string find_distrust(const fs::path& path) {
  for (fs::path at = path;; at = at.parent_path()) {
    const struct stat status = status_of(at);
    const bool is_writable = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    const bool is_shared = at != path && (status.st_mode & S_ISVTX) != 0;
    if (!is_trusted(status.st_uid) || (is_writable && !is_shared))
      return path.string() + ": may be changed by others: " + describe(at, status) +
             "; it must belong to you or root and be writable for its owner alone, or be allowed "
             "with --allow-writable-plugins (HostOptions::allow_writable_plugins)";
    if (at == at.parent_path()) return {};
  }
}

PluginFile::PluginFile(fs::path file)
    : file_(std::move(file)), descriptor_(::open(file_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) fail(file_, errno == ENOENT ? ErrorCode::not_found : ErrorCode::io);
  ::fstat(descriptor_, &before_);
}

PluginFile::~PluginFile() { ::close(descriptor_); }

std::string PluginFile::sha256() const {
  Sha256 hash;
  std::vector<char> piece(1 << 20);
  for (off_t at = 0;;) {
    const ssize_t count = ::pread(descriptor_, piece.data(), piece.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(file_, ErrorCode::io);
    if (count == 0) return hash.digits();
    hash.add({piece.data(), static_cast<std::size_t>(count)});
    at += count;
  }
}

void PluginFile::require_unchanged() const {
  const struct stat now = status_of(file_);
  const auto same_time = [](const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
  };
  if (now.st_dev == before_.st_dev && now.st_ino == before_.st_ino &&
      now.st_size == before_.st_size && same_time(now.st_mtim, before_.st_mtim) &&
      same_time(now.st_ctim, before_.st_ctim))
    return;
  throw Error(ErrorCode::incompatible, file_.string() + ": was changed while it was being loaded");
}

}  // namespace grevy::host

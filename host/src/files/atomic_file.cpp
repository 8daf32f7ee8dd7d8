#include "files/atomic_file.hpp"

#include "files/input_file.hpp"

#include <grevy/error.hpp>

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grevy::host {

namespace fs = std::filesystem;

namespace {

constexpr int kNameAttempts = 1000;

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return value_; }
  // Some file systems report a failed write only here.
  bool close() {
    const int value = value_;
    value_ = -1;
    return ::close(value) == 0;
  }

 private:
  int value_;
};

// Calls again what a signal has interrupted.
template <class Call>
auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Reads errno: call it right after the failure.
[[noreturn]] void fail(const fs::path& file, const char* step) {
  const std::string reason = std::generic_category().message(errno);
  throw Error(ErrorCode::io, file.string() + ": cannot be written: " + step + ": " + reason);
}

constexpr std::string_view kPrefix = ".grevy-", kSuffix = ".tmp";

std::string next_name() {
  static std::atomic<unsigned> count{0};
  return std::string(kPrefix) + std::to_string(::getpid()) + "-" + std::to_string(count++) +
         std::string(kSuffix);
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// A file under a temporary name in `folder`; removed unless renamed.
class TemporaryFile {
 public:
  TemporaryFile(const fs::path& file, int folder)
      : file_(file), folder_(folder), descriptor_(create()) {}
  ~TemporaryFile() {
    if (!name_.empty()) ::unlinkat(folder_, name_.c_str(), 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::string_view piece) {
    while (!piece.empty()) {
      const ssize_t count =
          uninterrupted([&] { return ::write(descriptor_.get(), piece.data(), piece.size()); });
      if (count < 0) fail(file_, "writing a temporary file in its folder");
      piece.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  void sync_and_close() {
    if (uninterrupted([&] { return ::fsync(descriptor_.get()); }) != 0)
      fail(file_, "syncing a temporary file in its folder");
    if (!descriptor_.close()) fail(file_, "closing a temporary file in its folder");
  }

  void rename() {
    const std::string target = file_.filename().string();
    if (::renameat(folder_, name_.c_str(), folder_, target.c_str()) != 0) {
      fail(file_, "renaming a temporary file in its folder");
    }
    name_.clear();
  }

 private:
  // Other processes, also on other machines, may use the same folder and the same names.
  int create() {
    for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
      std::string name = next_name();
      const int descriptor =
          ::openat(folder_, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor >= 0) {
        name_ = std::move(name);
        return descriptor;
      }
      if (errno != EEXIST) break;
    }
    fail(file_, "making a temporary file in its folder");
  }

  const fs::path& file_;
  int folder_;
  std::string name_;
  Descriptor descriptor_;
};

void check_target(const fs::path& file, int folder) {
  struct stat status {};
  if (::fstatat(folder, file.filename().c_str(), &status, 0) != 0) {
    if (errno == ENOENT) return;
    fail(file, "looking for an existing file");
  }
  if (S_ISREG(status.st_mode)) return;
  const char* found = S_ISDIR(status.st_mode) ? "it is a folder" : "it is not a regular file";
  throw Error(ErrorCode::io, file.string() + ": cannot be written: " + found);
}

// File systems that cannot sync folders say so with EINVAL; nothing more can be done there.
void sync_folder(const fs::path& file, int folder) {
  if (uninterrupted([&] { return ::fsync(folder); }) != 0 && errno != EINVAL)
    fail(file, "syncing its folder");
}

// The folder that `file` is to be in, open.
int open_folder(const fs::path& file) {
  const int folder = uninterrupted(
      [&] { return ::open(folder_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (folder < 0) fail(file, "opening its folder");
  return folder;
}

std::string content_of(const fs::path& file) {
  InputFile input(file, ErrorCode::io, "a file to copy");
  return input.read(0, input.size());
}

// Not every file system has hard links, and some have few for a file.
bool has_no_link(int error) {
  return error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK ||
         error == EXDEV;
}

}  // namespace

void write_file_atomically(const fs::path& file, const std::vector<std::string_view>& pieces) {
  if (!file.has_filename() || file.filename() == "." || file.filename() == "..") {
    throw Error(ErrorCode::invalid_value, "\"" + file.string() + "\": names no file to write");
  }
  const Descriptor folder(open_folder(file));
  check_target(file, folder.get());
  TemporaryFile temporary(file, folder.get());
  for (const std::string_view piece : pieces) temporary.write(piece);
  temporary.sync_and_close();
  temporary.rename();
  sync_folder(file, folder.get());
}

void sync_folder_of(const fs::path& file) {
  const Descriptor folder(open_folder(file));
  sync_folder(file, folder.get());
}

void duplicate_file(const fs::path& file, const std::string& name) {
  const fs::path copy = file.parent_path() / name;
  const Descriptor folder(open_folder(copy));
  check_target(copy, folder.get());
  const std::string temporary = next_name(), source = file.filename().string();
  if (::linkat(folder.get(), source.c_str(), folder.get(), temporary.c_str(), 0) != 0) {
    if (!has_no_link(errno)) fail(copy, ("linking it to " + source).c_str());
    return write_file_atomically(copy, {content_of(file)});
  }
  const bool renamed = ::renameat(folder.get(), temporary.c_str(), folder.get(), name.c_str()) == 0;
  const int error = errno;
  // Still there where renaming has failed, and where both names were links to one file.
  ::unlinkat(folder.get(), temporary.c_str(), 0);
  errno = error;
  if (!renamed) fail(copy, "renaming a temporary file in its folder");
  sync_folder(copy, folder.get());
}

bool is_temporary_name(const std::string& name) {
  const bool of_arrays =
      name.rfind("embedding", 0) == 0 && name.find(".npy.tmp-") != std::string::npos;
  const bool of_others =
      name.rfind(kPrefix, 0) == 0 && name.substr(name.size() - kSuffix.size()) == kSuffix;
  return of_arrays || of_others;
}

}  // namespace grevy::host

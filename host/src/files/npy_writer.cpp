#include "files/atomic_file.hpp"
#include "files/npy_header.hpp"

#include <grevy/error.hpp>

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& file, const char* what) {
  const std::string reason = std::generic_category().message(errno);
  throw Error(ErrorCode::io, file.string() + ": " + what + ": " + reason);
}

struct Temporary {
  fs::path path;
  int descriptor;
};

// A rename would replace a device such as /dev/null for good.
void check_target(const fs::path& file) {
  std::error_code ignored;
  const fs::file_type type = fs::status(file, ignored).type();
  const bool replaceable = type == fs::file_type::regular || type == fs::file_type::not_found;
  if (file.has_filename() && (replaceable || type == fs::file_type::none)) return;
  throw Error(ErrorCode::io, file.string() + ": cannot be written: it is not a regular file");
}

// Not mkstemp: that would force mode 0600 on the finished file.
Temporary create_temporary(const fs::path& file) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    fs::path path = file;
    path += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return {std::move(path), descriptor};
    if (errno != EEXIST) break;
  }
  fail_io(file, "cannot be created");
}

void write_all(int descriptor, const void* data, std::uint64_t bytes, const fs::path& file) {
  const auto* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(file, "cannot be written");
    next += written;
    bytes -= static_cast<std::uint64_t>(written);
  }
}

void discard(const fs::path& temporary, int& descriptor) {
  if (descriptor < 0) return;
  ::close(std::exchange(descriptor, -1));
  ::unlink(temporary.c_str());
}

// Makes the rename last through a power cut; file systems that cannot say so with EINVAL.
void sync_folder(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_io(file, "its folder cannot be opened");
  const bool failed = ::fsync(descriptor) != 0 && errno != EINVAL;
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (failed) fail_io(file, "its folder cannot be synced");
}

void publish(const fs::path& temporary, int& descriptor, const fs::path& file) {
  if (::fsync(descriptor) != 0) fail_io(file, "cannot be synced");
  if (::rename(temporary.c_str(), file.c_str()) != 0) fail_io(file, "cannot be put in place");
  if (::close(std::exchange(descriptor, -1)) != 0) fail_io(file, "cannot be closed");
  sync_folder(file);
}

template <typename Action>
void discard_on_error(const fs::path& temporary, int& descriptor, Action action) {
  try {
    action();
  } catch (...) {
    discard(temporary, descriptor);
    throw;
  }
}

void require_open(int descriptor, const fs::path& file) {
  if (descriptor >= 0) return;
  throw Error(ErrorCode::invalid_state,
              file.string() + ": the writer has finished, or has failed before");
}

void write_array(const fs::path& file, const std::vector<std::int64_t>& shape, ElementType type,
                 const void* values) {
  const std::uint64_t bytes = array_bytes(shape, type, file.string());
  const std::string header = format_npy_header(shape, type);
  write_file_atomically(file, {header, {static_cast<const char*>(values), bytes}});
}

}  // namespace

NpyWriter::NpyWriter(fs::path file, std::int64_t rows, std::int64_t columns)
    : file_(std::move(file)), rows_(rows), columns_(columns) {
  array_bytes({rows, columns}, ElementType::float32, file_.string());
  const std::string header = format_npy_header({rows, columns}, ElementType::float32);
  check_target(file_);
  Temporary temporary = create_temporary(file_);
  temporary_ = std::move(temporary.path);
  descriptor_ = temporary.descriptor;
  discard_on_error(temporary_, descriptor_,
                   [&] { write_all(descriptor_, header.data(), header.size(), file_); });
}

NpyWriter::~NpyWriter() { discard(temporary_, descriptor_); }

void NpyWriter::append(const float* values, std::int64_t rows) {
  require_open(descriptor_, file_);
  if (rows < 0 || rows > rows_ - written_) {
    throw Error(ErrorCode::invalid_state, file_.string() + ": append() of " + std::to_string(rows) +
                                              " rows; allowed: 0 to " +
                                              std::to_string(rows_ - written_) + ", as " +
                                              std::to_string(rows_) + " rows were announced");
  }
  const auto bytes = static_cast<std::uint64_t>(rows * columns_) * sizeof(float);
  discard_on_error(temporary_, descriptor_, [&] { write_all(descriptor_, values, bytes, file_); });
  written_ += rows;
}

void NpyWriter::finish() {
  require_open(descriptor_, file_);
  if (written_ != rows_) {
    throw Error(ErrorCode::invalid_state, file_.string() + ": finish() after " +
                                              std::to_string(written_) + " rows; " +
                                              std::to_string(rows_) + " were announced");
  }
  discard_on_error(temporary_, descriptor_, [&] { publish(temporary_, descriptor_, file_); });
}

void write_npy(const fs::path& file, const std::vector<std::int64_t>& shape, const float* values) {
  write_array(file, shape, ElementType::float32, values);
}

void write_npy(const fs::path& file, const std::vector<std::int64_t>& shape,
               const std::int64_t* values) {
  write_array(file, shape, ElementType::int64, values);
}

}  // namespace grevy::host

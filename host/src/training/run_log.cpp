#include "training/run_log.hpp"

#include "files/atomic_file.hpp"

#include <grevy/error.hpp>

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <limits>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Of a line of the log; after all others where it is none.
std::int64_t step_of(const json& entry) {
  const bool has_step =
      entry.is_object() && entry.contains("step") && entry.at("step").is_number_integer();
  return has_step ? entry.at("step").get<std::int64_t>() : std::numeric_limits<std::int64_t>::max();
}

// Nothing to read where there is no file. Errors: io where there is one that cannot be read.
std::ifstream open_to_read(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream && fs::exists(file))
    throw Error(ErrorCode::io,
                file.string() + ": cannot be read: " + std::generic_category().message(errno));
  return stream;
}

// Whether the first `count` bytes are there and end with a line.
bool has_lines(const fs::path& file, std::uint64_t count) {
  if (count == 0) return true;
  std::ifstream stream = open_to_read(file);
  stream.seekg(static_cast<std::streamoff>(count - 1));
  return stream.get() == '\n';
}

}  // namespace

RunLog::RunLog(fs::path file, const Position& position) : RunLog(std::move(file)) {
  const std::uint64_t kept = position.step > 0 ? position.bytes.value_or(0) : 0;
  const bool is_known = position.step == 0 || (position.bytes && has_lines(file_, kept));
  if (!is_known) keep_steps_before(position.step);
  was_shortened_ = !is_known && position.bytes;
  open();
  if (!is_known || bytes_ == kept) return;
  if (::ftruncate(descriptor_, static_cast<off_t>(kept)) != 0) fail("shortening it");
  bytes_ = kept;
}

void RunLog::open() {
  descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("opening it");
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("asking for its length");
  bytes_ = static_cast<std::uint64_t>(status.st_size);
}

RunLog::~RunLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void RunLog::keep_steps_before(std::int64_t step) {
  std::string kept;
  std::ifstream old = open_to_read(file_);
  for (std::string line; std::getline(old, line);)
    if (step_of(json::parse(line, nullptr, false)) < step) kept += line + "\n";
  if (old.bad()) fail("reading it");
  write_file_atomically(file_, {kept});
}

void RunLog::add(const json& line) {
  const std::string text = line.dump() + "\n";
  const std::uint64_t before = bytes_;
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int reason = errno;
      if (::ftruncate(descriptor_, static_cast<off_t>(before)) == 0) bytes_ = before;
      errno = reason;
      fail("adding a line");
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
    bytes_ += static_cast<std::uint64_t>(count);
  }
}

// Files that cannot be synced, a pipe in the log's place, say so with EINVAL.
void RunLog::sync() {
  while (::fsync(descriptor_) != 0) {
    if (errno == EINVAL) break;
    if (errno != EINTR) fail("syncing it");
  }
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("asking for its length");
  if (status.st_nlink == 0)
    throw Error(ErrorCode::io, file_.string() + ": cannot be written: it was removed meanwhile");
}

// Reads errno: call it right after the failure.
void RunLog::fail(const char* step) const {
  const std::string reason = std::generic_category().message(errno);
  throw Error(ErrorCode::io, file_.string() + ": cannot be written: " + step + ": " + reason);
}

}  // namespace grevy::host

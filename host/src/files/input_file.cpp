#include "files/input_file.hpp"

#include <cerrno>
#include <system_error>

namespace grevy::host {

namespace fs = std::filesystem;

namespace {

std::string system_text(int error) { return std::generic_category().message(error); }

}  // namespace

InputFile::InputFile(const fs::path& file, ErrorCode code, const std::string& wanted)
    : name_(file.string()) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) fail(ErrorCode::not_found, "no such file");
  if (error) fail(ErrorCode::io, "cannot be read: " + error.message());
  if (fs::is_directory(status)) fail(code, "is not " + wanted + ": it is a folder");
  if (!fs::is_regular_file(status)) fail(code, "is not " + wanted + ": it is not a regular file");
  size_ = fs::file_size(file, error);
  if (error) fail(ErrorCode::io, "cannot be read: " + error.message());
  errno = 0;
  stream_.open(file, std::ios::binary);
  if (!stream_) fail(ErrorCode::io, "cannot be read: " + system_text(errno));
}

void InputFile::read(std::uint64_t offset, void* out, std::uint64_t count) {
  if (!holds(offset, count)) {
    fail(ErrorCode::out_of_range, "cannot read " + std::to_string(count) + " bytes at " +
                                      std::to_string(offset) + ": the file has " +
                                      std::to_string(size_) + " bytes");
  }
  if (count == 0) return;
  errno = 0;
  stream_.clear();
  stream_.seekg(static_cast<std::streamoff>(offset));
  stream_.read(static_cast<char*>(out), static_cast<std::streamsize>(count));
  if (stream_) return;
  const std::string reason = errno != 0 ? system_text(errno) : "it became shorter meanwhile";
  fail(ErrorCode::io, "cannot be read: " + reason);
}

std::string InputFile::read(std::uint64_t offset, std::uint64_t count) {
  std::string bytes(holds(offset, count) ? count : 0, '\0');
  read(offset, bytes.data(), count);
  return bytes;
}

void InputFile::fail(ErrorCode code, const std::string& what) const {
  throw Error(code, name_ + ": " + what);
}

}  // namespace grevy::host

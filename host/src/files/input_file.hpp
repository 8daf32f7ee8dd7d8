// Reading pieces of a file that may be truncated, hostile or no file at all.
#ifndef GREVY_HOST_INPUT_FILE_HPP
#define GREVY_HOST_INPUT_FILE_HPP

#include <grevy/error.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace grevy::host {

// A regular file of known length. Messages begin with the file's name.
class InputFile {
 public:
  // `wanted` names the kind of file ("a safetensors file"); `code` is thrown where `file` is a
  // folder, a pipe or a device. Other errors: not_found; io.
  InputFile(const std::filesystem::path& file, ErrorCode code, const std::string& wanted);

  std::uint64_t size() const { return size_; }
  bool holds(std::uint64_t offset, std::uint64_t count) const {
    return offset <= size_ && count <= size_ - offset;
  }
  // Copies `count` bytes to `out`. Errors: out_of_range where the file does not hold them; io.
  void read(std::uint64_t offset, void* out, std::uint64_t count);
  std::string read(std::uint64_t offset, std::uint64_t count);

  // Throws Error(code, "FILE: what").
  [[noreturn]] void fail(ErrorCode code, const std::string& what) const;

 private:
  std::string name_;
  std::uint64_t size_ = 0;
  std::ifstream stream_;
};

}  // namespace grevy::host

#endif

// Whole members of a zip archive that stores them without compression.
#ifndef GREVY_HOST_ZIP_ARCHIVE_HPP
#define GREVY_HOST_ZIP_ARCHIVE_HPP

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct zip;

namespace grevy::host {

class ZipArchive {
 public:
  // `file_bytes` is the length of the file: members that claim more are refused unread.
  // Errors of all functions: invalid_value; messages begin with the file's name.
  ZipArchive(const std::filesystem::path& file, std::uint64_t file_bytes);
  ~ZipArchive();
  ZipArchive(ZipArchive&&) noexcept;

  std::vector<std::string> names() const;
  bool has(const std::string& name) const;

  // The bytes of a member, their checksum compared. Errors: not_found; invalid_value for one that
  // is compressed, encrypted, damaged or longer than `most`.
  std::vector<unsigned char> read(const std::string& name, std::uint64_t most) const;

 private:
  struct Close {
    void operator()(zip* archive) const;
  };

  std::string file_;
  std::uint64_t file_bytes_;
  std::unique_ptr<zip, Close> archive_;
};

}  // namespace grevy::host

#endif

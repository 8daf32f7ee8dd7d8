// Whether others could have put their code into a plugin.
#ifndef GREVY_HOST_TRUST_HPP
#define GREVY_HOST_TRUST_HPP

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/stat.h>

namespace grevy::host {

// Owner and mode of a file or folder must be: root's, this process's user's or that of the owner of
// the file that this code was loaded from, and writable for the owner alone. A folder above what is
// looked at may be writable for others where it is sticky: they cannot rename or remove what is
// another's. `path` is canonical. Returns a line that says which folder or file, whose, its mode
// and how to allow it; empty: trusted. Errors: io.
std::string find_distrust(const std::filesystem::path& path);

// A plugin's file, held open while it is checked and loaded.
class PluginFile {
 public:
  // Errors: not_found, io.
  explicit PluginFile(std::filesystem::path file);
  ~PluginFile();
  PluginFile(const PluginFile&) = delete;
  PluginFile& operator=(const PluginFile&) = delete;

  const std::filesystem::path& path() const { return file_; }
  const struct stat& status() const { return before_; }  // when it was opened
  std::string sha256() const;  // of the open file, in hexadecimal. Errors: io.
  // Errors: incompatible where its name leads to another file by now, or the file was written to.
  void require_unchanged() const;

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  struct stat before_ {};
};

}  // namespace grevy::host

#endif

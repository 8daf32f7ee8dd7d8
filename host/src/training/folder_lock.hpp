// One run at a time in a folder.
#ifndef GREVY_HOST_FOLDER_LOCK_HPP
#define GREVY_HOST_FOLDER_LOCK_HPP

#include <filesystem>
#include <string>

namespace grevy::host {

// Holds a folder for this process as long as it lives; ends with the process, however that ends,
// and leaves nothing behind. File systems without locks lock nothing.
class FolderLock {
 public:
  // Errors: invalid_state when another run, in this process or another, holds the folder; io, also
  // where /proc is not mounted.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  // Whether the folder's name still leads to it. Errors of require_in_place(): io.
  bool is_in_place() const;
  void require_in_place() const;
  // Where the folder is by now: the name that it was given where it is in place, or where the
  // system does not say.
  std::filesystem::path path_now() const;

  // A name that leads to the folder wherever it is by now, and never to one that took its place;
  // for threads of this process alone.
  const std::filesystem::path& held() const { return held_; }
  // A text about files under held(), with the name that people gave.
  std::string named(std::string text) const;

 private:
  std::filesystem::path folder_;  // as it was given
  std::filesystem::path place_;   // the same, wherever the process goes
  int descriptor_;
  std::filesystem::path held_;
};

}  // namespace grevy::host

#endif

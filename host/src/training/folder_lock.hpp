// One run at a time in a folder.
#ifndef GREVY_HOST_FOLDER_LOCK_HPP
#define GREVY_HOST_FOLDER_LOCK_HPP

#include <filesystem>

namespace grevy::host {

// Holds a folder for this process as long as it lives; ends with the process, however that ends,
// and leaves nothing behind. File systems without locks lock nothing.
class FolderLock {
 public:
  // Errors: invalid_state when another run, in this process or another, holds the folder; io.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace grevy::host

#endif

// Writing files so that a crash leaves the old or the new one, never half of it.
#ifndef GREVY_HOST_ATOMIC_FILE_HPP
#define GREVY_HOST_ATOMIC_FILE_HPP

#include <filesystem>
#include <string_view>
#include <vector>

namespace grevy::host {

// Writes the pieces one after the other to a temporary file in the same folder, syncs it, renames
// it to `file` and syncs the folder. The folder must exist. An existing file is replaced, so is a
// symbolic link itself; anything else (a folder, a device) is refused. The new file has the
// permissions of any newly made file. On failure the temporary file is removed and `file` is as it
// was, except where only the last step, syncing the folder, failed: then it is the new one.
// Errors: invalid_value where `file` names no file; io. Messages begin with the file's name.
void write_file_atomically(const std::filesystem::path& file,
                           const std::vector<std::string_view>& pieces);

}  // namespace grevy::host

#endif

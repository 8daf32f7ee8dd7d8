// Writing files so that a crash leaves the old or the new one, never half of it.
#ifndef GREVY_HOST_ATOMIC_FILE_HPP
#define GREVY_HOST_ATOMIC_FILE_HPP

#include <filesystem>
#include <string>
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

// Gives the content of `file` the further name `name` in the same folder, in place of what has that
// name: a hard link, or a copy where the file system has none. After a crash the old or the new is
// there. What replaces `file` later leaves `name` as it is. Errors: io, as above.
void duplicate_file(const std::filesystem::path& file, const std::string& name);

// Makes what was renamed in the folder of `file` last through a power cut. Errors: io.
void sync_folder_of(const std::filesystem::path& file);

// Whether a file's name is one that this file and NpyWriter write embeddings under before they
// rename it: where no such writing is going on, a leftover of a process that was killed.
bool is_temporary_name(const std::string& name);

}  // namespace grevy::host

#endif

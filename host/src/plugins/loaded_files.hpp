// Which plugin files this process has loaded, and what they held then.
#ifndef GREVY_HOST_LOADED_FILES_HPP
#define GREVY_HOST_LOADED_FILES_HPP

#include "plugins/trust.hpp"

#include <functional>
#include <string>

namespace grevy::host {

// The loader gives a name or an inode that it knows the object that it has, whatever the file holds
// by now. So what was in a file when it was first loaded is kept as long as the process lives, for
// all Hosts: `load`, which gives the file's path to the loader, is called only where that is still
// so, and where the file does not change meanwhile. `hash`: of the open file. From any thread, one
// at a time. Errors: incompatible, saying that a new process is needed; those of `load`.
void load_unchanged(const PluginFile& file, const std::string& hash,
                    const std::function<void()>& load);

}  // namespace grevy::host

#endif

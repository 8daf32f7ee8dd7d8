#include "plugins/loaded_files.hpp"

#include <grevy/error.hpp>

#include <dlfcn.h>
#include <fstream>
#include <link.h>
#include <list>
#include <mutex>
#include <sstream>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

struct Loaded {
  fs::path path;
  ::dev_t device;
  ::ino_t inode;
  std::string hash;  // empty: the file changed while it was being loaded
};

// Recursive: what the loader runs in a library may load others.
std::recursive_mutex mutex;
std::list<Loaded>& loaded_files() {
  static std::list<Loaded> files;
  return files;
}

[[noreturn]] void refuse(const fs::path& file) {
  throw Error(ErrorCode::incompatible,
              file.string() +
                  ": has changed since this process loaded it; the process would go on with what "
                  "it has loaded: start a new one");
}

// Whether memory is pages of a file that lost its name: a line "BEGIN-END PERMISSIONS OFFSET DEVICE
// INODE PATH (deleted)" of the process's map.
bool is_of_deleted_file(const void* memory) {
  constexpr std::string_view mark = " (deleted)";
  const auto wanted = reinterpret_cast<std::uintptr_t>(memory);
  std::ifstream stream("/proc/self/maps");
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::uintptr_t begin = 0, end = 0;
    char dash = 0;
    words >> std::hex >> begin >> dash >> end;
    if (wanted < begin || wanted >= end) continue;
    return line.size() > mark.size() && line.substr(line.size() - mark.size()) == mark;
  }
  return false;
}

// What others in this process have loaded under this name is taken, unless the file that it came
// from is gone.
void check_others(const fs::path& file) {
  void* handle = ::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
  if (handle == nullptr) return;
  link_map* map = nullptr;
  const bool is_gone =
      ::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && is_of_deleted_file(map->l_ld);
  ::dlclose(handle);
  if (is_gone) refuse(file);
}

// Whether the file is one that was loaded, under this name or another.
bool is_known(const PluginFile& file, const std::string& hash) {
  bool found = false;
  for (const Loaded& known : loaded_files()) {
    const bool is_same_inode =
        known.device == file.status().st_dev && known.inode == file.status().st_ino;
    if (known.path != file.path() && !is_same_inode) continue;
    if (known.hash != hash) refuse(file.path());
    found = true;
  }
  return found;
}

}  // namespace

void load_unchanged(const PluginFile& file, const std::string& hash,
                    const std::function<void()>& load) {
  const std::lock_guard lock(mutex);
  if (is_known(file, hash)) {
    load();
    return file.require_unchanged();
  }
  check_others(file.path());
  load();
  Loaded& entry = loaded_files().emplace_back(
      Loaded{file.path(), file.status().st_dev, file.status().st_ino, {}});
  file.require_unchanged();
  entry.hash = hash;
}

}  // namespace grevy::host

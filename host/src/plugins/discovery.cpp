#include "plugins/discovery.hpp"

#include "plugins/library.hpp"
#include "plugins/trust.hpp"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <set>
#include <sstream>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

// Where libgrevy lies, to find the plugins installed with it.
fs::path library_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&to_string), &info) == 0 || info.dli_fname == nullptr)
    return {};
  return fs::weakly_canonical(info.dli_fname).parent_path();
}

void split_into(const char* paths, std::vector<fs::path>& folders) {
  std::istringstream stream(paths == nullptr ? "" : paths);
  for (std::string folder; std::getline(stream, folder, ':');)
    if (!folder.empty()) folders.emplace_back(folder);
}

std::vector<fs::path> default_folders() {
  std::vector<fs::path> folders;
  split_into(std::getenv("GREVY_PLUGIN_PATH"), folders);
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data != nullptr && *data != 0)
    folders.push_back(fs::path(data) / "grevy/plugins");
  else if (home != nullptr && *home != 0)
    folders.push_back(fs::path(home) / ".local/share/grevy/plugins");
  folders.push_back(library_folder() / "grevy/plugins");
  return folders;
}

fs::path resolve(const fs::path& file) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(file, error);
  if (error) throw Error(ErrorCode::io, file.string() + ": " + error.message());
  return canonical;
}

class Discovery {
 public:
  explicit Discovery(const HostOptions& options) : options_(options) {}

  Discovered all() {
    for (const fs::path& path : options_.plugin_path) {
      std::error_code error;
      if (!fs::exists(path, error))
        throw Error(ErrorCode::not_found, path.string() + ": no such plugin folder or file");
      if (fs::is_directory(path)) {
        require_trust(resolve(path));
        add_folder(path);
      } else {
        require_file(path);
      }
    }
    if (options_.search_default_folders)
      for (const fs::path& folder : default_folders()) add_default_folder(folder);
    return std::move(found_);
  }

 private:
  std::string distrust_of(const fs::path& path) const {
    return options_.allow_writable_plugins ? "" : find_distrust(path);
  }

  void add_file(const fs::path& file) {
    const fs::path canonical = resolve(file);
    if (!seen_.insert(canonical).second) return;
    PluginManifest manifest = read_manifest(canonical);
    require_trust(canonical);
    found_.plugins.push_back(std::move(manifest));
  }

  void require_trust(const fs::path& canonical) const {
    const std::string distrust = distrust_of(canonical);
    if (!distrust.empty()) throw Error(ErrorCode::incompatible, distrust);
  }

  // A file that was asked for must be usable, also where a folder has shown it before.
  void require_file(const fs::path& file) {
    add_file(file);
    const fs::path canonical = resolve(file);
    for (const PluginManifest& plugin : found_.plugins) {
      if (plugin.file != canonical) continue;
      if (plugin.problem.empty()) return;
      throw Error(ErrorCode::incompatible, plugin.file.string() + ": " + plugin.problem);
    }
    read_manifest(canonical);  // refused in a folder before: says again why
    require_trust(canonical);
  }

  void refuse(const fs::path& file, const std::string& reason) {
    found_.refused.push_back({file, reason});
  }

  // A folder that nobody has asked for in this call is left out, with a line.
  void add_default_folder(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) return;
    try {
      require_trust(resolve(folder));
      add_folder(folder);
    } catch (const Error& e) {
      refuse(folder, e.what());
      if (options_.log) options_.log(LogLevel::warning, "plugins", e.what());
    }
  }

  // Files in a folder are taken as they come: what is no plugin is remembered, not an error.
  void add_folder(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (entry.path().extension() == ".so") files.push_back(entry.path());
    if (error) throw Error(ErrorCode::io, folder.string() + ": cannot be read: " + error.message());
    found_.folders.push_back(fs::weakly_canonical(folder));
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) try {
        add_file(file);
      } catch (const Error& e) {
        refuse(file, e.what());
      }
  }

  const HostOptions& options_;
  Discovered found_;
  std::set<fs::path> seen_;  // canonical
};

}  // namespace

Discovered discover(const HostOptions& options) { return Discovery(options).all(); }

}  // namespace grevy::host

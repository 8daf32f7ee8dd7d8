// Which plugins components are made from, whoever names them.
#ifndef GREVY_HOST_USED_PLUGINS_HPP
#define GREVY_HOST_USED_PLUGINS_HPP

#include <grevy/host/host.hpp>

#include <filesystem>
#include <set>

namespace grevy::host {

// Collects, as long as it lives, the files of the plugins that components made on this thread come
// from: also of those that components make themselves, under names that no experiment shows.
class UsedPlugins {
 public:
  UsedPlugins();
  ~UsedPlugins();
  UsedPlugins(const UsedPlugins&) = delete;
  UsedPlugins& operator=(const UsedPlugins&) = delete;

  const std::set<std::filesystem::path>& files() const { return files_; }

 private:
  friend void note_use(const PluginManifest& plugin);
  UsedPlugins* outer_;
  std::set<std::filesystem::path> files_;
};

// A component of this plugin is being made.
void note_use(const PluginManifest& plugin);

}  // namespace grevy::host

#endif

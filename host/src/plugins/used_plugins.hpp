// Which plugins components are made from, whoever names them.
#ifndef GREVY_HOST_USED_PLUGINS_HPP
#define GREVY_HOST_USED_PLUGINS_HPP

#include <grevy/host/host.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <mutex>
#include <set>

namespace grevy::host {

// The files of the plugins that components come from which are made under a Scope of it, and of
// those that these components make themselves, then or at any time later, under names that no
// experiment shows. From any thread.
class UsedPlugins {
 public:
  void add(const std::filesystem::path& file);
  std::set<std::filesystem::path> files() const;

  // As long as it lives, components that are made on this thread count here.
  class Scope {
   public:
    explicit Scope(std::shared_ptr<UsedPlugins> used);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<UsedPlugins> outer_;
  };
  // Of the innermost scope of this thread; null: there is none.
  static std::shared_ptr<UsedPlugins> current();

 private:
  mutable std::mutex mutex_;
  std::set<std::filesystem::path> files_;
};

// A plugin as checkpoints and summaries name it: {"id", "version", "file", "sha256"}; sha256 is
// null for one that is linked into the application. Errors: those of Host::hash; invalid_value for
// a file whose name is not UTF-8.
nlohmann::json describe_plugin(const Host& host, const PluginManifest& plugin);

// The host's plugin that a stored description is of: same id and hash. Null: it has none.
const PluginManifest* find_unchanged(const Host& host, const nlohmann::json& description);

}  // namespace grevy::host

#endif

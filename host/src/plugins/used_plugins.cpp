#include "plugins/used_plugins.hpp"

#include "files/utf8_text.hpp"

#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;

thread_local std::shared_ptr<UsedPlugins> innermost;

// null: linked into the application, not in a file.
json hash_of(const Host& host, const PluginManifest& plugin) {
  const std::string hash = host.hash(plugin);
  return hash.empty() ? json(nullptr) : json(hash.substr(hash.find(':') + 1));
}

}  // namespace

void UsedPlugins::add(const std::filesystem::path& file) {
  const std::lock_guard lock(mutex_);
  files_.insert(file);
}

std::set<std::filesystem::path> UsedPlugins::files() const {
  const std::lock_guard lock(mutex_);
  return files_;
}

UsedPlugins::Scope::Scope(std::shared_ptr<UsedPlugins> used)
    : outer_(std::exchange(innermost, std::move(used))) {}
UsedPlugins::Scope::~Scope() { innermost = std::move(outer_); }

std::shared_ptr<UsedPlugins> UsedPlugins::current() { return innermost; }

json describe_plugin(const Host& host, const PluginManifest& plugin) {
  return {{"id", plugin.id},
          {"version", plugin.version},
          {"file", require_utf8(plugin.file.string(), "a plugin's path: ")},
          {"sha256", hash_of(host, plugin)}};
}

const PluginManifest* find_unchanged(const Host& host, const json& description) {
  for (const PluginManifest& plugin : host.plugins())
    if (plugin.id == description.at("id") && hash_of(host, plugin) == description.at("sha256"))
      return &plugin;
  return nullptr;
}

}  // namespace grevy::host

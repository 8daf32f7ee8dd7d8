#include "plugins/used_plugins.hpp"

namespace grevy::host {
namespace {

thread_local UsedPlugins* innermost = nullptr;

}  // namespace

UsedPlugins::UsedPlugins() : outer_(innermost) { innermost = this; }
UsedPlugins::~UsedPlugins() { innermost = outer_; }

void note_use(const PluginManifest& plugin) {
  for (UsedPlugins* at = innermost; at != nullptr; at = at->outer_) at->files_.insert(plugin.file);
}

}  // namespace grevy::host

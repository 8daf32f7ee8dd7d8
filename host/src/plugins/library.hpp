// One plugin's library, opened and checked against its manifest.
#ifndef GREVY_HOST_LIBRARY_HPP
#define GREVY_HOST_LIBRARY_HPP

#include <grevy/host/host.hpp>

#include <deque>
#include <map>
#include <utility>
#include <variant>

namespace grevy::host {

// Reads the manifest notes of a file. Errors: not_found, incompatible (no plugin), each naming the
// file. A plugin for another ABI or LibTorch is returned with its `problem`.
PluginManifest read_manifest(const std::filesystem::path& file);

// The same from a plugin that is linked into this process. `file` of the result is
// "application/ID". Errors: incompatible.
PluginManifest read_manifest(const grevy_plugin* plugin);

// What a library must be before any of its code runs.
struct LoadRules {
  bool allow_writable = false;            // see HostOptions::allow_writable_plugins
  const PluginHashes* allowed = nullptr;  // see CreateOptions::allowed_plugins; null: all
};

// Errors: incompatible, saying what is allowed, unless `hash` ("sha256:...") is on the list.
void require_allowed(const PluginManifest& manifest, const std::string& hash,
                     const PluginHashes* allowed);

// Opened for good: the code stays loaded until the process ends. Tables shorter than ours, from an
// older SDK, are padded with slots that report "unimplemented".
class Library {
 public:
  // Errors: incompatible, where it breaks a rule or with the loader's own words; io.
  Library(const PluginManifest& manifest, const LoadRules& rules);
  // Of a plugin in this process.
  Library(const PluginManifest& manifest, const grevy_plugin* plugin);

  // The component's table, valid as long as the Library.
  const void* table(Kind kind, const std::string& name) const;
  // "sha256:..." of the file that was loaded; empty for a plugin in this process.
  const std::string& hash() const { return hash_; }

 private:
  using Table = std::variant<grevy_model_table, grevy_criterion_table, grevy_solver_table>;
  void add(const PluginManifest& manifest, const grevy_component* component);
  // What the manifest says of a component. Errors: incompatible where it says nothing, or the
  // component has been added before.
  const ComponentManifest& declared(const PluginManifest& manifest,
                                    const grevy_component* component) const;

  std::string hash_;
  std::deque<Table> tables_;  // stable addresses
  std::map<std::pair<Kind, std::string>, const void*> by_name_;
};

}  // namespace grevy::host

#endif

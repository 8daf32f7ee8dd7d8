// Which of the plugins a component is in.
#ifndef GREVY_HOST_CATALOGUE_HPP
#define GREVY_HOST_CATALOGUE_HPP

#include "plugins/discovery.hpp"

namespace grevy::host {

// The plugins of a Host; nothing in it runs their code. Its calls are those of Host by the same
// name.
class Catalogue {
 public:
  explicit Catalogue(Discovered found) : found_(std::move(found)) {}

  const std::vector<std::filesystem::path>& folders() const { return found_.folders; }
  const std::vector<PluginManifest>& plugins() const { return found_.plugins; }
  const std::vector<RefusedFile>& refused() const { return found_.refused; }

  Found find(Kind kind, std::string_view name) const;
  std::vector<std::string> names(Kind kind, const std::string& pattern) const;

  // Errors: incompatible for a plugin with a problem; invalid_value for an id or, unless its names
  // override, a component's name that exists already.
  void require_new(const PluginManifest& plugin) const;
  void add(PluginManifest plugin) { found_.plugins.push_back(std::move(plugin)); }
  void alias(Kind kind, std::string_view name, std::string_view other);

 private:
  std::vector<Found> matches(Kind kind, std::string_view name) const;
  [[noreturn]] void report_missing(Kind kind, std::string_view name) const;
  void require_free(Kind kind, std::string_view name) const;

  Discovered found_;
};

}  // namespace grevy::host

#endif

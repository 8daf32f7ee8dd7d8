#include "plugins/catalogue.hpp"

#include "plugins/name_pattern.hpp"
#include "plugins/nearest_name.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fnmatch.h>
#include <optional>
#include <set>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

// What a name says of a component's options, if the component answers to it.
std::optional<nlohmann::json> claim(const ComponentManifest& component, Kind kind,
                                    std::string_view name) {
  if (component.kind != kind) return std::nullopt;
  if (std::find(component.aliases.begin(), component.aliases.end(), name) !=
      component.aliases.end())
    return nlohmann::json::object();
  return match_name(component.name, name);
}

template <class Items, class Text>
std::string join(const Items& items, Text text) {
  std::string joined;
  for (const auto& item : items) joined += (joined.empty() ? "" : ", ") + std::string(text(item));
  return joined.empty() ? "none" : joined;
}

}  // namespace

void Catalogue::report_missing(Kind kind, std::string_view name) const {
  std::set<std::string> known;
  for (const PluginManifest& plugin : found_.plugins)
    for (const ComponentManifest& c : plugin.components)
      if (c.kind == kind) {
        known.insert(c.name);
        known.insert(c.aliases.begin(), c.aliases.end());
      }
  const std::string nearest = nearest_name(name, {known.begin(), known.end()});
  std::string message =
      "there is no " + std::string(to_string(kind)) + " \"" + detail::repaired(name, 255) + "\"";
  message += nearest.empty() ? ";" : "; did you mean \"" + nearest + "\"?";
  message += " known: " + join(known, [](const std::string& n) { return n; });
  message +=
      "; folders searched: " + join(found_.folders, [](const fs::path& f) { return f.string(); });
  if (!found_.refused.empty())
    message +=
        "; files not used: " + join(found_.refused, [](const RefusedFile& f) { return f.reason; });
  throw Error(ErrorCode::not_found, message);
}

std::vector<Found> Catalogue::matches(Kind kind, std::string_view name) const {
  std::vector<Found> found;
  const auto slash = name.rfind('/');
  const std::string_view id = slash == std::string_view::npos ? "" : name.substr(0, slash);
  const std::string_view plain = slash == std::string_view::npos ? name : name.substr(slash + 1);
  for (const PluginManifest& plugin : found_.plugins) {
    if (!id.empty() && plugin.id != id) continue;
    for (const ComponentManifest& component : plugin.components)
      if (const auto named = claim(component, kind, plain))
        found.push_back({&plugin, &component, named->dump()});
  }
  return found;
}

Found Catalogue::find(Kind kind, std::string_view name) const {
  std::vector<Found> found = matches(kind, name);
  if (found.empty()) report_missing(kind, name);
  // What was added last with `override` wins.
  for (std::size_t i = found.size(); i-- > 0 && found.size() > 1;)
    if (found[i].plugin->overrides) found = {Found(found[i])};
  if (found.size() > 1) {
    const bool same_id = found[0].plugin->id == found[1].plugin->id;
    throw Error(ErrorCode::invalid_value,
                "the " + std::string(to_string(kind)) + " \"" + std::string(name) +
                    "\" is claimed by " +
                    join(found,
                         [](const Found& f) {
                           return f.plugin->file.string() + " (" + f.plugin->id + ")";
                         }) +
                    (same_id ? "; these have the same id: remove one"
                             : "; say which with \"plugin-id/name\", or remove one"));
  }
  if (!found[0].plugin->problem.empty())
    throw Error(ErrorCode::incompatible,
                "the " + std::string(to_string(kind)) + " \"" + std::string(name) + "\" is in " +
                    found[0].plugin->file.string() + ", which " + found[0].plugin->problem);
  return found[0];
}

void Catalogue::require_new(const PluginManifest& plugin) const {
  if (!plugin.problem.empty())
    throw Error(ErrorCode::incompatible, plugin.file.string() + ": " + plugin.problem);
  for (const PluginManifest& other : found_.plugins)
    if (other.id == plugin.id)
      throw Error(ErrorCode::invalid_value,
                  "plugin \"" + plugin.id + "\" exists already, " + other.file.string());
  for (const ComponentManifest& component : plugin.components)
    if (!plugin.overrides) require_free(component.kind, component.name);
}

void Catalogue::require_free(Kind kind, std::string_view name) const {
  const std::vector<Found> taken = matches(kind, name);
  if (taken.empty()) return;
  throw Error(ErrorCode::invalid_value, "the " + std::string(to_string(kind)) + " \"" +
                                            std::string(name) + "\" exists already, in " +
                                            taken.front().plugin->file.string());
}

void Catalogue::alias(Kind kind, std::string_view name, std::string_view other) {
  const Found found = find(kind, name);
  if (other.empty() || other.find('/') != std::string_view::npos)
    throw Error(ErrorCode::invalid_value, "found \"" + detail::repaired(other, detail::max_name) +
                                              "\"; an alias has at least one byte and no \"/\"");
  require_free(kind, other);
  for (PluginManifest& plugin : found_.plugins)
    for (ComponentManifest& component : plugin.components)
      if (&component == found.component) component.aliases.emplace_back(other);
}

std::vector<std::string> Catalogue::names(Kind kind, const std::string& pattern) const {
  std::vector<std::string> names;
  for (const PluginManifest& plugin : found_.plugins)
    for (const ComponentManifest& component : plugin.components) {
      if (component.kind != kind) continue;
      if (fnmatch(pattern.c_str(), component.name.c_str(), 0) == 0) names.push_back(component.name);
      for (const std::string& alias : component.aliases)
        if (fnmatch(pattern.c_str(), alias.c_str(), 0) == 0) names.push_back(alias);
    }
  return names;
}

}  // namespace grevy::host

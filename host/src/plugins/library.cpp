#include "plugins/library.hpp"

#include "files/json_text.hpp"
#include "plugins/elf_links.hpp"
#include "plugins/elf_notes.hpp"
#include "plugins/loaded_files.hpp"
#include "plugins/trust.hpp"

#include <grevy/stamp.hpp>

#include <boost/dll/shared_library.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <set>
#include <tuple>

namespace grevy::host {
namespace {

using nlohmann::json;

// A reason may quote what the plugin says.
[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& reason) {
  throw Error(ErrorCode::incompatible, file.string() + ": " + detail::repaired(reason));
}

// Names are shown in terminals, and looked up with '/' between a plugin's and a component's.
std::string read_name(const json& note, const char* what, std::string_view forbidden = {}) {
  constexpr std::size_t max_size = 255;
  const std::string name = note.get<std::string>();
  const bool is_plain = std::none_of(name.begin(), name.end(), [&](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f' ||
           forbidden.find(c) != std::string_view::npos;
  });
  if (name.empty() || name.size() > max_size || !is_plain)
    throw Error(ErrorCode::incompatible,
                std::string("\"") + what + "\" must be 1 to " + std::to_string(max_size) +
                    " bytes without control characters" +
                    (forbidden.empty() ? "" : " and \"" + std::string(forbidden) + "\"") +
                    "; found " + std::to_string(name.size()) + " bytes: \"" +
                    detail::repaired(name, 64) + "\"");
  return name;
}

std::int64_t read_abi_number(const json& number) {
  if (!number.is_number_unsigned() || number.get<std::uint64_t>() > UINT32_MAX)
    throw Error(ErrorCode::incompatible,
                "\"abi\" must be two whole numbers from 0 on; found " + number.dump());
  return number.get<std::int64_t>();
}

ComponentManifest parse_component(Kind kind, const json& note) {
  ComponentManifest component;
  component.kind = kind;
  component.name = read_name(note.at("name"), "name", "/");
  for (const json& alias : note.at("aliases"))
    component.aliases.push_back(read_name(alias, "aliases", "/"));
  component.version = read_name(note.at("version"), "version");
  component.summary = note.at("summary").get<std::string>();
  if (!note.at("options").is_object())
    throw Error(ErrorCode::incompatible, "\"options\" is no object");
  component.options_schema = note.at("options").dump();
  return component;
}

void parse_plugin(const json& note, PluginManifest& manifest) {
  if (!manifest.id.empty()) throw Error(ErrorCode::incompatible, "two plugin notes");
  manifest.id = read_name(note.at("plugin"), "plugin");
  manifest.version = read_name(note.at("version"), "version");
  manifest.abi_major = read_abi_number(note.at("abi").at(0));
  manifest.abi_minor = read_abi_number(note.at("abi").at(1));
  manifest.stamp = note.at("stamp").get<std::string>();
}

json parse_note(std::string_view text) { return parse_shallow(text, ErrorCode::incompatible); }

// A component of a kind that only newer minor versions have is left out.
void add_component(const json& note, PluginManifest& manifest) {
  const std::string kind = note.at("kind").get<std::string>();
  for (Kind known : {Kind::model, Kind::criterion, Kind::solver})
    if (kind == to_string(known)) manifest.components.push_back(parse_component(known, note));
}

std::string find_problem(const PluginManifest& manifest) {
  if (manifest.abi_major != GREVY_ABI_MAJOR)
    return "was built for ABI " + std::to_string(manifest.abi_major) + "." +
           std::to_string(manifest.abi_minor) + "; this host has " +
           std::to_string(GREVY_ABI_MAJOR) + "." + std::to_string(GREVY_ABI_MINOR);
  if (!manifest.stamp.empty() && manifest.stamp != GREVY_STAMP)
    return "was built against \"" + manifest.stamp + "\"; this host has \"" GREVY_STAMP "\"";
  return {};
}

// A slot that an older plugin does not have.
template <class Slot>
struct Stub;
template <class... Args>
struct Stub<std::int32_t (*)(Args...)> {
  static std::int32_t call(Args... args) {
    const grevy_error_sink* errors = std::get<sizeof...(Args) - 1>(std::make_tuple(args...));
    return detail::report(errors, ErrorCode::unimplemented,
                          "the plugin does not offer this operation", {});
  }
};

template <class Slot>
void fill(Slot& slot) {
  if (slot == nullptr) slot = &Stub<Slot>::call;
}
void fill_slots(grevy_model_table& t) {
  fill(t.describe), fill(t.forward), fill(t.set_training), fill(t.visit_tensors);
}
void fill_slots(grevy_criterion_table& t) {
  fill(t.describe), fill(t.evaluate), fill(t.visit_tensors), fill(t.visit_statistics);
}
void fill_slots(grevy_solver_table& t) {
  fill(t.describe), fill(t.attach), fill(t.fit), fill(t.step), fill(t.validate), fill(t.transform);
  fill(t.visit_tensors), fill(t.save_state), fill(t.load_state);
}

template <class Table>
Table pad(const void* table) {
  std::uint32_t size = 0;
  std::memcpy(&size, table, sizeof(size));
  Table padded{};
  size -= size % sizeof(void*);  // a slot that is covered in part is not covered
  std::memcpy(&padded, table, std::min<std::size_t>(size, sizeof(Table)));
  padded.struct_size = sizeof(Table);
  if (padded.create == nullptr || padded.destroy == nullptr)
    throw Error(ErrorCode::incompatible, "has a component that cannot be created or destroyed");
  fill_slots(padded);
  return padded;
}

// Lazy binding would let a plugin with undefined symbols load and fail later; RTLD_NODELETE keeps
// its code for autograd nodes that outlive every handle.
boost::dll::shared_library open(const std::filesystem::path& file) {
  const auto mode = static_cast<boost::dll::load_mode::type>(RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  try {
    return boost::dll::shared_library(file.string(), mode);
  } catch (const std::exception& e) {
    refuse(file, std::string("does not load: ") + e.what());
  }
}

// Of every kind, also those that this host does not know.
std::size_t count_component_notes(const std::filesystem::path& file) {
  const std::vector<ElfNote> notes = read_grevy_notes(file);
  return static_cast<std::size_t>(std::count_if(
      notes.begin(), notes.end(), [](const ElfNote& n) { return n.type == GREVY_NOTE_COMPONENT; }));
}

const grevy_plugin* enter(boost::dll::shared_library& library, const PluginManifest& manifest) {
  if (!library.has(GREVY_ENTRY_NAME)) refuse(manifest.file, "does not export " GREVY_ENTRY_NAME);
  const auto entry = reinterpret_cast<grevy_plugin_entry_function>(
      &library.get<const grevy_plugin*()>(GREVY_ENTRY_NAME));
  // Of all hosts one at a time: an entry may fill in what it gives.
  static std::mutex entries;
  const std::lock_guard lock(entries);
  const grevy_plugin* plugin = entry();
  if (plugin == nullptr || !GREVY_COVERS(plugin, components) ||
      (plugin->components == nullptr && plugin->component_count != 0))
    refuse(manifest.file, "gives no valid descriptor");
  if (detail::view(plugin->id) != manifest.id || plugin->abi_major != manifest.abi_major ||
      plugin->abi_minor != manifest.abi_minor || detail::view(plugin->stamp) != manifest.stamp)
    refuse(manifest.file, "its descriptor and its manifest disagree");
  // A wrong count must not be followed beyond the end of the list.
  const std::size_t declared = count_component_notes(manifest.file);
  if (plugin->component_count > declared)
    refuse(manifest.file, "registers components that its manifest does not have: " +
                              std::to_string(plugin->component_count) + ", not " +
                              std::to_string(declared));
  return plugin;
}

}  // namespace

const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::model:
      return "model";
    case Kind::criterion:
      return "criterion";
    case Kind::solver:
      return "solver";
  }
  return "unknown kind";
}

namespace {

// A name must lead to one component of a plugin: nothing could choose between two.
void check_unique(const PluginManifest& manifest) {
  std::set<std::pair<Kind, std::string>> names;
  const auto add = [&](Kind kind, const std::string& name) {
    if (!names.emplace(kind, name).second)
      refuse(manifest.file, std::string("has a damaged manifest: the ") + to_string(kind) + " \"" +
                                name + "\" is there twice");
  };
  for (const ComponentManifest& c : manifest.components) {
    add(c.kind, c.name);
    for (const std::string& alias : c.aliases) add(c.kind, alias);
  }
}

// Compilers and linkers order notes as they please.
void finish(PluginManifest& manifest) {
  check_unique(manifest);
  std::sort(manifest.components.begin(), manifest.components.end(),
            [](const ComponentManifest& a, const ComponentManifest& b) {
              return std::tie(a.kind, a.name) < std::tie(b.kind, b.name);
            });
  manifest.problem = find_problem(manifest);
}

// An empty stamp promises that the file fits every LibTorch.
void check_promise(PluginManifest& manifest) {
  if (!manifest.problem.empty() || !manifest.stamp.empty()) return;
  const std::string needed = needed_of_libtorch(manifest.file);
  if (needed.empty()) return;
  manifest.problem = "has an empty stamp, as plugins without LibTorch have, but needs " +
                     detail::repaired(needed, detail::max_name) +
                     ": link nothing of LibTorch, or build it with the torch front";
}

}  // namespace

PluginManifest read_manifest(const std::filesystem::path& file) {
  PluginManifest manifest;
  manifest.file = std::filesystem::weakly_canonical(file);
  for (const ElfNote& note : read_grevy_notes(manifest.file)) {
    try {
      if (note.type == GREVY_NOTE_PLUGIN) parse_plugin(parse_note(note.text), manifest);
      if (note.type == GREVY_NOTE_COMPONENT) add_component(parse_note(note.text), manifest);
    } catch (const json::exception& e) {
      refuse(manifest.file, std::string("has a damaged manifest: ") + e.what());
    } catch (const Error& e) {
      refuse(manifest.file, std::string("has a damaged manifest: ") + e.what());
    }
  }
  if (manifest.id.empty()) refuse(manifest.file, "has a damaged manifest: no plugin note");
  finish(manifest);
  check_promise(manifest);
  return manifest;
}

PluginManifest read_manifest(const grevy_plugin* plugin) {
  if (plugin == nullptr || !GREVY_COVERS(plugin, components) ||
      (plugin->components == nullptr && plugin->component_count != 0))
    refuse("application", "gives no valid descriptor");
  PluginManifest manifest;
  manifest.id = detail::view(plugin->id);
  manifest.file = "application/" + manifest.id;
  manifest.version = detail::view(plugin->version);
  manifest.abi_major = plugin->abi_major;
  manifest.abi_minor = plugin->abi_minor;
  manifest.stamp = detail::view(plugin->stamp);
  for (std::uint32_t i = 0; i < plugin->component_count; ++i) {
    const grevy_component* component = plugin->components[i];
    if (component == nullptr || !GREVY_COVERS(component, manifest))
      refuse(manifest.file, "registers a component without a manifest");
    try {
      add_component(parse_note(detail::view(component->manifest)), manifest);
    } catch (const std::exception& e) {
      refuse(manifest.file, std::string("has a damaged manifest: ") + e.what());
    }
  }
  finish(manifest);
  return manifest;
}

void require_allowed(const PluginManifest& manifest, const std::string& hash,
                     const PluginHashes* allowed) {
  if (allowed == nullptr) return;
  const auto found = allowed->find(manifest.id);
  if (found != allowed->end() && found->second == hash) return;
  std::string list;
  for (const auto& [id, wanted] : *allowed)
    list += (list.empty() ? "\"" : ", \"") + id + "\": \"" + wanted + "\"";
  throw Error(ErrorCode::incompatible,
              manifest.file.string() + ": the plugin \"" + manifest.id + "\" has the hash " + hash +
                  ", which is not allowed; allowed plugins: " + (list.empty() ? "none" : list));
}

// Checked and hashed by the file that is open; the loader wants a name, which must still lead to
// that file afterwards, and must not be one that this process has loaded with another content.
Library::Library(const PluginManifest& manifest, const LoadRules& rules) {
  const PluginFile file(manifest.file);
  const std::string distrust = rules.allow_writable ? "" : find_distrust(manifest.file);
  if (!distrust.empty()) throw Error(ErrorCode::incompatible, distrust);
  const std::string hash = "sha256:" + file.sha256();
  require_allowed(manifest, hash, rules.allowed);
  boost::dll::shared_library library;
  load_unchanged(file, hash, [&] { library = open(manifest.file); });
  *this = Library(manifest, enter(library, manifest));
  hash_ = hash;
}

Library::Library(const PluginManifest& manifest, const grevy_plugin* plugin) {
  for (std::uint32_t i = 0; i < plugin->component_count; ++i) add(manifest, plugin->components[i]);
  for (const ComponentManifest& c : manifest.components)
    if (by_name_.count({c.kind, c.name}) == 0)
      refuse(manifest.file, "its manifest has a " + std::string(to_string(c.kind)) + " \"" +
                                c.name + "\" that it does not register");
}

const ComponentManifest& Library::declared(const PluginManifest& manifest,
                                           const grevy_component* component) const {
  const auto kind = static_cast<Kind>(component->kind);
  for (const ComponentManifest& c : manifest.components) {
    if (c.kind != kind || c.name != detail::view(component->name)) continue;
    if (by_name_.count({kind, c.name}) != 0)
      refuse(manifest.file,
             "registers the " + std::string(to_string(kind)) + " \"" + c.name + "\" twice");
    return c;
  }
  refuse(manifest.file,
         "registers components that its manifest does not have: a " + std::string(to_string(kind)));
}

void Library::add(const PluginManifest& manifest, const grevy_component* component) {
  if (component == nullptr || !GREVY_COVERS(component, table) || component->table == nullptr)
    refuse(manifest.file, "registers a component without a table");
  if (component->kind < GREVY_KIND_MODEL || component->kind > GREVY_KIND_SOLVER)
    return;  // a kind of a newer minor: not ours to use
  const ComponentManifest& known = declared(manifest, component);
  try {
    switch (component->kind) {
      case GREVY_KIND_MODEL:
        tables_.push_back(pad<grevy_model_table>(component->table));
        break;
      case GREVY_KIND_CRITERION:
        tables_.push_back(pad<grevy_criterion_table>(component->table));
        break;
      default:
        tables_.push_back(pad<grevy_solver_table>(component->table));
    }
  } catch (const Error& e) {
    refuse(manifest.file, e.what());
  }
  const void* table = std::visit([](const auto& t) -> const void* { return &t; }, tables_.back());
  by_name_[{known.kind, known.name}] = table;
}

const void* Library::table(Kind kind, const std::string& name) const {
  return by_name_.at({kind, name});
}

}  // namespace grevy::host

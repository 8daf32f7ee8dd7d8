// The file as a whole: what it says, what it shows to others, whether it loads.
#include "check.hpp"
#include "dynamic_symbols.hpp"
#include "plugins/library.hpp"

#include <algorithm>
#include <dlfcn.h>

namespace grevy::cli {
namespace {

void manifest(const Subject& subject) {
  const host::PluginManifest found = host::read_manifest(subject.target().file);
  if (!found.problem.empty()) throw Failed(found.problem);
  if (found.components.empty()) throw Failed("has no model, criterion or solver");
}

void exports(const Subject& subject) {
  std::vector<std::string> names = exported_symbols(subject.target().file);
  const auto entry = std::find(names.begin(), names.end(), GREVY_ENTRY_NAME);
  if (entry == names.end()) throw Failed("does not export " GREVY_ENTRY_NAME);
  names.erase(entry);
  // Some linkers leave their own marks in the table.
  for (const char* mark : {"_init", "_fini", "__bss_start", "_edata", "_end"})
    names.erase(std::remove(names.begin(), names.end(), mark), names.end());
  if (names.empty()) return;
  throw Failed("exports " + std::to_string(names.size()) +
               " symbol(s) besides " GREVY_ENTRY_NAME ", such as " + names.front());
}

void loads(const Subject& subject) {
  const std::string file = subject.target().file.string();
  if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == nullptr)
    throw Failed(dlerror());
}

void descriptor(const Subject& subject) {
  host::LoadRules rules;
  rules.allow_writable = subject.target().allow_writable_plugins;
  const host::Library library(host::read_manifest(subject.target().file), rules);
}

}  // namespace

Checks file_checks() {
  return {
      {"manifest", manifest, "the notes can be read and are for this host",
       "build with this installation's SDK; GREVY_PLUGIN must be there once, GREVY_REGISTER once "
       "for each component",
       true},
      {"exports", exports, "nothing but " GREVY_ENTRY_NAME " is exported",
       "build with grevy_add_plugin(), or with -fvisibility=hidden and a version script: two "
       "plugins with symbols of one name disturb each other"},
      {"loads", loads, "the library loads and every symbol is found",
       "link what the message names; -Wl,--no-undefined finds this when the plugin is linked",
       true},
      {"descriptor", descriptor, "the entry's descriptor agrees with the notes",
       "register each component with GREVY_REGISTER; in C keep notes and descriptor alike", true},
  };
}

}  // namespace grevy::cli

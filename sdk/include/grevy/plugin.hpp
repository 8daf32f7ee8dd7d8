// grevy/plugin.hpp: everything a plugin includes, and the two macros that make one.
//
//   GREVY_PLUGIN("my-lab.losses", "1.0.0")               // once, in any file of the plugin
//   GREVY_REGISTER(Class, "name", "One line about it.")  // once per component, after the class
//
// Class derives from grevy::Model, Criterion, ContrastiveCriterion or Solver, has a nested literal
// type Options (see options.hpp; grevy::NoOptions if it has none) and a constructor
// Class(const Options&, const grevy::Context&). The macros leave the manifest in the file, for the
// host to read without running the plugin.
#ifndef GREVY_PLUGIN_HPP
#define GREVY_PLUGIN_HPP

#include <grevy/detail/note.hpp>
#include <grevy/detail/trampoline.hpp>
#include <grevy/layers.hpp>
#include <grevy/stamp.hpp>

namespace grevy::detail {

template <class Registration>
struct ComponentManifest {
  template <class Out>
  static constexpr void write(Out& out) {
    constexpr auto kind = slots_of<Registration>().first;
    write_raw(out, "{\"kind\":");
    write_string(out, kind == GREVY_KIND_MODEL       ? "model"
                      : kind == GREVY_KIND_CRITERION ? "criterion"
                                                     : "solver");
    write_raw(out, ",\"name\":");
    write_string(out, Registration::names[0]);
    write_raw(out, ",\"aliases\":[");
    for (std::size_t i = 2; i < std::size(Registration::names); ++i) {
      if (i > 2) out.put(',');
      write_string(out, Registration::names[i]);
    }
    write_raw(out, "],\"version\":");
    write_string(out, Registration::Class::version);
    write_raw(out, ",\"summary\":");
    write_string(out, Registration::names[1]);
    write_raw(out, ",\"options\":");
    write_raw(out, options_schema<typename Registration::Class::Options>());
    out.put('}');
  }
};

template <class Registration>
struct PluginManifest {
  template <class Out>
  static constexpr void write(Out& out) {
    write_raw(out, "{\"plugin\":");
    write_string(out, Registration::id);
    write_raw(out, ",\"version\":");
    write_string(out, Registration::version);
    write_raw(out, ",\"abi\":[");
    write_unsigned(out, GREVY_ABI_MAJOR);
    out.put(',');
    write_unsigned(out, GREVY_ABI_MINOR);
    write_raw(out, "],\"stamp\":");
    write_string(out, GREVY_STAMP);
    out.put('}');
  }
};

template <class Writer>
constexpr auto make_manifest_note(std::uint32_t type) {
  return make_note<text_size<Writer>()>(type, text<Writer>.view());
}

// The components of this library, filled while it is loaded. Hidden, so that each plugin has a list
// of its own however it was compiled.
__attribute__((visibility("hidden"))) inline std::vector<const grevy_component*>& registered() {
  static std::vector<const grevy_component*> components;
  return components;
}

template <class Registration>
struct Registrar {
  Registrar() {
    static const grevy_component component = {
        sizeof(grevy_component), static_cast<std::uint32_t>(slots_of<Registration>().first),
        text_of(text<ComponentManifest<Registration>>.view()), text_of(Registration::names[0]),
        slots_of<Registration>().second};
    registered().push_back(&component);
  }
};

__attribute__((visibility("hidden"))) inline const grevy_plugin* make_plugin(
    std::string_view version) {
  static const grevy_plugin plugin = {
      sizeof(grevy_plugin), GREVY_ABI_MAJOR,
      GREVY_ABI_MINOR,      static_cast<std::uint32_t>(registered().size()),
      text_of(plugin_id),   text_of(version),
      text_of(GREVY_STAMP), registered().data()};
  return &plugin;
}

}  // namespace grevy::detail

#define GREVY_JOIN_(a, b) a##b
#define GREVY_JOIN(a, b) GREVY_JOIN_(a, b)

// GREVY_REGISTER(Class, "name", "One line about it.", "alias", ...) makes a component of a class,
// at namespace scope, after the class; aliases are further names, if any. A name holds no '/' and
// is unique among the components of a kind; "{option}" in it stands for a number that the option is
// set to.
#define GREVY_REGISTER(ClassName, ...) GREVY_REGISTER_(ClassName, __COUNTER__, __VA_ARGS__)
#define GREVY_REGISTER_(ClassName, number, ...)                                               \
  namespace {                                                                                 \
  struct GREVY_JOIN(GrevyRegistration, number) {                                              \
    using Class = ClassName;                                                                  \
    static constexpr std::string_view names[] = {__VA_ARGS__};                                \
    static_assert(std::size(names) >= 2, "GREVY_REGISTER(Class, name, summary, aliases...)"); \
  };                                                                                          \
  GREVY_NOTE_SECTION constexpr auto GREVY_JOIN(grevy_note, number) =                          \
      ::grevy::detail::make_manifest_note<                                                    \
          ::grevy::detail::ComponentManifest<GREVY_JOIN(GrevyRegistration, number)>>(         \
          GREVY_NOTE_COMPONENT);                                                              \
  const ::grevy::detail::Registrar<GREVY_JOIN(GrevyRegistration, number)> GREVY_JOIN(         \
      grevy_registrar, number);                                                               \
  }

// GREVY_PLUGIN("vendor.plugin", "1.0.0") makes a plugin of the library: its id, its version, and
// the exported entry. At global scope, once in a library.
#define GREVY_PLUGIN(plugin_id_text, version_text)                                                \
  namespace {                                                                                     \
  struct GrevyPluginRegistration {                                                                \
    static constexpr std::string_view id = plugin_id_text, version = version_text;                \
  };                                                                                              \
  GREVY_NOTE_SECTION constexpr auto grevy_plugin_note = ::grevy::detail::make_manifest_note<      \
      ::grevy::detail::PluginManifest<GrevyPluginRegistration>>(GREVY_NOTE_PLUGIN);               \
  }                                                                                               \
  namespace grevy::detail {                                                                       \
  const std::string_view plugin_id = plugin_id_text;                                              \
  }                                                                                               \
  extern "C" __attribute__((visibility("default"))) const grevy_plugin* grevy_plugin_entry_v1() { \
    return ::grevy::detail::make_plugin(version_text);                                            \
  }

#endif

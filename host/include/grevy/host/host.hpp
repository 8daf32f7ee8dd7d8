// grevy/host/host.hpp: finds plugins and makes components from them.
#ifndef GREVY_HOST_HOST_HPP
#define GREVY_HOST_HOST_HPP

#include <grevy/calls.hpp>

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grevy::host {

// What a component is.
enum class Kind {
  model = GREVY_KIND_MODEL,
  criterion = GREVY_KIND_CRITERION,
  solver = GREVY_KIND_SOLVER
};

// "model", "criterion", "solver".
const char* to_string(Kind kind);

// How much a line of the log matters.
enum class LogLevel { debug = GREVY_LOG_DEBUG, info, warning, error };

// What a plugin's file says about one component.
struct ComponentManifest {
  Kind kind = Kind::model;  // which table it has
  std::string name;         // "{option}" in it stands for a number that the option is set to
  std::vector<std::string> aliases;  // further names, also those given by Host::alias
  std::string version;               // for people; nothing is decided by it
  std::string summary;               // one line
  std::string options_schema;        // JSON Schema of its options
};

// What a plugin's file says about itself, read without running it.
struct PluginManifest {
  std::filesystem::path file;                 // canonical; "application/ID" of one that was added
  std::string id, version;                    // as GREVY_PLUGIN has them
  std::int64_t abi_major = 0, abi_minor = 0;  // that it was built for
  std::string stamp;                          // LibTorch it was built against; empty: none
  std::string problem;                        // why it cannot be used here; empty: it can
  bool overrides = false;                     // its names win over those of other plugins
  std::vector<ComponentManifest> components;  // by kind, then name
};

// A file in a plugin folder that is no plugin at all, or a file or folder that others may change.
struct RefusedFile {
  std::filesystem::path file;  // as found
  std::string reason;          // one line, with the file's name
};

// A component and the plugin it is in. Valid until the Host changes (add) or goes.
struct Found {
  const PluginManifest* plugin = nullptr;        // the Host's
  const ComponentManifest* component = nullptr;  // the Host's
  std::string options = "{}";  // JSON: what the name says of the options, {"clip_min": 5}
};

// Where a Host looks for plugins, and who hears its log.
struct HostOptions {
  // Folders with plugins, or plugin files, searched before all others. One that does not exist, and
  // a file that is no usable plugin, is an error.
  std::vector<std::filesystem::path> plugin_path;
  // Whether to go on with GREVY_PLUGIN_PATH (colon-separated), the user's folder
  // ($XDG_DATA_HOME/grevy/plugins, else ~/.local/share/grevy/plugins) and the folder of the
  // installation. Folders of these that do not exist are left out.
  bool search_default_folders = true;
  // Whether plugins may lie where others can change them. Without it, a file or folder, and every
  // folder above it, must belong to root, to this process's user or to the owner of libgrevy, and
  // be writable for its owner alone; a folder above may be writable for others where it is sticky,
  // as /tmp is. Access control lists are not looked at. What is refused: an error for entries of
  // plugin_path, else a line in Host::refused and in the log.
  bool allow_writable_plugins = false;
  // Called for every line that the host or a plugin logs, from whichever thread logs, perhaps by
  // several at once; the texts are lent for the call. It must not throw. Default: none.
  std::function<void(LogLevel, std::string_view component, std::string_view message)> log;
};

// By plugin id, the hash of the file: "sha256:" and 64 hexadecimal digits.
using PluginHashes = std::map<std::string, std::string>;

// What a component is made with, besides its options.
struct CreateOptions {
  at::Device device = at::kCPU;  // where its parameters live
  std::uint64_t seed = 0;        // for everything random in it
  std::int64_t num_input = 0;  // models: number of channels, >= 1; solvers: that of the first model
  // Where given, only these plugins, with these hashes, are loaded for the component and for those
  // that it makes itself; what an application has added needs no file and is always allowed.
  std::optional<PluginHashes> allowed_plugins = {};
};

// A Host has no global state: several may live in one process, each with its own folders. Reading
// manifests happens in the constructor; a plugin's library is opened when its first component is
// made, and stays loaded until the process ends. Components must not outlive their Host.
// Threads: const calls and create_* from any thread (components are made one after the other, each
// on the thread that asks); add and alias while no other thread calls anything but log. Making a
// Trainer calls create_*.
class Host {
 public:
  // Errors: not_found, incompatible for entries of plugin_path (see HostOptions), io for one that
  // cannot be read.
  explicit Host(HostOptions options = {});
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::vector<std::filesystem::path>& folders() const;  // searched, in order
  const std::vector<PluginManifest>& plugins() const;         // found, in the order of the folders
  const std::vector<RefusedFile>& refused() const;            // what else lay in the folders
  // "sha256:..." of the file of one of plugins(): as it was when its library was opened, else as it
  // is now; empty for one that was added. By id: of the first that has it. Errors: not_found (no
  // such plugin), io.
  std::string hash(const PluginManifest& plugin) const;
  std::string hash(std::string_view plugin_id) const;

  // Looks a component up by name, alias or "plugin-id/name", in the manifests alone.
  // Errors: not_found (lists the names that exist, the nearest one and the folders),
  // invalid_value (two plugins claim the name; names both files), incompatible (the plugin was
  // built for another ABI or LibTorch).
  Found find(Kind kind, std::string_view name) const;

  // Names and aliases of a kind in the order of the plugins, those that match a shell pattern
  // ("offset1?-*"). A family is listed once, with "{option}" in its name.
  std::vector<std::string> names(Kind kind, const std::string& pattern = "*") const;

  // Adds a plugin that is linked into this process: an application registers components with
  // GREVY_REGISTER and GREVY_PLUGIN in its own sources and hands over grevy_plugin_entry_v1().
  // The descriptor is read now and is not needed afterwards; its functions are, until the process
  // ends. With override_names this plugin's components are the ones found from now on.
  // Errors: invalid_value for an id or, unless override_names, a component's name that exists
  // already; incompatible for another ABI or LibTorch.
  void add(const grevy_plugin* plugin, bool override_names = false);
  // A further name for a component. Errors: those of find(); invalid_value where it is taken.
  void alias(Kind kind, std::string_view name, std::string_view other);

  // Makes a component, which must not outlive the Host. `options` is a JSON object without "name";
  // it wins over what the name says. Errors: those of find(); incompatible (the library does not
  // load, is not what its manifest says, is not among CreateOptions::allowed_plugins, may be
  // changed by others, or is another one by now than the one that this process has loaded under its
  // name); PluginError.
  Owned<ModelRef> create_model(std::string_view name, std::string_view options,
                               const CreateOptions& create);
  Owned<CriterionRef> create_criterion(std::string_view name, std::string_view options,
                                       const CreateOptions& create);
  Owned<SolverRef> create_solver(std::string_view name, std::string_view options,
                                 const CreateOptions& create);

  // One line to HostOptions::log. From any thread.
  void log(LogLevel level, std::string_view component, std::string_view message) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Checks a new model by asking it to embed a few windows of zeros and noise: its description must
// be valid and its outputs must have the shapes that it promises. `create`: what it was made with.
// It is in training mode afterwards. Errors: PluginError.
void check_model(const ModelRef& model, const CreateOptions& create);

// "cpu", "cuda", "cuda:N" or "cuda_if_available" -> device. Errors: invalid_value (malformed),
// not_found (no such device here, and what there is).
at::Device parse_device(const std::string& text);

}  // namespace grevy::host

#endif

#include "files/file_hash.hpp"
#include "files/json_text.hpp"
#include "ops/functions.hpp"
#include "plugins/library.hpp"
#include "plugins/name_pattern.hpp"
#include "plugins/nearest_name.hpp"
#include "plugins/trust.hpp"
#include "plugins/used_plugins.hpp"

#include <grevy/host/host.hpp>

#include <nlohmann/json.hpp>
#include <torch/cuda.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fnmatch.h>
#include <map>
#include <mutex>
#include <optional>
#include <set>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

// Where libgrevy lies, to find the plugins installed with it.
fs::path library_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&to_string), &info) == 0 || info.dli_fname == nullptr)
    return {};
  return fs::weakly_canonical(info.dli_fname).parent_path();
}

void split_into(const char* paths, std::vector<fs::path>& folders) {
  std::istringstream stream(paths == nullptr ? "" : paths);
  for (std::string folder; std::getline(stream, folder, ':');)
    if (!folder.empty()) folders.emplace_back(folder);
}

std::vector<fs::path> default_folders() {
  std::vector<fs::path> folders;
  split_into(std::getenv("GREVY_PLUGIN_PATH"), folders);
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (data != nullptr && *data != 0)
    folders.push_back(fs::path(data) / "grevy/plugins");
  else if (home != nullptr && *home != 0)
    folders.push_back(fs::path(home) / ".local/share/grevy/plugins");
  folders.push_back(library_folder() / "grevy/plugins");
  return folders;
}

fs::path resolve(const fs::path& file) {
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(file, error);
  if (error) throw Error(ErrorCode::io, file.string() + ": " + error.message());
  return canonical;
}

// What a name says of a component's options, if the component answers to it.
std::optional<nlohmann::json> claim(const ComponentManifest& component, Kind kind,
                                    std::string_view name) {
  if (component.kind != kind) return std::nullopt;
  if (std::find(component.aliases.begin(), component.aliases.end(), name) !=
      component.aliases.end())
    return nlohmann::json::object();
  return match_name(component.name, name);
}

// What is given wins over what the name says. Text that is no object is left for the component to
// refuse.
std::string with_named_options(const std::string& named, std::string_view given) {
  const auto object =
      parse_shallow(given.empty() ? "{}" : given, ErrorCode::invalid_value, /*discard=*/true);
  if (!object.is_object()) return std::string(given);
  auto merged = nlohmann::json::parse(named);
  merged.update(object);
  return merged.dump();
}

// A newer or older plugin's struct: what both know, defaults for the rest.
grevy_create_args common_part(const grevy_create_args& given) {
  grevy_create_args args{};
  args.device = detail::text_of("cpu");
  if (GREVY_COVERS(&given, options)) args.options = given.options;
  if (GREVY_COVERS(&given, device)) args.device = given.device;
  if (GREVY_COVERS(&given, seed)) args.seed = given.seed;
  if (GREVY_COVERS(&given, num_input)) args.num_input = given.num_input;
  return args;
}

template <class Items, class Text>
std::string join(const Items& items, Text text) {
  std::string joined;
  for (const auto& item : items) joined += (joined.empty() ? "" : ", ") + std::string(text(item));
  return joined.empty() ? "none" : joined;
}

}  // namespace

struct Host::Impl {
  HostOptions options;
  std::vector<fs::path> folders;
  std::vector<PluginManifest> plugins;
  std::vector<RefusedFile> refused;
  // The host as the components of a run see it: those that they make obey the run's list as well.
  struct View {
    Impl* impl = nullptr;
    const PluginHashes* allowed = nullptr;
    grevy_host table{};
  };
  // What making components changes. Recursive: they make others.
  mutable std::recursive_mutex mutex;
  std::map<fs::path, Library> libraries;  // those that have been opened
  std::map<std::optional<PluginHashes>, View> views;
  int depth = 0;  // of components that make components

  std::string distrust_of(const fs::path& path) const {
    return options.allow_writable_plugins ? "" : find_distrust(path);
  }

  void add_file(const fs::path& file, std::set<fs::path>& seen) {
    const fs::path canonical = resolve(file);
    if (!seen.insert(canonical).second) return;
    PluginManifest manifest = read_manifest(canonical);
    require_trust(canonical);
    plugins.push_back(std::move(manifest));
  }

  void require_trust(const fs::path& canonical) const {
    const std::string distrust = distrust_of(canonical);
    if (!distrust.empty()) throw Error(ErrorCode::incompatible, distrust);
  }

  // A file that was asked for must be usable, also where a folder has shown it before.
  void require_file(const fs::path& file, std::set<fs::path>& seen) {
    add_file(file, seen);
    const fs::path canonical = resolve(file);
    for (const PluginManifest& plugin : plugins) {
      if (plugin.file != canonical) continue;
      if (plugin.problem.empty()) return;
      throw Error(ErrorCode::incompatible, plugin.file.string() + ": " + plugin.problem);
    }
    read_manifest(canonical);  // refused in a folder before: says again why
    require_trust(canonical);
  }

  void refuse(const fs::path& file, const std::string& reason) {
    refused.push_back({file, reason});
  }

  // A folder that nobody has asked for in this call is left out, with a line.
  void add_default_folder(const fs::path& folder, std::set<fs::path>& seen) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) return;
    try {
      require_trust(resolve(folder));
      add_folder(folder, seen);
    } catch (const Error& e) {
      refuse(folder, e.what());
      log(LogLevel::warning, "plugins", e.what());
    }
  }

  void log(LogLevel level, std::string_view component, std::string_view message) const {
    if (options.log) options.log(level, component, message);
  }

  // Files in a folder are taken as they come: what is no plugin is remembered, not an error.
  void add_folder(const fs::path& folder, std::set<fs::path>& seen) {
    std::error_code error;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder, error))
      if (entry.path().extension() == ".so") files.push_back(entry.path());
    if (error) throw Error(ErrorCode::io, folder.string() + ": cannot be read: " + error.message());
    folders.push_back(fs::weakly_canonical(folder));
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) try {
        add_file(file, seen);
      } catch (const Error& e) {
        refuse(file, e.what());
      }
  }

  void discover() {
    std::set<fs::path> seen;
    for (const fs::path& path : options.plugin_path) {
      std::error_code error;
      if (!fs::exists(path, error))
        throw Error(ErrorCode::not_found, path.string() + ": no such plugin folder or file");
      if (fs::is_directory(path)) {
        require_trust(resolve(path));
        add_folder(path, seen);
      } else {
        require_file(path, seen);
      }
    }
    if (!options.search_default_folders) return;
    for (const fs::path& folder : default_folders()) add_default_folder(folder, seen);
  }

  [[noreturn]] void report_missing(Kind kind, std::string_view name) const {
    std::set<std::string> known;
    for (const PluginManifest& plugin : plugins)
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
    message += "; folders searched: " + join(folders, [](const fs::path& f) { return f.string(); });
    if (!refused.empty())
      message +=
          "; files not used: " + join(refused, [](const RefusedFile& f) { return f.reason; });
    throw Error(ErrorCode::not_found, message);
  }

  std::vector<Found> matches(Kind kind, std::string_view name) const {
    std::vector<Found> found;
    const auto slash = name.rfind('/');
    const std::string_view id = slash == std::string_view::npos ? "" : name.substr(0, slash);
    const std::string_view plain = slash == std::string_view::npos ? name : name.substr(slash + 1);
    for (const PluginManifest& plugin : plugins) {
      if (!id.empty() && plugin.id != id) continue;
      for (const ComponentManifest& component : plugin.components)
        if (const auto named = claim(component, kind, plain))
          found.push_back({&plugin, &component, named->dump()});
    }
    return found;
  }

  Found find(Kind kind, std::string_view name) const {
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

  void add(const grevy_plugin* given, bool override_names) {
    PluginManifest plugin = read_manifest(given);
    if (!plugin.problem.empty())
      throw Error(ErrorCode::incompatible, plugin.file.string() + ": " + plugin.problem);
    for (const PluginManifest& other : plugins)
      if (other.id == plugin.id)
        throw Error(ErrorCode::invalid_value,
                    "plugin \"" + plugin.id + "\" exists already, " + other.file.string());
    for (const ComponentManifest& component : plugin.components)
      if (!override_names) require_free(component.kind, component.name);
    plugin.overrides = override_names;
    const std::lock_guard lock(mutex);
    libraries.emplace(plugin.file, Library(plugin, given));
    plugins.push_back(std::move(plugin));
  }

  void require_free(Kind kind, std::string_view name) const {
    const std::vector<Found> taken = matches(kind, name);
    if (taken.empty()) return;
    throw Error(ErrorCode::invalid_value, "the " + std::string(to_string(kind)) + " \"" +
                                              std::string(name) + "\" exists already, in " +
                                              taken.front().plugin->file.string());
  }

  void alias(Kind kind, std::string_view name, std::string_view other) {
    const Found found = find(kind, name);
    if (other.empty() || other.find('/') != std::string_view::npos)
      throw Error(ErrorCode::invalid_value, "found \"" + detail::repaired(other, detail::max_name) +
                                                "\"; an alias has at least one byte and no \"/\"");
    require_free(kind, other);
    for (PluginManifest& plugin : plugins)
      for (ComponentManifest& component : plugin.components)
        if (&component == found.component) component.aliases.emplace_back(other);
  }

  const Library& open(const PluginManifest& plugin, const PluginHashes* allowed) {
    const auto at = libraries.find(plugin.file);
    if (at != libraries.end()) {
      const bool has_file = !at->second.hash().empty();
      if (has_file) require_allowed(plugin, at->second.hash(), allowed);
      return at->second;
    }
    const LoadRules rules{options.allow_writable_plugins, allowed};
    return libraries.emplace(plugin.file, Library(plugin, rules)).first->second;
  }

  // By file: several may have one id.
  std::string hash(const PluginManifest& given) const {
    const std::lock_guard lock(mutex);
    const bool is_known = std::any_of(plugins.begin(), plugins.end(), [&](const auto& plugin) {
      return plugin.file == given.file;
    });
    if (!is_known)
      throw Error(ErrorCode::not_found, given.file.string() + ": this host has no such plugin");
    const auto at = libraries.find(given.file);
    return at != libraries.end() ? at->second.hash() : "sha256:" + sha256_of_file(given.file);
  }

  std::string hash(std::string_view id) const {
    for (const PluginManifest& plugin : plugins)
      if (plugin.id == id) return hash(plugin);
    throw Error(ErrorCode::not_found,
                "there is no plugin \"" + detail::repaired(id, detail::max_name) + "\"");
  }

  struct Made {
    grevy_instance instance;
    std::string name, plugin;
  };

  Made create(const View& view, Kind kind, std::string_view name, grevy_create_args args) {
    const std::lock_guard lock(mutex);
    constexpr int max_depth = 16;
    if (depth >= max_depth)
      throw Error(ErrorCode::invalid_state,
                  "components nest deeper than " + std::to_string(max_depth));
    const Found found = find(kind, name);
    const std::string_view plain = name.substr(name.rfind('/') + 1);
    const bool family = found.component->name.find('{') != std::string::npos;
    const Library& library = open(*found.plugin, view.allowed);
    Made made{{library.table(kind, found.component->name), nullptr},
              family ? std::string(plain) : found.component->name,
              found.plugin->id};
    const std::string merged = with_named_options(found.options, detail::view(args.options));
    args.struct_size = sizeof(args);
    args.host = &view.table;
    args.name = detail::text_of(plain);
    args.options = detail::text_of(merged);
    // Every table begins as this one does: size, create, destroy.
    const auto* common = static_cast<const grevy_criterion_table*>(made.instance.table);
    note_use(*found.plugin);
    ++depth;
    struct Leave {
      int& depth;
      ~Leave() { --depth; }
    } leave{depth};
    detail::ErrorCatcher({made.plugin, made.name, "create"}).run([&](auto* errors) {
      return common->create(&args, &made.instance.self, errors);
    });
    if (made.instance.self == nullptr)
      throw PluginError(ErrorCode::invalid_state, "gave no instance", made.plugin, made.name,
                        "create");
    return made;
  }

  const View& view_of(const std::optional<PluginHashes>& allowed) {
    const std::lock_guard lock(mutex);
    const auto [at, is_new] = views.try_emplace(allowed);
    View& view = at->second;
    if (!is_new) return view;
    view.impl = this;
    view.allowed = at->first ? &*at->first : nullptr;
    fill(view.table, view);
    return view;
  }

  static void fill(grevy_host& table, View& seen) {
    table.struct_size = sizeof(table);
    table.abi_major = GREVY_ABI_MAJOR;
    table.abi_minor = GREVY_ABI_MINOR;
    table.context = &seen;
    table.tensor_retain = [](const grevy_host*, grevy_tensor* tensor) { give(borrow(tensor)); };
    table.tensor_release = [](const grevy_host*, grevy_tensor* tensor) { take(tensor); };
    table.log = [](const grevy_host* host, std::uint32_t level, grevy_text component,
                   grevy_text message) {
      const auto& log = static_cast<View*>(host->context)->impl->options.log;
      const auto capped = static_cast<LogLevel>(std::min<std::uint32_t>(level, GREVY_LOG_ERROR));
      if (!log) return;
      try {
        log(capped, detail::repaired(detail::view(component), detail::max_name),
            detail::repaired(detail::view(message)));
      } catch (...) {  // the plugin that logs may be C: nothing can be thrown through it
      }
    };
    table.create = [](const grevy_host* host, std::uint32_t kind, grevy_text name,
                      const grevy_create_args* args, grevy_instance* instance,
                      const grevy_error_sink* errors) {
      const detail::Place place{"host", detail::view(name), "create"};
      return detail::guarded(errors, place, [&] {
        if (kind < GREVY_KIND_MODEL || kind > GREVY_KIND_SOLVER)
          throw Error(ErrorCode::invalid_value, "unknown kind " + std::to_string(kind));
        if (args == nullptr || instance == nullptr)
          throw Error(ErrorCode::invalid_value, "needs arguments and a place for the instance");
        const auto& view = *static_cast<View*>(host->context);
        *instance =
            view.impl->create(view, static_cast<Kind>(kind), detail::view(name), common_part(*args))
                .instance;
      });
    };
    table.extension = [](const grevy_host*, grevy_text id) {
      return find_extension(detail::view(id));
    };
  }

  template <class Ref>
  Owned<Ref> make(std::string_view name, std::string_view json,
                  const CreateOptions& create_options) {
    constexpr std::int64_t most = std::int64_t{1} << 26;  // as check_model has it
    const std::int64_t channels = create_options.num_input;
    if (Ref::kind == GREVY_KIND_MODEL && (channels < 1 || channels > most))
      throw Error(ErrorCode::invalid_value, "found " + std::to_string(channels) +
                                                " channels; a model has 1 to " +
                                                std::to_string(most));
    const std::string device = create_options.device.str();
    grevy_create_args args{};
    args.options = detail::text_of(json);
    args.device = detail::text_of(device);
    args.seed = create_options.seed;
    args.num_input = create_options.num_input;
    const Made made =
        create(view_of(create_options.allowed_plugins), static_cast<Kind>(Ref::kind), name, args);
    return Owned<Ref>(Ref(made.instance, made.name, made.plugin));
  }
};

Host::Host(HostOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->discover();
}
Host::~Host() = default;

const std::vector<fs::path>& Host::folders() const { return impl_->folders; }
const std::vector<PluginManifest>& Host::plugins() const { return impl_->plugins; }
const std::vector<RefusedFile>& Host::refused() const { return impl_->refused; }
std::string Host::hash(const PluginManifest& plugin) const { return impl_->hash(plugin); }
std::string Host::hash(std::string_view plugin_id) const { return impl_->hash(plugin_id); }
Found Host::find(Kind kind, std::string_view name) const { return impl_->find(kind, name); }

std::vector<std::string> Host::names(Kind kind, const std::string& pattern) const {
  std::vector<std::string> names;
  for (const PluginManifest& plugin : impl_->plugins)
    for (const ComponentManifest& component : plugin.components) {
      if (component.kind != kind) continue;
      if (fnmatch(pattern.c_str(), component.name.c_str(), 0) == 0) names.push_back(component.name);
      for (const std::string& alias : component.aliases)
        if (fnmatch(pattern.c_str(), alias.c_str(), 0) == 0) names.push_back(alias);
    }
  return names;
}

void Host::add(const grevy_plugin* plugin, bool override_names) {
  impl_->add(plugin, override_names);
}
void Host::alias(Kind kind, std::string_view name, std::string_view other) {
  impl_->alias(kind, name, other);
}

Owned<ModelRef> Host::create_model(std::string_view name, std::string_view options,
                                   const CreateOptions& create) {
  return impl_->make<ModelRef>(name, options, create);
}
Owned<CriterionRef> Host::create_criterion(std::string_view name, std::string_view options,
                                           const CreateOptions& create) {
  return impl_->make<CriterionRef>(name, options, create);
}
Owned<SolverRef> Host::create_solver(std::string_view name, std::string_view options,
                                     const CreateOptions& create) {
  return impl_->make<SolverRef>(name, options, create);
}

void Host::log(LogLevel level, std::string_view component, std::string_view message) const {
  impl_->log(level, component, message);
}

at::Device parse_device(const std::string& text) {
  if (text == "cuda_if_available")
    return parse_device(torch::cuda::is_available() ? "cuda" : "cpu");
  const bool is_cuda =
      text == "cuda" || (text.rfind("cuda:", 0) == 0 && text.size() > 5 && text.size() < 9 &&
                         text.find_first_not_of("0123456789", 5) == std::string::npos);
  if (text == "cpu") return at::kCPU;
  if (!is_cuda)
    throw Error(
        ErrorCode::invalid_value,
        "device \"" + text +
            "\" is not known; allowed: \"cpu\", \"cuda\", \"cuda:N\", \"cuda_if_available\"");
  const auto count =
      static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  const int index = text == "cuda" ? 0 : std::stoi(text.substr(5));
  if (index >= count)
    throw Error(ErrorCode::not_found,
                "device \"" + text + "\" is not available; this LibTorch sees " +
                    std::to_string(count) + " CUDA device(s); \"cpu\" always works");
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace grevy::host

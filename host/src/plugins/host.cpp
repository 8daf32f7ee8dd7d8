#include "files/file_hash.hpp"
#include "files/json_text.hpp"
#include "ops/functions.hpp"
#include "plugins/catalogue.hpp"
#include "plugins/library.hpp"
#include "plugins/used_plugins.hpp"

#include <grevy/host/host.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace grevy::host {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

struct Host::Impl {
  explicit Impl(HostOptions given) : options(std::move(given)), catalogue(discover(options)) {}

  HostOptions options;
  Catalogue catalogue;
  // The host as the components of a run see it: those that they make obey the run's list as well,
  // and are of plugins that the run uses.
  struct View {
    Impl* impl = nullptr;
    std::optional<PluginHashes> allowed;
    std::weak_ptr<UsedPlugins> used;  // a view whose run is gone serves the next one
    grevy_host table{};
  };
  // What making components changes. Recursive: they make others.
  mutable std::recursive_mutex mutex;
  std::map<fs::path, Library> libraries;  // those that have been opened
  std::deque<View> views;                 // stable addresses
  const std::shared_ptr<UsedPlugins> of_no_run = std::make_shared<UsedPlugins>();
  int depth = 0;  // of components that make components

  void add(const grevy_plugin* given, bool override_names) {
    PluginManifest plugin = read_manifest(given);
    plugin.overrides = override_names;
    catalogue.require_new(plugin);
    const std::lock_guard lock(mutex);
    libraries.emplace(plugin.file, Library(plugin, given));
    catalogue.add(std::move(plugin));
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
    const auto& known = catalogue.plugins();
    const bool is_known = std::any_of(
        known.begin(), known.end(), [&](const auto& plugin) { return plugin.file == given.file; });
    if (!is_known)
      throw Error(ErrorCode::not_found, given.file.string() + ": this host has no such plugin");
    const auto at = libraries.find(given.file);
    return at != libraries.end() ? at->second.hash() : "sha256:" + sha256_of_file(given.file);
  }

  std::string hash(std::string_view id) const {
    for (const PluginManifest& plugin : catalogue.plugins())
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
    const Found found = catalogue.find(kind, name);
    const std::string_view plain = name.substr(name.rfind('/') + 1);
    const bool family = found.component->name.find('{') != std::string::npos;
    const Library& library = open(*found.plugin, view.allowed ? &*view.allowed : nullptr);
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
    if (const auto used = view.used.lock()) used->add(found.plugin->file);
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
    const std::shared_ptr<UsedPlugins> run = UsedPlugins::current();
    const std::shared_ptr<UsedPlugins>& used = run ? run : of_no_run;
    View* free = nullptr;
    for (View& view : views) {
      if (view.allowed != allowed) continue;
      if (view.used.lock() == used) return view;
      if (view.used.expired()) free = &view;
    }
    View& view = free != nullptr ? *free : views.emplace_back();
    view.impl = this;
    view.allowed = allowed;
    view.used = used;
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

Host::Host(HostOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Host::~Host() = default;

const std::vector<fs::path>& Host::folders() const { return impl_->catalogue.folders(); }
const std::vector<PluginManifest>& Host::plugins() const { return impl_->catalogue.plugins(); }
const std::vector<RefusedFile>& Host::refused() const { return impl_->catalogue.refused(); }
std::string Host::hash(const PluginManifest& plugin) const { return impl_->hash(plugin); }
std::string Host::hash(std::string_view plugin_id) const { return impl_->hash(plugin_id); }
Found Host::find(Kind kind, std::string_view name) const {
  return impl_->catalogue.find(kind, name);
}

std::vector<std::string> Host::names(Kind kind, const std::string& pattern) const {
  return impl_->catalogue.names(kind, pattern);
}

void Host::add(const grevy_plugin* plugin, bool override_names) {
  impl_->add(plugin, override_names);
}
void Host::alias(Kind kind, std::string_view name, std::string_view other) {
  impl_->catalogue.alias(kind, name, other);
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
  if (impl_->options.log) impl_->options.log(level, component, message);
}

}  // namespace grevy::host

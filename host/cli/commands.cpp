#include "commands.hpp"

#include "print_json.hpp"
#include "terminal.hpp"

#include <grevy/host/array.hpp>
#include <grevy/host/experiment.hpp>
#include <grevy/host/run.hpp>
#include <grevy/host/trainer.hpp>

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <dlfcn.h>
#include <fnmatch.h>
#include <fstream>
#include <iostream>
#include <sched.h>

namespace grevy::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

spdlog::level::level_enum to_spdlog(host::LogLevel level) {
  constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info,
                                                  spdlog::level::warn, spdlog::level::err};
  return levels[static_cast<std::size_t>(level)];
}

fs::path default_folder(const fs::path& file) { return fs::path("runs") / file.stem(); }

json to_json(const host::ComponentManifest& component) {
  return {{"kind", host::to_string(component.kind)},
          {"name", component.name},
          {"aliases", component.aliases},
          {"version", component.version},
          {"summary", component.summary},
          {"options", json::parse(component.options_schema)}};
}

json to_json(const host::Host& host, const host::PluginManifest& plugin) {
  json components = json::array();
  for (const auto& component : plugin.components) components.push_back(to_json(component));
  return {{"id", plugin.id},
          {"version", plugin.version},
          {"file", plugin.file.string()},
          {"hash", host.hash(plugin)},
          {"abi", {plugin.abi_major, plugin.abi_minor}},
          {"stamp", plugin.stamp},
          {"problem", plugin.problem},
          {"components", components}};
}

std::string aliases_text(const host::ComponentManifest& component) {
  std::string text;
  for (const std::string& alias : component.aliases) text += ", " + alias;
  return text.empty() ? "" : " (also " + text.substr(2) + ")";
}

void print_options(const host::ComponentManifest& component) {
  const json schema = json::parse(component.options_schema);
  for (const auto& [name, rule] : schema.at("properties").items()) {
    json shown = rule;
    shown.erase("description");
    shown.erase("default");
    std::cout << "    " << name << " = " << rule.value("default", json("required")).dump() << "  "
              << shown.dump() << "\n      " << rule.value("description", "") << "\n";
  }
}

// Runs `body`; its errors begin with what they are about.
template <class Body>
decltype(auto) about(const std::string& what, Body&& body) {
  try {
    return body();
  } catch (const Error& e) {
    throw Error(e.code(), what + ": " + e.what());
  }
}

}  // namespace

host::Host make_host(const Common& common) {
  host::HostOptions options;
  options.plugin_path = common.plugin_path;
  options.allow_writable_plugins = common.allow_writable_plugins;
  options.log = [](host::LogLevel level, std::string_view component, std::string_view message) {
    spdlog::log(to_spdlog(level), "{}: {}", component, message);
  };
  return host::Host(std::move(options));
}

int use_threads(std::int64_t wanted) {
  cpu_set_t cores;
  const int available = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
  const int count = wanted > 0 ? static_cast<int>(wanted) : available;
  at::set_num_threads(count);
  // An OpenBLAS with a pool of its own does not hear of LibTorch's number.
  using SetThreads = void (*)(int);
  if (const auto set =
          reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")))
    set(count);
  return count;
}

int run(const Common& common, const RunCommand& command) {
  install_signal_handlers();
  host::Host host = make_host(common);
  const auto experiment = host::Experiment::load(host, command.file, command.changes);
  use_threads(experiment.at("/threads").get<std::int64_t>());
  Progress progress(Progress::choose(common.quiet, common.json));
  host::RunOptions options;
  options.folder = command.out.empty() ? default_folder(command.file) : command.out;
  options.resume = command.resume;
  options.force = command.force;
  options.on_step = [&](const host::StepReport& report) { progress.show(report); };
  options.allow = command.allow;
  options.on_begin = begin_to_finish_steps;
  options.should_stop = [] { return received_signal() != 0; };
  const host::Summary summary = host::run(host, experiment, options);
  progress.finish();
  if (common.json)
    print_json(summary.document);
  else if (common.quiet)
    std::cout << summary.brief() << ", " << options.folder.string() << "\n";
  else
    std::cout << summary.report() << "\nwritten to " << options.folder.string() << "\n";
  return summary.finished ? 0 : 128 + received_signal();
}

void transform(const Common& common, const TransformCommand& command) {
  host::Host host = make_host(common);
  use_threads(command.threads);
  if (!command.device.empty())
    about("--device", [&] { return host::parse_device(command.device); });
  const auto trainer = host::Trainer::from_checkpoint(host, command.run, command.device);
  const at::Tensor input = host::load_float_tensor(command.input, command.key);
  const host::Recording recording(input, command.input.string());
  recording.check_finite();
  host::TransformOptions options;
  options.pad = !command.no_pad;
  options.chunk = command.chunk;
  options.session = command.session;
  const ModelInfo info = about("--session", [&] { return trainer.model_info(command.session); });
  const std::int64_t rows = trainer.num_rows(recording, options);
  const std::int64_t width = info.num_output;
  if (recording.num_channels() != info.num_input || rows < 1)
    about(command.input.string(), [&] {  // says what does not fit
      return trainer.transform(
          recording.neural(), [](const at::Tensor&) {}, options);
    });
  host::NpyWriter writer(command.out, rows, width);
  trainer.transform(
      recording.neural(),
      [&](const at::Tensor& part) { writer.append(part.data_ptr<float>(), part.size(0)); },
      options);
  writer.finish();
  if (common.json)
    print_json({{"file", command.out.string()}, {"rows", rows}, {"columns", width}});
  else if (!common.quiet)
    std::cout << command.out.string() << ": " << rows << " x " << width << "\n";
}

namespace {

bool matches(const host::ComponentManifest& component, const std::string& pattern) {
  const auto fits = [&](const std::string& name) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  };
  return fits(component.name) ||
         std::any_of(component.aliases.begin(), component.aliases.end(), fits);
}

// Keeps what matches; a plugin without any is left out.
std::vector<host::PluginManifest> select(std::vector<host::PluginManifest> plugins,
                                         const std::string& pattern) {
  if (pattern == "*") return plugins;
  std::vector<host::PluginManifest> kept;
  for (host::PluginManifest& plugin : plugins) {
    auto& all = plugin.components;
    all.erase(
        std::remove_if(all.begin(), all.end(), [&](const auto& c) { return !matches(c, pattern); }),
        all.end());
    if (!all.empty()) kept.push_back(std::move(plugin));
  }
  return kept;
}

}  // namespace

void list_plugins(const Common& common, const std::string& pattern) {
  const host::Host host = make_host(common);
  const std::vector<host::PluginManifest> plugins = select(host.plugins(), pattern);
  if (common.json) {
    json document = {{"plugins", json::array()}, {"refused", json::array()}};
    for (const auto& plugin : plugins) document["plugins"].push_back(to_json(host, plugin));
    for (const auto& file : host.refused())
      document["refused"].push_back({{"file", file.file.string()}, {"reason", file.reason}});
    print_json(document);
    return;
  }
  for (const auto& plugin : plugins) {
    std::cout << plugin.id << " " << plugin.version << "  " << plugin.file.string() << "\n  "
              << host.hash(plugin) << "\n";
    if (!plugin.problem.empty()) std::cout << "  cannot be used: " << plugin.problem << "\n";
    for (const auto& component : plugin.components)
      std::cout << "  " << host::to_string(component.kind) << " " << component.name
                << aliases_text(component) << "  " << component.summary << "\n";
  }
  for (const auto& file : host.refused()) std::cout << "not used: " << file.reason << "\n";
}

void show_plugin(const Common& common, const std::string& name) {
  const host::Host host = make_host(common);
  json found = json::array();
  for (const auto& plugin : host.plugins())
    for (const auto& component : plugin.components) {
      const bool named = component.name == name || plugin.id == name ||
                         plugin.id + "/" + component.name == name ||
                         std::count(component.aliases.begin(), component.aliases.end(), name) != 0;
      if (!named) continue;
      found.push_back(to_json(component));
      found.back()["plugin"] = plugin.id;
      found.back()["plugin_hash"] = host.hash(plugin);
      if (common.json) continue;
      std::cout << host::to_string(component.kind) << " " << component.name
                << aliases_text(component) << " " << component.version << "\n  "
                << component.summary << "\n  plugin " << plugin.id << " " << plugin.version << ", "
                << plugin.file.string() << "\n  " << host.hash(plugin) << "\n  options\n";
      print_options(component);
    }
  if (found.empty())
    throw Error(ErrorCode::not_found,
                "no plugin or component is called \"" + name + "\"; see `grevy plugins list`");
  if (common.json) print_json(found);
}

void print_schema(const Common& common, const fs::path& out) {
  const host::Host host = make_host(common);
  const std::string text = host::experiment_schema(host).dump(2) + "\n";
  if (out.empty()) {
    std::cout << text;
    return;
  }
  std::ofstream stream(out);
  stream << text << std::flush;
  if (!stream) throw Error(ErrorCode::io, out.string() + ": cannot be written");
}

void simulate(const Common& common, const SimulateCommand& command) {
  const auto recording = host::simulate(command.options);
  host::write_recording(recording, command.out);
  if (common.json)
    print_json({{"folder", command.out.string()},
                {"samples", recording.num_samples},
                {"neurons", recording.num_neurons}});
  else if (!common.quiet)
    std::cout << command.out.string() << ": spikes.npy (" << recording.num_samples << " x "
              << recording.num_neurons << "), position.npy, direction.npy\n";
}

}  // namespace grevy::cli

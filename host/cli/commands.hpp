// The subcommands of `grevy`. Each prints its result to stdout and throws grevy::Error.
#ifndef GREVY_CLI_COMMANDS_HPP
#define GREVY_CLI_COMMANDS_HPP

#include <grevy/host/host.hpp>
#include <grevy/host/simulate.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace grevy::cli {

// What all commands share.
struct Common {
  std::vector<std::filesystem::path> plugin_path;
  bool allow_writable_plugins = false;  // see HostOptions
  bool quiet = false;                   // no progress, no log lines below warnings
  bool json = false;                    // machine-readable output
};

host::Host make_host(const Common& common);

struct RunCommand {
  std::filesystem::path file, out;
  std::vector<std::string> changes, allow;
  bool resume = false, force = false;
};
// Returns the exit code: 0, or 128 + signal when stopped by one.
int run(const Common& common, const RunCommand& command);

struct TransformCommand {
  std::filesystem::path run, input, out;
  std::string key, device;
  bool no_pad = false;
  std::int64_t chunk = 10000, threads = 0, session = 0;
};
void transform(const Common& common, const TransformCommand& command);

// Components whose name or an alias matches a shell pattern.
void list_plugins(const Common& common, const std::string& pattern);
void show_plugin(const Common& common, const std::string& name);
void print_schema(const Common& common, const std::filesystem::path& out);

struct SimulateCommand {
  host::SimulationOptions options;
  std::filesystem::path out;
};
void simulate(const Common& common, const SimulateCommand& command);

void doctor(const Common& common);

// Sets LibTorch's thread count; 0: one per core this process may use. Returns the number.
int use_threads(std::int64_t wanted);

}  // namespace grevy::cli

#endif

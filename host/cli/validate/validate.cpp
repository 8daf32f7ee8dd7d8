#include "validate.hpp"

#include "plugins/library.hpp"
#include "report.hpp"
#include "runner.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace grevy::cli {
namespace {

namespace fs = std::filesystem;
using host::ComponentManifest;
using nlohmann::json;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "grevy-validate-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(ErrorCode::io, name + ": cannot be made: " + std::strerror(errno));
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

json parse_options(const ValidateCommand& command) {
  if (command.options.empty()) return json::object();
  if (command.only.size() != 1)
    throw Error(ErrorCode::invalid_value, "--options are for one component: name it with --only");
  json options = json::parse(command.options, nullptr, false);
  if (!options.is_object())
    throw Error(ErrorCode::invalid_value,
                "--options: found " + command.options.substr(0, 60) + "; must be a JSON object");
  return options;
}

bool answers_to(const ComponentManifest& component, const std::string& name) {
  return component.name == name ||
         std::count(component.aliases.begin(), component.aliases.end(), name) != 0;
}

std::vector<ComponentManifest> chosen(const host::PluginManifest& plugin,
                                      const std::vector<std::string>& only) {
  if (only.empty()) return plugin.components;
  std::vector<ComponentManifest> found;
  for (const std::string& name : only) {
    const std::size_t before = found.size();
    for (const ComponentManifest& component : plugin.components)
      if (answers_to(component, name)) found.push_back(component);
    if (found.size() > before) continue;
    std::string known;
    for (const ComponentManifest& component : plugin.components)
      known += (known.empty() ? "" : ", ") + component.name;
    throw Error(ErrorCode::not_found, "--only: " + plugin.file.string() + " has no component \"" +
                                          name + "\"; it has " + (known.empty() ? "none" : known));
  }
  return found;
}

// What a person must say first; empty: nothing.
std::string wanting(const ComponentManifest& component, const json& given) {
  std::string names;
  try {
    for (const std::string& name : missing_options(component, given))
      names += (names.empty() ? "" : ", ") + name;
  } catch (const json::exception&) {  // the check of the schema says what is wrong with it
  }
  if (names.empty()) return {};
  return "required options without a default: " + names + "; give them with --only " +
         component.name + " --options '{...}'";
}

// Returns whether what depends on these checks makes sense.
bool check(const Target& target, const Limits& limits, Report& report) {
  const std::string failed =
      run_checks(target, limits, [&](const Result& result) { report.add(target, result); });
  if (!failed.empty()) report.skip(target, "others", "need \"" + failed + "\"");
  return failed.empty();
}

void validate_components(const ValidateCommand& command, Target target, Report& report) {
  for (const ComponentManifest& component :
       chosen(host::read_manifest(target.file), command.only)) {
    target.kind = host::to_string(component.kind);
    target.name = component.name;
    const std::string reason = wanting(component, target.options);
    if (!reason.empty())
      report.skip(target, "all", reason);
    else
      check(target, command.limits, report);
  }
}

}  // namespace

int validate(const Common& common, const ValidateCommand& command) {
  if (!fs::exists(command.file))
    throw Error(ErrorCode::not_found, command.file.string() + ": no such file");
  const json options = parse_options(command);
  make_host(common);  // reports folders that are not there
  const ScratchFolder scratch;
  Target target;
  target.file = fs::absolute(command.file);
  for (const fs::path& path : common.plugin_path) target.plugin_path.push_back(fs::absolute(path));
  target.allow_writable_plugins = common.allow_writable_plugins;
  target.kind = "file";
  target.seed = command.seed;
  target.folder = scratch.path();
  Report report(command.file, command.limits,
                common.json    ? Report::Style::json
                : common.quiet ? Report::Style::failures
                               : Report::Style::lines);
  if (check(target, command.limits, report)) {
    target.options = options;
    validate_components(command, target, report);
  }
  return report.finish(command.seed) ? 0 : 2;
}

}  // namespace grevy::cli

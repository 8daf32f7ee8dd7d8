#include "exchange_commands.hpp"

#include "print_json.hpp"

#include <grevy/host/exchange.hpp>

#include <iostream>

namespace grevy::cli {

namespace fs = std::filesystem;
using nlohmann::json;

void import_checkpoint(const Common& common, const ImportCommand& command) {
  host::Host host = make_host(common);
  host::ImportOptions options;
  options.folder = command.out;
  options.force = command.force;
  options.model = command.model;
  if (!command.experiment.empty())
    options.experiment = host::Experiment::load(host, command.experiment, command.changes);
  const host::ImportReport report = host::import_checkpoint(host, command.file, options);
  if (common.json)
    print_json(report.document);
  else if (!common.quiet)
    std::cout << report.report() << "\nwritten to " << command.out.string() << "\n";
}

void export_run(const Common& common, const ExportCommand& command) {
  host::Host host = make_host(common);
  host::ExportOptions options;
  const fs::path folder = fs::is_directory(command.run) ? command.run : command.run.parent_path();
  options.folder = command.out.empty() ? folder / "export" : command.out;
  options.session = command.session;
  json files = json::array();
  for (const fs::path& file : host::export_run(host, command.run, options))
    files.push_back(file.string());
  if (common.json)
    print_json({{"files", files}});
  else if (!common.quiet)
    for (const json& file : files) std::cout << file.get<std::string>() << "\n";
}

}  // namespace grevy::cli

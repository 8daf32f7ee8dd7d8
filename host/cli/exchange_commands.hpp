// `grevy import` and `grevy export`.
#ifndef GREVY_CLI_EXCHANGE_COMMANDS_HPP
#define GREVY_CLI_EXCHANGE_COMMANDS_HPP

#include "commands.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace grevy::cli {

struct ImportCommand {
  std::filesystem::path file, out, experiment;
  std::string model;
  std::vector<std::string> changes;  // of the experiment
  bool force = false;
};
void import_checkpoint(const Common& common, const ImportCommand& command);

struct ExportCommand {
  std::filesystem::path run, out;
  std::optional<std::int64_t> session;
};
void export_run(const Common& common, const ExportCommand& command);

}  // namespace grevy::cli

#endif

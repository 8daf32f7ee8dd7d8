// Finds plugins in files and folders.
#ifndef GREVY_HOST_DISCOVERY_HPP
#define GREVY_HOST_DISCOVERY_HPP

#include <grevy/host/host.hpp>

#include <filesystem>
#include <vector>

namespace grevy::host {

struct Discovered {
  std::vector<std::filesystem::path> folders;  // searched, in order
  std::vector<PluginManifest> plugins;         // in the order of the folders
  std::vector<RefusedFile> refused;
};

// By manifests alone: no library is opened. Errors: those of Host's constructor.
Discovered discover(const HostOptions& options);

}  // namespace grevy::host

#endif

// grevy doctor: what this installation consists of, for a bug report or a puzzled user.
#include "commands.hpp"
#include "print_json.hpp"

#include <grevy/abi.h>
#include <grevy/host/version.hpp>
#include <grevy/stamp.hpp>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/cuda.h>

#include <dlfcn.h>
#include <fstream>
#include <iostream>
#include <set>

namespace grevy::cli {
namespace {

using nlohmann::json;

// Which of these libraries is mapped into this process: the BLAS and thread pool that really run.
json loaded_libraries() {
  std::set<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto path = line.find('/');
    if (path == std::string::npos) continue;
    for (const char* name : {"blas", "libgomp", "libtorch_cpu", "libdnnl", "libmkl"})
      if (line.find(name, line.rfind('/')) != std::string::npos) found.insert(line.substr(path));
  }
  return found;
}

std::string blas_advice(const json& libraries) {
  bool openblas = false, pthread = false, mkl = false;
  for (const auto& library : libraries) {
    const auto& path = library.get_ref<const std::string&>();
    openblas |= path.find("openblas") != std::string::npos;
    pthread |= path.find("openblas-pthread") != std::string::npos;
    mkl |= path.find("libmkl") != std::string::npos;
  }
  if (pthread)
    return "OpenBLAS with a thread pool of its own: install libopenblas0-openmp, which shares "
           "LibTorch's";
  if (!openblas && !mkl) return "no fast BLAS found: install libopenblas0-openmp";
  return "ok";
}

// Which CPU's matrix products OpenBLAS has chosen; empty where another BLAS is used.
std::string blas_kernels() {
  using CoreName = const char* (*)();
  const auto name = reinterpret_cast<CoreName>(::dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  return name == nullptr ? "" : name();
}

// The instruction set that LibTorch's kernels use, from its own description.
std::string cpu_capability() {
  const std::string text = at::show_config(), mark = "CPU capability usage: ";
  const auto begin = text.find(mark);
  if (begin == std::string::npos) return "unknown";
  return text.substr(begin + mark.size(), text.find('\n', begin) - begin - mark.size());
}

json inspect(const Common& common) {
  const host::Host host = make_host(common);
  const json libraries = loaded_libraries();
  json document = {{"grevy", host::version()},
                   {"abi", std::to_string(GREVY_ABI_MAJOR) + "." + std::to_string(GREVY_ABI_MINOR)},
                   {"libtorch", GREVY_STAMP},
                   {"cpu_capability", cpu_capability()},
                   {"threads", use_threads(0)},
                   {"blas", blas_advice(libraries)},
                   {"blas_kernels", blas_kernels()},
                   {"libraries", libraries},
                   {"devices", {"cpu"}}};
  const auto count = torch::cuda::is_available() ? torch::cuda::device_count() : 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    document["devices"].push_back("cuda:" + std::to_string(i));
  document["plugin_folders"] = json::array();
  for (const auto& folder : host.folders()) document["plugin_folders"].push_back(folder.string());
  document["plugins"] = json::array();
  document["not_used"] = json::array();
  for (const auto& plugin : host.plugins()) {
    if (plugin.problem.empty())
      document["plugins"].push_back(plugin.id + " " + plugin.version + " (" +
                                    std::to_string(plugin.components.size()) + " components)");
    else
      document["not_used"].push_back(plugin.file.string() + ": " + plugin.problem);
  }
  for (const auto& file : host.refused()) document["not_used"].push_back(file.reason);
  return document;
}

}  // namespace

void doctor(const Common& common) {
  const json document = inspect(common);
  if (common.json) {
    print_json(document);
    return;
  }
  for (const char* key :
       {"grevy", "abi", "libtorch", "cpu_capability", "threads", "blas", "blas_kernels",
        "libraries", "devices", "plugin_folders", "plugins", "not_used"}) {
    const json& value = document.at(key);
    std::cout << key << ":";
    if (!value.is_array())
      std::cout << " " << (value.is_string() ? value.get<std::string>() : value.dump());
    if (value.is_array() && value.empty()) std::cout << " none";
    std::cout << "\n";
    for (const auto& item : value.is_array() ? value : json::array())
      std::cout << "  " << item.get<std::string>() << "\n";
  }
}

}  // namespace grevy::cli

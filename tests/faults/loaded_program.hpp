// `grevy` without the time in which LibTorch is loaded: loaded once, every run is a fork of this
// process that goes through the program's own main, with its signals and exit codes.
#ifndef GREVY_TESTS_LOADED_PROGRAM_HPP
#define GREVY_TESTS_LOADED_PROGRAM_HPP

#include "program/program.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace grevy::tests {

// What a run meets; the members are the shim's variables (shim.c).
struct Fault {
  long at = 0;
  std::string action = "fail", error = "EIO";
  std::string calls;  // empty: all kinds
  bool lasts = false;
  int signal = 0;
  long delay = 0, interval = 0;  // microseconds
  std::filesystem::path record;
};
std::string describe(const Fault& fault);

using Environment = std::map<std::string, std::string>;
// As the shim reads it; calls on `folder` and in it count.
Environment environment_of(const Fault& fault, const std::filesystem::path& folder);

class LoadedProgram {
 public:
  struct Conditions {
    Environment environment;
    std::uint64_t largest_file = 0;        // RLIMIT_FSIZE; 0: as it is
    std::function<void(pid_t)> meanwhile;  // called in this process while the run goes on
  };

  // Runs in `folder`; a run that takes ten minutes is an error.
  static Outcome run(const std::filesystem::path& folder, const Arguments& arguments,
                     const Conditions& conditions);
};

}  // namespace grevy::tests

#endif

// What `grevy validate` asks of a plugin: tables of checks, a function each.
#ifndef GREVY_CLI_VALIDATE_CHECK_HPP
#define GREVY_CLI_VALIDATE_CHECK_HPP

#include "subject.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace grevy::cli {

// How a check ends that does not pass. Any other exception is a failure too.
struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// It does not apply to this component; says why.
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Check {
  const char* name;
  void (*run)(const Subject&);
  const char* meaning;     // what holds when it passes
  const char* hint;        // where to look when it does not
  bool essential = false;  // when it fails, those after it are skipped
};
using Checks = std::vector<Check>;

Checks file_checks();
Checks option_checks();
Checks criterion_checks();
Checks model_checks();
Checks solver_checks();
Checks thread_checks();

// In the order in which they are made. kind: "file", "model", "criterion" or "solver".
Checks checks_of(const std::string& kind);

enum class Status { ok, failed, skipped };

struct Result {
  Check check;
  Status status = Status::ok;
  std::string reason;  // empty when it passed
};

}  // namespace grevy::cli

#endif

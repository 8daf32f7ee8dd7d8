// The process that makes the checks of one component, started by run_checks().
#ifndef GREVY_CLI_VALIDATE_CHILD_HPP
#define GREVY_CLI_VALIDATE_CHILD_HPP

#include "check.hpp"

#include <string>

namespace grevy::cli {

// What one check may use.
struct Limits {
  std::int64_t seconds = 20;  // of CPU time; by the clock three times that
  std::int64_t gibibytes = 4;
  std::int64_t clock_seconds() const { return 3 * seconds; }
};

// A child writes one JSON object a line to this descriptor: {"ready": true}, then {"check",
// "status", "reason"} for each check, then {"done": true}. Its other output is the plugin's.
constexpr int kReport = 3;

const char* to_string(Status status);
Status parse_status(const std::string& text);  // unknown text: failed

struct ChildCommand {
  Target target;
  std::string options = "{}";  // JSON text of target.options
  std::string first_check;
  Limits limits;
};
// Makes first_check and those after it, each within the limits, up to the end or to the failure of
// an essential one. Returns the exit code.
int run_child(ChildCommand command);

}  // namespace grevy::cli

#endif

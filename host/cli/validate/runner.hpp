// Makes checks in processes of their own, so that whatever a plugin does is a result.
#ifndef GREVY_CLI_VALIDATE_RUNNER_HPP
#define GREVY_CLI_VALIDATE_RUNNER_HPP

#include "child.hpp"

#include <functional>

namespace grevy::cli {

// Makes every check of the target's kind and hands over the results in order, as they come. One
// process makes them one after the other; one that dies or takes too long has failed the check it
// was at, and a new process goes on with the next. Returns the name of the essential check that
// failed and ended them; empty: all were made. Errors: io (no process can be started).
std::string run_checks(const Target& target, const Limits& limits,
                       const std::function<void(const Result&)>& on_result);

}  // namespace grevy::cli

#endif

// `grevy validate`: what is wrong with a plugin, if anything.
#ifndef GREVY_CLI_VALIDATE_VALIDATE_HPP
#define GREVY_CLI_VALIDATE_VALIDATE_HPP

#include "../commands.hpp"
#include "child.hpp"

namespace grevy::cli {

struct ValidateCommand {
  std::filesystem::path file;
  std::vector<std::string> only;  // names or aliases of components; empty: all
  std::string options;            // JSON object, for the one component in `only`
  std::uint64_t seed = 1;
  Limits limits;
};
// Returns the exit code: 0, or 2 when a check failed. Errors: not_found (no such file, no such
// component in it), invalid_value (options), io.
int validate(const Common& common, const ValidateCommand& command);

}  // namespace grevy::cli

#endif

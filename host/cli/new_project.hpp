// grevy new: a small plugin project that builds, passes its test and trains as it stands.
#ifndef GREVY_CLI_NEW_PROJECT_HPP
#define GREVY_CLI_NEW_PROJECT_HPP

#include "commands.hpp"

#include <filesystem>
#include <string>

namespace grevy::cli {

struct NewCommand {
  std::string kind;              // "criterion", "model" or "solver"
  std::string front = "torch";   // "torch", "portable" or "raw"
  std::string name;              // of the component: letters, digits, '-' and '.', a letter first
  std::filesystem::path folder;  // empty: one called like the component
};

// Fills in the templates of the kind and the front: @NAME@, @KIND@, @TARGET@ (NAME-KIND, or NAME
// where it ends so already) and @CLASS@ (the target in CamelCase); the kind in both keeps them
// apart from LibTorch's targets and the SDK's classes. Prints the files and the commands of the
// README. Fronts "portable" and "raw" are built without LibTorch, the latter is C.
//
// Nothing that exists is overwritten: the folder must be missing or empty, and on failure
// everything made so far is removed. Errors: invalid_value for the name, for one that a component
// of this kind has already, and for the folder; io.
void new_project(const Common& common, const NewCommand& command);

}  // namespace grevy::cli

#endif

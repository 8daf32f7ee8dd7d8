// The files of cli/templates, part of the program: found however it is installed.
#ifndef GREVY_CLI_TEMPLATES_HPP
#define GREVY_CLI_TEMPLATES_HPP

#include <string_view>
#include <vector>

namespace grevy::cli {

// Placeholders in paths and texts: @NAME@, @KIND@, @TARGET@, @CLASS@ (see new_project.hpp).
struct TemplateFile {
  std::string_view set;   // a folder of cli/templates: "model", "model-cpp", "portable", ...
  std::string_view path;  // in the project
  std::string_view text;
};

// Sorted by set and path. The definition is made from the files when CMake configures.
const std::vector<TemplateFile>& template_files();

}  // namespace grevy::cli

#endif

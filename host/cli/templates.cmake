# grevy_embed_templates(folder file): writes a C++ file with the text of every folder/SET/PATH.in.
function(grevy_embed_templates folder file)
  file(GLOB_RECURSE inputs CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*.in)
  set(rows "")
  foreach(input IN LISTS inputs)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${input})
    file(READ ${folder}/${input} text)
    string(REGEX MATCH "^([^/]+)/(.+)\\.in$" matched ${input})
    string(APPEND rows "      {\"${CMAKE_MATCH_1}\", \"${CMAKE_MATCH_2}\", R\"template(${text})template\"},\n")
  endforeach()
  file(WRITE ${file}.new "// Made by CMake from cli/templates.
#include \"templates.hpp\"

namespace grevy::cli {

const std::vector<TemplateFile>& template_files() {
  static const std::vector<TemplateFile> files = {
${rows}  };
  return files;
}

}  // namespace grevy::cli
")
  file(COPY_FILE ${file}.new ${file} ONLY_IF_DIFFERENT)
  file(REMOVE ${file}.new)
endfunction()

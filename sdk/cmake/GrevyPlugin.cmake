# grevy_add_plugin(name sources...): a Grevy plugin as a MODULE library "name.so".
#
# Everything is hidden but the entry; undefined symbols are errors at link time; the library is never
# unloaded, because autograd nodes outlive the code that made them otherwise. The manifest lives in
# the section .note.grevy, which linkers keep and strip leaves alone.
function(grevy_add_plugin name)
  set(exports ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE grevy::sdk)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # Sanitizers leave symbols open for their runtime.
  if(NOT GREVY_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  target_link_options(${name} PRIVATE -Wl,-z,nodelete -Wl,--version-script=${exports})
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS ${exports})
endfunction()

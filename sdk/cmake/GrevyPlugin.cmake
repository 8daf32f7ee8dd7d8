# grevy_add_plugin(name [FRONT torch|portable|raw] sources...): a Grevy plugin as a MODULE library "name.so".
#
# FRONT torch, the default: C++ that uses LibTorch, for hosts with the same LibTorch. FRONT
# portable: the same sources against headers that stand in for LibTorch's, one file for every LibTorch.
# FRONT raw: C or C++ that uses the C headers alone (grevy/plugin.h), one file likewise.
#
# Everything is hidden but the entry; undefined symbols are errors at link time; the library is never
# unloaded, because autograd nodes outlive the code that made them otherwise. The manifest lives in
# the section .note.grevy, which linkers keep and strip leaves alone.
function(grevy_add_plugin name)
  set(exports ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  cmake_parse_arguments(PARSE_ARGV 1 plugin "" "FRONT" "")
  set(front_torch grevy::sdk)
  set(front_portable grevy::portable)
  set(front_raw grevy::abi)
  if(NOT FRONT IN_LIST ARGN)
    set(plugin_FRONT torch)
  elseif(NOT DEFINED front_${plugin_FRONT})
    message(FATAL_ERROR "grevy_add_plugin(${name}): FRONT is torch, portable or raw; found \"${plugin_FRONT}\"")
  endif()
  add_library(${name} MODULE ${plugin_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${front_${plugin_FRONT}})
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

/* Its descriptor says what the environment asks for, GREVY_TEST_LIE; its manifest is always the
 * same. */
#include "raw_plugin.h"

#include <stdlib.h>
#include <string.h>

RAW_COMPONENT(honest, GREVY_KIND_CRITERION, "criterion", "liar", &raw_criterion);
RAW_NOTE(raw_plugin_note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("zoo.liar", 1, 0, ""));

static int says(const char* lie) {
  const char* asked = getenv("GREVY_TEST_LIE");
  return asked != 0 && strcmp(asked, lie) == 0;
}

RAW_ENTRY {
  static grevy_component component;
  static const grevy_component* const components[] = {&component};
  static grevy_plugin plugin;
  const grevy_plugin truth = {
      sizeof(grevy_plugin), 1,         0, 1, RAW_TEXT("zoo.liar"), RAW_TEXT("1.0.0"),
      RAW_TEXT(""),         components};
  component = honest;
  plugin = truth;
  if (says("major")) plugin.abi_major += 1;
  if (says("minor")) plugin.abi_minor += 1;
  if (says("stamp")) plugin.stamp = plugin.version;
  if (says("size")) plugin.struct_size = 8;
  if (says("nothing")) plugin.components = 0, plugin.component_count = 0;
  if (says("kind")) component.kind = 0;
  if (says("component-size")) component.struct_size = 8;
  return &plugin;
}

/* grevy/plugin.h: what a plugin written in C needs beside its tables: notes, descriptors, the
 * entry, and errors. (In C++ grevy/plugin.hpp does all of it.) For GCC and Clang on ELF systems.
 *
 *   static const grevy_criterion_table table = {sizeof(table), 0, create, ...};
 *   GREVY_C_COMPONENT(loss, GREVY_KIND_CRITERION, "criterion", "my-loss", "What it is.", SCHEMA,
 *                     &table);
 *   GREVY_C_PLUGIN("my-lab.losses", "1.0.0", &loss);
 *
 * Compile with -fvisibility=hidden and link with -z nodelete: grevy_add_plugin does. The stamp is
 * empty: nothing of LibTorch may be linked, tensors are worked on through grevy/ops.h and
 * grevy/kernel.h.
 */
#ifndef GREVY_PLUGIN_H
#define GREVY_PLUGIN_H

#include <grevy/abi.h>

#if GREVY_ABI_MAJOR != 1u || GREVY_ABI_MINOR != 0u
#error "GREVY_C_MAJOR and GREVY_C_MINOR are those of abi.h"
#endif

/* A grevy_text of a literal. */
#define GREVY_C_TEXT(literal) \
  { (literal), sizeof(literal) - 1 }
#define GREVY_C_LITERAL_(value) #value
/* The text of a macro's value. */
#define GREVY_C_LITERAL(value) GREVY_C_LITERAL_(value)

/* An ELF note of the manifest. */
#define GREVY_C_NOTE(variable, number, json)                                      \
  __attribute__((section(".note.grevy"), used, aligned(4))) static const struct { \
    uint32_t name_size;                                                           \
    uint32_t text_size;                                                           \
    uint32_t type;                                                                \
    char name[8];                                                                 \
    char text[(sizeof(json) + 3) / 4 * 4];                                        \
  } variable = {6, (sizeof(json) + 3) / 4 * 4, (number), "Grevy", json}

/* The manifest of a component: schema is the JSON Schema of its options. */
#define GREVY_C_MANIFEST(kind_text, name, summary, schema) \
  "{\"kind\":\"" kind_text "\",\"name\":\"" name           \
  "\",\"aliases\":[],\"version\":\"1.0.0\",\"summary\":\"" summary "\",\"options\":" schema "}"

/* A component of a table: kind is GREVY_KIND_*, kind_text "model", "criterion" or "solver". */
#define GREVY_C_COMPONENT(variable, kind, kind_text, name, summary, schema, table) \
  GREVY_C_NOTE(variable##_note, GREVY_NOTE_COMPONENT,                              \
               GREVY_C_MANIFEST(kind_text, name, summary, schema));                \
  static const grevy_component variable = {                                        \
      sizeof(grevy_component), kind,                                               \
      GREVY_C_TEXT(GREVY_C_MANIFEST(kind_text, name, summary, schema)), GREVY_C_TEXT(name), table}

#ifdef __cplusplus
/* The entry has a C name in C++ as well. */
#define GREVY_C_LINKAGE extern "C"
#else
/* In C it has one as it is. */
#define GREVY_C_LINKAGE
#endif

/* The plugin, once: its note, its descriptor and its entry. */
#define GREVY_C_PLUGIN(id, plugin_version, ...)                                   \
  GREVY_C_NOTE(grevy_c_plugin_note, GREVY_NOTE_PLUGIN,                            \
               "{\"plugin\":\"" id "\",\"version\":\"" plugin_version             \
               "\",\"abi\":[" GREVY_C_LITERAL(GREVY_C_MAJOR) "," GREVY_C_LITERAL( \
                   GREVY_C_MINOR) "],\"stamp\":\"\"}");                           \
  GREVY_C_LINKAGE __attribute__((visibility("default"))) const grevy_plugin*      \
  grevy_plugin_entry_v1(void) {                                                   \
    static const grevy_component* const components[] = {__VA_ARGS__};             \
    static const grevy_plugin plugin = {sizeof(grevy_plugin),                     \
                                        GREVY_C_MAJOR,                            \
                                        GREVY_C_MINOR,                            \
                                        sizeof(components) / sizeof(*components), \
                                        GREVY_C_TEXT(id),                         \
                                        GREVY_C_TEXT(plugin_version),             \
                                        {0, 0},                                   \
                                        components};                              \
    return &plugin;                                                               \
  }                                                                               \
  typedef int grevy_c_plugin_ends_here

/* GREVY_ABI_MAJOR and _MINOR without a suffix, as JSON has them. */
#define GREVY_C_MAJOR 1
#define GREVY_C_MINOR 0

/* Reports an error of this component and returns its code: return grevy_fail(...). */
static inline int32_t grevy_fail(const grevy_error_sink* errors, int32_t code, grevy_text message) {
  grevy_error_info info = {sizeof(grevy_error_info), 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}};
  info.code = code;
  info.message = message;
  if (errors != 0) errors->report(errors->context, &info);
  return code;
}

#endif

/* What the plugins of this release share. Part of the release: see README.md. */
#ifndef KEPT_H
#define KEPT_H

#include <grevy/abi.h>

#include <stdlib.h>
#include <string.h>

#define KEPT_TEXT(literal) \
  { literal, sizeof(literal) - 1 }

/* An ELF note of the manifest. */
#define KEPT_NOTE(variable, number, literal)                                      \
  __attribute__((section(".note.grevy"), used, aligned(4))) static const struct { \
    uint32_t name_size, descriptor_size, type;                                    \
    char name[8];                                                                 \
    char descriptor[(sizeof(literal) + 3) / 4 * 4];                               \
  } variable = {6, (sizeof(literal) + 3) / 4 * 4, number, "Grevy", literal}

#define KEPT_COMPONENT(variable, number, name_text, manifest_text, table)   \
  KEPT_NOTE(variable##_note, GREVY_NOTE_COMPONENT, manifest_text);          \
  static const grevy_component variable = {sizeof(grevy_component), number, \
                                           KEPT_TEXT(manifest_text), KEPT_TEXT(name_text), table}

/* A plugin without LibTorch: its stamp is empty. */
#define KEPT_PLUGIN(id_text, ...)                                                               \
  KEPT_NOTE(kept_plugin_note, GREVY_NOTE_PLUGIN,                                                \
            "{\"plugin\":\"" id_text "\",\"version\":\"1.0.0\",\"abi\":[1,0],\"stamp\":\"\"}"); \
  static const grevy_component* const kept_components[] = {__VA_ARGS__};                        \
  static const grevy_plugin kept_plugin = {sizeof(grevy_plugin),                                \
                                           1,                                                   \
                                           0,                                                   \
                                           sizeof(kept_components) / sizeof(void*),             \
                                           KEPT_TEXT(id_text),                                  \
                                           KEPT_TEXT("1.0.0"),                                  \
                                           {0, 0},                                              \
                                           kept_components};                                    \
  __attribute__((visibility("default"))) const grevy_plugin* grevy_plugin_entry_v1(void) {      \
    return &kept_plugin;                                                                        \
  }                                                                                             \
  typedef int kept_plugin_ends_here

/* Reports an error and returns its code. */
static inline int32_t kept_fail(const grevy_error_sink* errors, int32_t code, const char* message) {
  grevy_error_info info;
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  info.code = code;
  info.message.data = message;
  info.message.size = strlen(message);
  errors->report(errors->context, &info);
  return code;
}

static inline int kept_equal(grevy_text text, const char* other) {
  return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* Where the value of a key begins in a flat JSON object, NULL if it is not there. */
static inline const char* kept_find(grevy_text json, const char* key) {
  const uint64_t size = strlen(key);
  uint64_t i;
  for (i = 0; i + size + 3 < json.size; ++i)
    if (json.data[i] == '"' && memcmp(json.data + i + 1, key, size) == 0 &&
        json.data[i + 1 + size] == '"' && json.data[i + 2 + size] == ':')
      return json.data + i + 3 + size;
  return 0;
}

/* The number of a key, as far as it is a whole one without a sign. */
static inline int64_t kept_number(grevy_text json, const char* key, int64_t otherwise) {
  const char* at = kept_find(json, key);
  int64_t number = 0;
  if (at == 0 || *at < '0' || *at > '9') return otherwise;
  for (; at < json.data + json.size && *at >= '0' && *at <= '9'; ++at)
    number = 10 * number + (*at - '0');
  return number;
}

/* The text of a key, without escapes; empty if it has none. */
static inline grevy_text kept_text(grevy_text json, const char* key) {
  const char* begin = kept_find(json, key);
  const char* end;
  grevy_text text = {0, 0};
  if (begin == 0 || *begin != '"') return text;
  for (end = ++begin; end < json.data + json.size && *end != '"';) ++end;
  text.data = begin;
  text.size = (uint64_t)(end - begin);
  return text;
}

#endif

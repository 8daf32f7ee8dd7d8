/* Plugins in plain C11 against abi.h alone, without the SDK: what the C++ headers would never let
 * an author get wrong can be got wrong here. */
#ifndef GREVY_TESTS_RAW_PLUGIN_H
#define GREVY_TESTS_RAW_PLUGIN_H

#include <grevy/abi.h>

#define RAW_TEXT(literal) \
  { literal, sizeof(literal) - 1 }
#define RAW_LITERAL_(value) #value
#define RAW_LITERAL(value) RAW_LITERAL_(value)

/* An ELF note as the SDK writes it. */
#define RAW_NOTE(variable, number, literal)                                       \
  __attribute__((section(".note.grevy"), used, aligned(4))) static const struct { \
    uint32_t name_size, descriptor_size, type;                                    \
    char name[8];                                                                 \
    char descriptor[(sizeof(literal) + 3) / 4 * 4];                               \
  } variable = {6, (sizeof(literal) + 3) / 4 * 4, number, "Grevy", literal}

#define RAW_PLUGIN_MANIFEST(id, major, minor, stamp)                                           \
  "{\"plugin\":\"" id "\",\"version\":\"1.0.0\",\"abi\":[" RAW_LITERAL(major) "," RAW_LITERAL( \
      minor) "],\"stamp\":\"" stamp "\"}"

#define RAW_COMPONENT_MANIFEST(kind, name)                                                      \
  "{\"kind\":\"" kind "\",\"name\":\"" name                                                     \
  "\",\"aliases\":[],\"version\":\"1.0.0\","                                                    \
  "\"summary\":\"For tests.\",\"options\":{\"type\":\"object\",\"additionalProperties\":false," \
  "\"properties\":{}}}"

/* A component with its note. */
#define RAW_COMPONENT(variable, number, kind, name, table)                               \
  RAW_NOTE(variable##_note, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST(kind, name));   \
  static const grevy_component variable = {sizeof(grevy_component), number,              \
                                           RAW_TEXT(RAW_COMPONENT_MANIFEST(kind, name)), \
                                           RAW_TEXT(name), table}

#define RAW_ENTRY \
  __attribute__((visibility("default"))) const grevy_plugin* grevy_plugin_entry_v1(void)

/* Descriptor and entry, for whom the note says something else or nothing. */
#define RAW_DESCRIPTOR(id, major, minor, stamp, ...)                                        \
  static const grevy_component* const raw_components[] = {__VA_ARGS__};                     \
  static const grevy_plugin raw_plugin = {sizeof(grevy_plugin),                             \
                                          major,                                            \
                                          minor,                                            \
                                          sizeof(raw_components) / sizeof(*raw_components), \
                                          RAW_TEXT(id),                                     \
                                          RAW_TEXT("1.0.0"),                                \
                                          RAW_TEXT(stamp),                                  \
                                          raw_components};                                  \
  RAW_ENTRY { return &raw_plugin; }                                                         \
  typedef int raw_plugin_ends_here

/* Everything of a plugin without LibTorch: note, descriptor, entry. */
#define RAW_PLUGIN(id, major, minor, stamp, ...)                                              \
  RAW_NOTE(raw_plugin_note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST(id, major, minor, stamp)); \
  RAW_DESCRIPTOR(id, major, minor, stamp, __VA_ARGS__)

/* Slots of a criterion that does as little as one can: its loss is the reference. The instance is
 * the host. */
static inline int32_t raw_create(const grevy_create_args* args, void** self,
                                 const grevy_error_sink* errors) {
  (void)errors;
  *self = (void*)args->host;
  return GREVY_OK;
}

static inline void raw_destroy(void* self) { (void)self; }

static inline int32_t raw_describe(void* self, grevy_criterion_info* info,
                                   const grevy_error_sink* errors) {
  (void)self, (void)errors;
  info->flags = 0;
  info->parts = 0;
  info->part_count = 0;
  return GREVY_OK;
}

static inline int32_t raw_evaluate(void* self, const grevy_prediction* predictions,
                                   uint64_t prediction_count, grevy_tensor** loss,
                                   grevy_tensor** parts, uint64_t part_count,
                                   const grevy_error_sink* errors) {
  const grevy_host* host = (const grevy_host*)self;
  (void)prediction_count, (void)parts, (void)part_count, (void)errors;
  host->tensor_retain(host, predictions[0].reference);
  *loss = predictions[0].reference;
  return GREVY_OK;
}

static inline int32_t raw_visit_tensors(void* self, const grevy_tensor_sink* sink,
                                        const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

static inline int32_t raw_visit_statistics(void* self, const grevy_statistic_sink* sink,
                                           const grevy_error_sink* errors) {
  const grevy_statistic seven = {RAW_TEXT("seven"), 7.0};
  (void)self, (void)errors;
  sink->add(sink->context, seven);
  return GREVY_OK;
}

static inline const void* raw_extension(void* self, grevy_text id) {
  (void)self, (void)id;
  return 0;
}

#define RAW_CRITERION_SLOTS                                                                     \
  raw_create, raw_destroy, raw_describe, raw_evaluate, raw_visit_tensors, raw_visit_statistics, \
      raw_extension

static const grevy_criterion_table raw_criterion = {sizeof(grevy_criterion_table), 0,
                                                    RAW_CRITERION_SLOTS};

#endif

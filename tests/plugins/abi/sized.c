/* Structs of any size. GREVY_SIZED="STRUCT SIZE" (or "STRUCT SIZE AT", with a null pointer at byte
 * AT) chooses a struct that this plugin gives the host: it says that it has SIZE bytes, it has
 * them, and the memory behind them cannot be read. Bytes that abi.h does not know are 0xab. */
#define _GNU_SOURCE
#include "raw_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The last `size` bytes before memory that cannot be read, from an address divisible by 8 on. */
static unsigned char* at_the_edge(size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (size + 7) / 8 * 8;
  const size_t pages = (used + page - 1) / page * page;
  unsigned char* memory =
      mmap(0, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory + pages, page, PROT_NONE) != 0) abort();
  memset(memory, 0xab, pages);
  return memory + pages - used;
}

/* The struct itself, or if it is the chosen one, its copy of the size asked for. */
static void* sized(const char* name, const void* whole, size_t whole_size) {
  char chosen[32];
  unsigned size = 0;
  int null_at = -1;
  unsigned char* copy;
  const char* wish = getenv("GREVY_SIZED");
  if (wish == 0 || sscanf(wish, "%31s %u %d", chosen, &size, &null_at) < 2 ||
      strcmp(chosen, name) != 0)
    return (void*)whole;
  copy = at_the_edge(size < sizeof(uint32_t) ? sizeof(uint32_t) : size);
  memcpy(copy, whole, size < whole_size ? size : whole_size);
  memcpy(copy, &(uint32_t){size}, sizeof(uint32_t));
  if (null_at >= 0) memset(copy + null_at, 0, sizeof(void*));
  return copy;
}
#define SIZED(type, pointer) ((type*)sized(#type, pointer, sizeof(type)))

static int wants(grevy_text options, const char* word) {
  return memmem(options.data, options.size, word, strlen(word)) != 0;
}

/* ---- What the criterion does when it is made ---- */

static void say(const grevy_host* host, const char* line) {
  const grevy_text who = RAW_TEXT("sized"), what = {line, strlen(line)};
  host->log(host, GREVY_LOG_INFO, who, what);
}

/* Makes a criterion that says what it was given. */
static int32_t create_another(const grevy_host* host, const grevy_error_sink* errors) {
  const grevy_text name = RAW_TEXT("sized-criterion"), options = RAW_TEXT("{\"say\":1}"),
                   device = RAW_TEXT("cpu:0");
  grevy_create_args args = {sizeof(args), 0, 0, {0, 0}, options, device, 7, 8};
  grevy_instance instance = {0, 0};
  const int32_t code = host->create(host, GREVY_KIND_CRITERION, name,
                                    SIZED(grevy_create_args, &args), &instance, errors);
  if (code == GREVY_OK) ((const grevy_criterion_table*)instance.table)->destroy(instance.self);
  return code;
}

static void note_code(void* context, const grevy_error_info* info) {
  *(int32_t*)context = info->code;
}

/* Fails to make a criterion, with an error sink of its own. */
static int32_t create_missing(const grevy_host* host) {
  const grevy_text name = RAW_TEXT("no-such-criterion");
  const grevy_create_args args = {sizeof(args), 0, 0, {0, 0}, {0, 0}, {0, 0}, 0, 0};
  grevy_instance instance = {0, 0};
  int32_t reported = 0;
  const grevy_error_sink sink = {sizeof(sink), 0, &reported, note_code};
  char line[64];
  const int32_t code = host->create(host, GREVY_KIND_CRITERION, name, &args, &instance,
                                    SIZED(grevy_error_sink, &sink));
  snprintf(line, sizeof(line), "code %d, reported %d", (int)code, (int)reported);
  say(host, line);
  return GREVY_OK;
}

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  char line[256];
  raw_create(args, self, errors);
  if (wants(args->options, "another")) return create_another(args->host, errors);
  if (wants(args->options, "missing")) return create_missing(args->host);
  snprintf(line, sizeof(line), "options %.*s device %.*s seed %llu num_input %lld",
           (int)args->options.size, args->options.data, (int)args->device.size, args->device.data,
           (unsigned long long)args->seed, (long long)args->num_input);
  if (wants(args->options, "say") || wants(args->options, "{}")) say(args->host, line);
  return GREVY_OK;
}

/* Two predictions are too many. */
static int32_t evaluate(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                        grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                        const grevy_error_sink* errors) {
  const grevy_error_info info = {sizeof(info),    GREVY_ERROR_IO,   RAW_TEXT("why"),
                                 RAW_TEXT("who"), RAW_TEXT("what"), RAW_TEXT("where")};
  if (prediction_count == 1)
    return raw_evaluate(self, predictions, prediction_count, loss, parts, part_count, errors);
  errors->report(errors->context, SIZED(grevy_error_info, &info));
  return GREVY_ERROR_IO;
}

static const void* extension(void* self, grevy_text id) {
  (void)id;
  return self;
}

static const grevy_criterion_table criterion_table = {sizeof(criterion_table),
                                                      0,
                                                      create,
                                                      raw_destroy,
                                                      raw_describe,
                                                      evaluate,
                                                      raw_visit_tensors,
                                                      raw_visit_statistics,
                                                      extension};

/* ---- A model and a solver that agree to everything ---- */

static int32_t describe_model(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  const grevy_model_info known = {info->struct_size, 0, 1, 1, 0, 1, 1, 1};
  (void)self, (void)errors;
  *info = known;
  return GREVY_OK;
}

static int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                       uint64_t output_count, const grevy_error_sink* errors) {
  const grevy_host* host = self;
  (void)output_count, (void)errors;
  host->tensor_retain(host, windows);
  outputs[0] = windows;
  return GREVY_OK;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  (void)self, (void)training, (void)errors;
  return GREVY_OK;
}

static const grevy_model_table model_table = {
    sizeof(model_table), 0,        raw_create, raw_destroy, describe_model, forward, set_training,
    raw_visit_tensors,   extension};

static int32_t describe_solver(void* self, grevy_solver_info* info,
                               const grevy_error_sink* errors) {
  (void)self, (void)errors;
  info->flags = 0;
  info->num_positives = 1;
  return GREVY_OK;
}

static int32_t attach(void* self, const grevy_solver_parts* parts, const grevy_error_sink* errors) {
  (void)self, (void)parts, (void)errors;
  return GREVY_OK;
}

static int32_t fit(void* self, const grevy_training* training, const grevy_error_sink* errors) {
  (void)self, (void)training, (void)errors;
  return GREVY_OK;
}

static int32_t step(void* self, const grevy_batch* const* batches, uint64_t batch_count,
                    const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                    const grevy_error_sink* errors) {
  (void)batches, (void)batch_count, (void)optimizer;
  return raw_visit_statistics(self, statistics, errors);
}

static int32_t validate(void* self, const grevy_loader* loader, double* loss,
                        const grevy_statistic_sink* parts, const grevy_error_sink* errors) {
  (void)self, (void)loader, (void)parts, (void)errors;
  *loss = 3;
  return GREVY_OK;
}

static int32_t transform(void* self, int64_t session, grevy_tensor* samples,
                         grevy_tensor** embedding, const grevy_error_sink* errors) {
  (void)session;
  return forward(self, samples, embedding, 1, errors);
}

static int32_t save_state(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors) {
  const grevy_text state = RAW_TEXT("{}");
  (void)self, (void)errors;
  sink->write(sink->context, state);
  return GREVY_OK;
}

static int32_t load_state(void* self, grevy_text state, const grevy_error_sink* errors) {
  (void)self, (void)state, (void)errors;
  return GREVY_OK;
}

static const grevy_solver_table solver_table = {sizeof(solver_table),
                                                0,
                                                raw_create,
                                                raw_destroy,
                                                describe_solver,
                                                attach,
                                                fit,
                                                step,
                                                validate,
                                                transform,
                                                raw_visit_tensors,
                                                save_state,
                                                load_state,
                                                extension};

/* ---- The plugin, made anew for each host ---- */

RAW_COMPONENT(model, GREVY_KIND_MODEL, "model", "sized-model", &model_table);
RAW_COMPONENT(criterion, GREVY_KIND_CRITERION, "criterion", "sized-criterion", &criterion_table);
RAW_COMPONENT(solver, GREVY_KIND_SOLVER, "solver", "sized-solver", &solver_table);
RAW_NOTE(plugin_note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("abi.sized", 1, 0, ""));

static const grevy_component* with_table(const grevy_component* component, const void* table) {
  grevy_component* copy = malloc(sizeof(*copy));
  if (copy == 0) abort();
  *copy = *component;
  copy->table = table;
  return SIZED(grevy_component, copy);
}

/* GREVY_SIZED="components COUNT" counts wrongly. */
static uint32_t component_count(void) {
  unsigned count = 3;
  const char* wish = getenv("GREVY_SIZED");
  if (wish != 0) sscanf(wish, "components %u", &count);
  return count;
}

RAW_ENTRY {
  const grevy_component** list = (const grevy_component**)(void*)at_the_edge(3 * sizeof(void*));
  grevy_plugin* made = malloc(sizeof(*made));
  const grevy_plugin plugin = {
      sizeof(plugin),    1,      0,   component_count(), RAW_TEXT("abi.sized"),
      RAW_TEXT("1.0.0"), {0, 0}, list};
  if (made == 0) abort();
  *made = plugin;
  list[0] = with_table(&model, SIZED(grevy_model_table, &model_table));
  list[1] = with_table(&criterion, SIZED(grevy_criterion_table, &criterion_table));
  list[2] = with_table(&solver, SIZED(grevy_solver_table, &solver_table));
  return SIZED(grevy_plugin, made);
}

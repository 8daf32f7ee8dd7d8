/* Components that do one wrong thing, the one that the option "do" names: wrong counts, texts that
 * are no UTF-8 or huge, null pointers, endless composition. Each is the plain one but for that. */
#define _GNU_SOURCE
#include "raw_plugin.h"

#include <stdlib.h>
#include <string.h>

#define KILO ((uint64_t)1024)
#define BAD_TEXT RAW_TEXT("caf\xe9 \xf0\x9f\x92\xa9 \xc0\xaf")

static const uint64_t negative = (uint64_t)-1;

typedef struct rude {
  const grevy_host* host;
  char does[32];
} rude;

static int does(const void* self, const char* what) {
  return strcmp(((const rude*)self)->does, what) == 0;
}

/* `size` bytes; kept for good, as a test needs few. */
static grevy_text long_text(uint64_t size) {
  grevy_text text = {0, size};
  char* data = malloc(size);
  if (data == 0) abort();
  memset(data, 'x', size);
  text.data = data;
  return text;
}

/* A text that is wrong in the way that the last word of `does` says. */
static grevy_text wrong_text(const rude* me) {
  const grevy_text bad = BAD_TEXT, endless = {"text", negative}, nothing = {0, 7}, empty = {"", 0};
  const char* word = strrchr(me->does, '-');
  if (word == 0) abort();
  if (strcmp(word, "-utf8") == 0) return bad;
  if (strcmp(word, "-huge") == 0) return long_text(64 * KILO * KILO);
  if (strcmp(word, "-long") == 0) return long_text(KILO * KILO);
  if (strcmp(word, "-negative") == 0) return endless;
  return strcmp(word, "-null") == 0 ? nothing : empty;
}

static int begins(const void* self, const char* with) {
  return strncmp(((const rude*)self)->does, with, strlen(with)) == 0;
}

static int32_t fail(const grevy_error_sink* errors, int32_t code, grevy_text message,
                    grevy_text place) {
  const grevy_error_info info = {sizeof(info), code, message, place, place, place};
  errors->report(errors->context, &info);
  return code;
}

/* ---- Making others ---- */

static int32_t make(const rude* me, uint32_t kind, grevy_text name, grevy_text options,
                    const grevy_error_sink* errors) {
  const grevy_create_args args = {sizeof(args), 0, 0, {0, 0}, options, RAW_TEXT("cpu"), 0, 1};
  grevy_instance instance = {0, 0};
  const int32_t code = me->host->create(me->host, kind, name, &args, &instance, errors);
  if (code == GREVY_OK) ((const grevy_criterion_table*)instance.table)->destroy(instance.self);
  return code;
}

/* JSON objects in each other. */
static grevy_text deep_options(uint64_t depth) {
  grevy_text text = long_text(6 * depth + 1);
  char* data = (char*)text.data;
  uint64_t i;
  for (i = 0; i < depth; ++i) {
    memcpy(data + 5 * i, "{\"a\":", 5);
    data[5 * depth + 1 + i] = '}';
  }
  data[5 * depth] = '1';
  return text;
}

static int32_t make_wrongly(const rude* me, const grevy_error_sink* errors) {
  const grevy_text name = RAW_TEXT("rude"), none = {0, 0}, no_json = RAW_TEXT("{\"a\":\xff}");
  const grevy_host* host = me->host;
  const grevy_create_args args = {sizeof(args), 0, 0, {0, 0}, {0, 0}, {0, 0}, 0, 0};
  grevy_instance instance = {0, 0};
  if (does(me, "make-without-args"))
    return host->create(host, GREVY_KIND_CRITERION, name, 0, &instance, errors);
  if (does(me, "make-without-place"))
    return host->create(host, GREVY_KIND_CRITERION, name, &args, 0, errors);
  if (does(me, "make-without-sink")) return make(me, GREVY_KIND_CRITERION, none, none, 0);
  if (does(me, "make-kind")) return make(me, 77, name, none, errors);
  if (does(me, "make-deep"))
    return make(me, GREVY_KIND_CRITERION, name, deep_options(200000), errors);
  if (does(me, "make-no-json")) return make(me, GREVY_KIND_CRITERION, name, no_json, errors);
  return make(me, GREVY_KIND_CRITERION, wrong_text(me), none, errors);
}

/* ---- Criterion ---- */

static void read_wish(rude* me, grevy_text options) {
  const char* at = memmem(options.data, options.size, "\"do\":\"", 6);
  size_t i;
  for (i = 0; at != 0 && i + 1 < sizeof(me->does) && at[6 + i] != '"'; ++i) me->does[i] = at[6 + i];
}

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const grevy_text none = {0, 0};
  rude* me = calloc(1, sizeof(*me));
  int32_t code = GREVY_OK;
  if (me == 0) abort();
  me->host = args->host;
  read_wish(me, args->options);
  if (does(me, "abort")) abort();
  if (does(me, "exit")) exit(3);
  if (begins(me, "make-")) code = make_wrongly(me, errors);
  if (begins(me, "log-")) me->host->log(me->host, 1, wrong_text(me), wrong_text(me));
  if (begins(me, "fail-")) code = fail(errors, GREVY_ERROR_IO, wrong_text(me), none);
  if (begins(me, "place-")) code = fail(errors, GREVY_ERROR_IO, none, wrong_text(me));
  if (does(me, "report-nothing")) {
    errors->report(errors->context, 0);
    code = GREVY_ERROR_IO;
  }
  *self = me;
  return code;
}

static void destroy(void* self) { free(self); }

static int32_t describe(void* self, grevy_criterion_info* info, const grevy_error_sink* errors) {
  static grevy_text part;
  (void)errors;
  if (!begins(self, "parts-")) return GREVY_OK;
  part = wrong_text(self);
  info->parts = does(self, "parts-null") ? 0 : &part;
  info->part_count = does(self, "parts-negative") ? negative : does(self, "parts-huge") ? 4097 : 1;
  return GREVY_OK;
}

static int32_t evaluate(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                        grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                        const grevy_error_sink* errors) {
  if (does(self, "no-loss")) return GREVY_OK;
  return raw_evaluate((void*)((rude*)self)->host, predictions, prediction_count, loss, parts,
                      part_count, errors);
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  const grevy_text name = RAW_TEXT("weight");
  (void)errors;
  if (does(self, "no-tensor")) sink->add(sink->context, name, GREVY_TENSOR_PARAMETER, 0);
  if (begins(self, "tensor-")) sink->add(sink->context, wrong_text(self), 99, 0);
  return GREVY_OK;
}

static int32_t visit_statistics(void* self, const grevy_statistic_sink* sink,
                                const grevy_error_sink* errors) {
  grevy_statistic statistic = {{0, 0}, 1};
  (void)errors;
  if (!begins(self, "statistic-")) return GREVY_OK;
  statistic.name = wrong_text(self);
  sink->add(sink->context, statistic);
  return GREVY_OK;
}

static const grevy_criterion_table rude_table = {
    sizeof(rude_table), 0, create, destroy, describe, evaluate, visit_tensors, visit_statistics, 0};

/* ---- Model ---- */

static int32_t describe_model(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  const grevy_model_info plain = {info->struct_size, GREVY_MODEL_CONVOLUTIONAL, 1, 1, 0, 1, 1, 1};
  const int64_t huge = INT64_MAX;
  (void)errors;
  *info = plain;
  if (does(self, "tensors-negative")) info->num_tensors = -1;
  if (does(self, "tensors-huge")) info->num_tensors = huge;
  if (does(self, "output-negative")) info->num_output = -1;
  if (does(self, "output-huge")) info->num_output = huge;
  if (does(self, "left-negative")) info->offset_left = -1;
  if (does(self, "left-huge")) info->offset_left = huge;
  if (does(self, "right-zero")) info->offset_right = 0;
  if (does(self, "right-huge")) info->offset_right = huge;
  if (does(self, "resample-zero")) info->resample_factor = 0;
  if (does(self, "resample-huge")) info->resample_factor = huge;
  if (does(self, "input-huge")) info->num_input = huge;
  return GREVY_OK;
}

static int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                       uint64_t output_count, const grevy_error_sink* errors) {
  (void)self, (void)windows, (void)outputs, (void)output_count, (void)errors;
  return GREVY_OK;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  (void)self, (void)training, (void)errors;
  return GREVY_OK;
}

static const grevy_model_table rude_model_table = {sizeof(rude_model_table),
                                                   0,
                                                   create,
                                                   destroy,
                                                   describe_model,
                                                   forward,
                                                   set_training,
                                                   visit_tensors,
                                                   0};

/* ---- Solver ---- */

static int32_t describe_solver(void* self, grevy_solver_info* info,
                               const grevy_error_sink* errors) {
  (void)errors;
  info->flags = 0xffffffffu;
  info->num_positives = does(self, "positives-negative") ? -1
                        : does(self, "positives-huge")   ? INT64_MAX
                                                         : 1;
  return GREVY_OK;
}

static int32_t transform(void* self, int64_t session, grevy_tensor* samples,
                         grevy_tensor** embedding, const grevy_error_sink* errors) {
  (void)self, (void)session, (void)samples, (void)embedding, (void)errors;
  return GREVY_OK;
}

static int32_t save_state(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors) {
  (void)errors;
  if (begins(self, "state-")) sink->write(sink->context, wrong_text(self));
  return GREVY_OK;
}

static const grevy_solver_table rude_solver_table = {sizeof(rude_solver_table),
                                                     0,
                                                     create,
                                                     destroy,
                                                     describe_solver,
                                                     0,
                                                     0,
                                                     0,
                                                     0,
                                                     transform,
                                                     visit_tensors,
                                                     save_state,
                                                     0,
                                                     0};

/* ---- Components that need each other ---- */

static int32_t create_cycle(const grevy_create_args* args, void** self,
                            const grevy_error_sink* errors, uint32_t kind, grevy_text other) {
  const rude me = {args->host, ""};
  const grevy_text none = {0, 0};
  *self = (void*)args->host;
  return make(&me, kind, other, none, errors);
}

#define CYCLE(letter, other, kind_number, kind, table_type)                              \
  static int32_t create_##kind##_##letter(const grevy_create_args* args, void** self,    \
                                          const grevy_error_sink* errors) {              \
    const grevy_text next = RAW_TEXT("cycle-" #other);                                   \
    return create_cycle(args, self, errors, kind_number, next);                          \
  }                                                                                      \
  static const table_type kind##_##letter##_table = {.struct_size = sizeof(table_type),  \
                                                     .create = create_##kind##_##letter, \
                                                     .destroy = raw_destroy};            \
  RAW_COMPONENT(kind##_##letter, kind_number, #kind, "cycle-" #letter, &kind##_##letter##_table)

CYCLE(a, b, GREVY_KIND_CRITERION, criterion, grevy_criterion_table);
CYCLE(b, a, GREVY_KIND_CRITERION, criterion, grevy_criterion_table);
CYCLE(a, b, GREVY_KIND_MODEL, model, grevy_model_table);
CYCLE(b, a, GREVY_KIND_MODEL, model, grevy_model_table);

RAW_COMPONENT(rude_criterion, GREVY_KIND_CRITERION, "criterion", "rude", &rude_table);
RAW_COMPONENT(rude_model, GREVY_KIND_MODEL, "model", "rude", &rude_model_table);
RAW_COMPONENT(rude_solver, GREVY_KIND_SOLVER, "solver", "rude", &rude_solver_table);
RAW_PLUGIN("abi.rude", 1, 0, "", &rude_criterion, &rude_model, &rude_solver, &criterion_a,
           &criterion_b, &model_a, &model_b);

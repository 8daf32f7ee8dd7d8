/* A plugin of ABI 1.9: it knows one more member of every struct, gives structs that have it, and
 * says for each struct that it is given how long it is and whether it has that member. */
#include "raw_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEWER(type) \
  typedef struct {  \
    type known;     \
    uint64_t later; \
  } newer_##type

NEWER(grevy_plugin);
NEWER(grevy_component);
NEWER(grevy_model_table);
NEWER(grevy_criterion_table);
NEWER(grevy_solver_table);
NEWER(grevy_error_info);
NEWER(grevy_error_sink);
NEWER(grevy_create_args);
NEWER(grevy_host);
NEWER(grevy_text_sink);
NEWER(grevy_statistic_sink);
NEWER(grevy_tensor_sink);
NEWER(grevy_model_info);
NEWER(grevy_criterion_info);
NEWER(grevy_solver_info);
NEWER(grevy_solver_parts);
NEWER(grevy_batch);
NEWER(grevy_loader);
NEWER(grevy_optimizer);
NEWER(grevy_training);

/* One instance at a time is enough for tests. */
static const grevy_host* the_host;

static void say(const char* type, uint32_t size, size_t newer_size) {
  const grevy_text who = RAW_TEXT("newer");
  char line[64];
  grevy_text what = {line, 0};
  what.size = (uint64_t)snprintf(line, sizeof(line), "%s %u%s", type, size,
                                 size >= newer_size ? " with the later member" : "");
  the_host->log(the_host, GREVY_LOG_INFO, who, what);
}
#define GIVEN(type, pointer) say(#type, (pointer)->struct_size, sizeof(newer_##type))

/* ---- Errors, in both directions ---- */

static int32_t fail(const grevy_error_sink* errors) {
  const newer_grevy_error_info info = {
      {sizeof(info), GREVY_ERROR_IO, RAW_TEXT("why"), {0, 0}, {0, 0}, {0, 0}}, 1};
  errors->report(errors->context, &info.known);
  return GREVY_ERROR_IO;
}

static void look_at(void* context, const grevy_error_info* info) {
  (void)context;
  GIVEN(grevy_error_info, info);
}

static void be_refused(void) {
  const newer_grevy_error_sink sink = {{sizeof(sink), 0, 0, look_at}, 1};
  const newer_grevy_create_args args = {
      {sizeof(args), 0, 0, {0, 0}, RAW_TEXT("{}"), RAW_TEXT("cpu"), 1, 0}, 1};
  const grevy_text missing = RAW_TEXT("no-such-criterion");
  grevy_instance instance = {0, 0};
  the_host->create(the_host, GREVY_KIND_CRITERION, missing, &args.known, &instance, &sink.known);
}

/* ---- Criterion ---- */

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  the_host = args->host;
  GIVEN(grevy_host, args->host);
  GIVEN(grevy_create_args, args);
  GIVEN(grevy_error_sink, errors);
  return raw_create(args, self, errors);
}

static int32_t describe(void* self, grevy_criterion_info* info, const grevy_error_sink* errors) {
  GIVEN(grevy_criterion_info, info);
  return raw_describe(self, info, errors);
}

static int32_t evaluate(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                        grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                        const grevy_error_sink* errors) {
  if (prediction_count != 1) return fail(errors);
  be_refused();
  return raw_evaluate(self, predictions, prediction_count, loss, parts, part_count, errors);
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  GIVEN(grevy_tensor_sink, sink);
  return raw_visit_tensors(self, sink, errors);
}

static int32_t visit_statistics(void* self, const grevy_statistic_sink* sink,
                                const grevy_error_sink* errors) {
  GIVEN(grevy_statistic_sink, sink);
  return raw_visit_statistics(self, sink, errors);
}

static const newer_grevy_criterion_table criterion_table = {
    {sizeof(criterion_table), 0, create, raw_destroy, describe, evaluate, visit_tensors,
     visit_statistics, 0},
    1};

/* ---- Model ---- */

static int32_t describe_model(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  const grevy_model_info known = {info->struct_size, 0, 2, 2, 0, 1, 1, 1};
  (void)self, (void)errors;
  GIVEN(grevy_model_info, info);
  *info = known;
  return GREVY_OK;
}

static int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                       uint64_t output_count, const grevy_error_sink* errors) {
  (void)self, (void)output_count, (void)errors;
  the_host->tensor_retain(the_host, windows);
  outputs[0] = windows;
  return GREVY_OK;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  (void)self, (void)training, (void)errors;
  return GREVY_OK;
}

static const newer_grevy_model_table model_table = {
    {sizeof(model_table), 0, create, raw_destroy, describe_model, forward, set_training,
     visit_tensors, 0},
    1};

/* ---- Solver ---- */

static int32_t describe_solver(void* self, grevy_solver_info* info,
                               const grevy_error_sink* errors) {
  (void)self, (void)errors;
  GIVEN(grevy_solver_info, info);
  info->flags = 0;
  info->num_positives = 1;
  return GREVY_OK;
}

static int32_t attach(void* self, const grevy_solver_parts* parts, const grevy_error_sink* errors) {
  (void)self, (void)errors;
  GIVEN(grevy_solver_parts, parts);
  return GREVY_OK;
}

static int32_t step(void* self, const grevy_batch* const* batches, uint64_t batch_count,
                    const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                    const grevy_error_sink* errors) {
  (void)batch_count;
  GIVEN(grevy_batch, batches[0]);
  GIVEN(grevy_optimizer, optimizer);
  return raw_visit_statistics(self, statistics, errors);
}

static int32_t fit(void* self, const grevy_training* training, const grevy_error_sink* errors) {
  const grevy_statistic seven = {RAW_TEXT("seven"), 7.0};
  int64_t i;
  (void)self;
  GIVEN(grevy_training, training);
  GIVEN(grevy_loader, training->loader);
  GIVEN(grevy_optimizer, training->optimizer);
  for (i = training->first_step; i < training->num_steps; ++i) {
    const grevy_batch* const* batches = 0;
    uint64_t count = 0;
    uint32_t actions = 0;
    int32_t code = training->loader->next(training->loader->context, &batches, &count, errors);
    if (code != GREVY_OK) return code;
    GIVEN(grevy_batch, batches[0]);
    code = training->end_step(training->context, i, &seven, 1, &actions, errors);
    if (code != GREVY_OK || (actions & GREVY_ACTION_STOP)) return code;
  }
  return GREVY_OK;
}

static int32_t save_state(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors) {
  const grevy_text state = RAW_TEXT("{}");
  (void)self, (void)errors;
  GIVEN(grevy_text_sink, sink);
  sink->write(sink->context, state);
  return GREVY_OK;
}

static const newer_grevy_solver_table solver_table = {
    {sizeof(solver_table), 0, create, raw_destroy, describe_solver, attach, fit, step, 0, 0,
     visit_tensors, save_state, 0, 0},
    1};

/* ---- Plugin ---- */

#define NEWER_COMPONENT(variable, number, kind, name, table)                                \
  RAW_NOTE(variable##_note, GREVY_NOTE_COMPONENT, RAW_COMPONENT_MANIFEST(kind, name));      \
  static const newer_grevy_component variable = {                                           \
      {sizeof(newer_grevy_component), number, RAW_TEXT(RAW_COMPONENT_MANIFEST(kind, name)), \
       RAW_TEXT(name), table},                                                              \
      1}

NEWER_COMPONENT(model, GREVY_KIND_MODEL, "model", "newer-model", &model_table);
NEWER_COMPONENT(criterion, GREVY_KIND_CRITERION, "criterion", "newer-criterion", &criterion_table);
NEWER_COMPONENT(solver, GREVY_KIND_SOLVER, "solver", "newer-solver", &solver_table);
RAW_NOTE(plugin_note, GREVY_NOTE_PLUGIN, RAW_PLUGIN_MANIFEST("abi.newer", 1, 9, ""));

static const grevy_component* const components[] = {&model.known, &criterion.known, &solver.known};
static const newer_grevy_plugin plugin = {
    {sizeof(plugin), 1, 9, 3, RAW_TEXT("abi.newer"), RAW_TEXT("1.0.0"), {0, 0}, components}, 1};
RAW_ENTRY { return &plugin.known; }

/* Criterions of ABI 1.0. Without LibTorch a plugin cannot compute, but it can pass tensors on. */
#include "kept.h"

/* ---- One whose loss is a tensor that it is given ---- */

typedef struct picker {
  const grevy_host* host;
  int64_t pick;
  double seed, evaluations;
} picker;

/* The table of the extension "kept.count/1". */
typedef struct kept_count {
  uint32_t struct_size;
  uint32_t reserved;
  double (*evaluations)(void* self);
} kept_count;

static int32_t picker_create(const grevy_create_args* args, void** self,
                             const grevy_error_sink* errors) {
  const grevy_text made = KEPT_TEXT("is made");
  const int64_t pick = kept_number(args->options, "pick", 0);
  picker* made_self;
  if (pick > 2)
    return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "option \"pick\" must be 0, 1 or 2");
  made_self = malloc(sizeof(*made_self));
  if (made_self == 0) return kept_fail(errors, GREVY_ERROR_INTERNAL, "no memory");
  made_self->host = args->host;
  made_self->pick = pick;
  made_self->seed = (double)args->seed;
  made_self->evaluations = 0;
  args->host->log(args->host, GREVY_LOG_INFO, args->name, made);
  *self = made_self;
  return GREVY_OK;
}

static void picker_destroy(void* self) { free(self); }

static int32_t picker_describe(void* self, grevy_criterion_info* info,
                               const grevy_error_sink* errors) {
  static const grevy_text parts[] = {KEPT_TEXT("picked"), KEPT_TEXT("reference")};
  (void)self, (void)errors;
  info->flags = GREVY_CRITERION_EXPECTS_NORMALIZED;
  info->parts = parts;
  info->part_count = 2;
  return GREVY_OK;
}

static grevy_tensor* retained(const grevy_host* host, grevy_tensor* tensor) {
  host->tensor_retain(host, tensor);
  return tensor;
}

static int32_t picker_evaluate(void* self, const grevy_prediction* predictions,
                               uint64_t prediction_count, grevy_tensor** loss, grevy_tensor** parts,
                               uint64_t part_count, const grevy_error_sink* errors) {
  picker* me = self;
  grevy_tensor* picked;
  if (prediction_count != 1)
    return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "takes one prediction");
  picked = me->pick == 0   ? predictions->reference
           : me->pick == 1 ? predictions->positive
                           : predictions->negative;
  if (picked == 0) return kept_fail(errors, GREVY_ERROR_INVALID_TYPE, "there is no such tensor");
  if (parts != 0 && part_count == 2) {
    parts[0] = retained(me->host, picked);
    parts[1] = retained(me->host, predictions->reference);
  }
  *loss = retained(me->host, picked);
  me->evaluations += 1;
  return GREVY_OK;
}

static int32_t picker_visit_tensors(void* self, const grevy_tensor_sink* sink,
                                    const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

static int32_t picker_visit_statistics(void* self, const grevy_statistic_sink* sink,
                                       const grevy_error_sink* errors) {
  const picker* me = self;
  const grevy_statistic statistics[] = {{KEPT_TEXT("evaluations"), me->evaluations},
                                        {KEPT_TEXT("seed"), me->seed}};
  (void)errors;
  sink->add(sink->context, statistics[0]);
  sink->add(sink->context, statistics[1]);
  return GREVY_OK;
}

static double picker_evaluations(void* self) { return ((picker*)self)->evaluations; }

static const void* picker_extension(void* self, grevy_text id) {
  static const kept_count count = {sizeof(kept_count), 0, picker_evaluations};
  (void)self;
  return kept_equal(id, "kept.count/1") ? &count : 0;
}

static const grevy_criterion_table picker_table = {.struct_size = sizeof(grevy_criterion_table),
                                                   .create = picker_create,
                                                   .destroy = picker_destroy,
                                                   .describe = picker_describe,
                                                   .evaluate = picker_evaluate,
                                                   .visit_tensors = picker_visit_tensors,
                                                   .visit_statistics = picker_visit_statistics,
                                                   .extension = picker_extension};

/* ---- One that wraps another, which the host makes ---- */

typedef struct wrapper {
  const grevy_criterion_table* table;
  void* inner;
} wrapper;

static int32_t wrapper_create(const grevy_create_args* args, void** self,
                              const grevy_error_sink* errors) {
  const grevy_text nothing = KEPT_TEXT("kept.nothing/1"), no_options = KEPT_TEXT("{}");
  const grevy_host* host = args->host;
  grevy_create_args inner;
  grevy_instance instance = {0, 0};
  wrapper* made;
  int32_t code;
  if (host->abi_major != 1 || host->extension(host, nothing) != 0)
    return kept_fail(errors, GREVY_ERROR_INTERNAL, "the host is not what it says");
  memset(&inner, 0, sizeof(inner));
  inner.struct_size = sizeof(inner);
  inner.options = no_options;
  inner.device = args->device;
  inner.seed = args->seed + 1;
  code = host->create(host, GREVY_KIND_CRITERION, kept_text(args->options, "inner"), &inner,
                      &instance, errors);
  if (code != GREVY_OK) return code;
  made = malloc(sizeof(*made));
  if (made == 0) return kept_fail(errors, GREVY_ERROR_INTERNAL, "no memory");
  made->table = instance.table;
  made->inner = instance.self;
  *self = made;
  return GREVY_OK;
}

static void wrapper_destroy(void* self) {
  wrapper* me = self;
  me->table->destroy(me->inner);
  free(me);
}

static int32_t wrapper_describe(void* self, grevy_criterion_info* info,
                                const grevy_error_sink* errors) {
  wrapper* me = self;
  return me->table->describe(me->inner, info, errors);
}

static int32_t wrapper_evaluate(void* self, const grevy_prediction* predictions,
                                uint64_t prediction_count, grevy_tensor** loss,
                                grevy_tensor** parts, uint64_t part_count,
                                const grevy_error_sink* errors) {
  wrapper* me = self;
  return me->table->evaluate(me->inner, predictions, prediction_count, loss, parts, part_count,
                             errors);
}

/* Hands a tensor of the inner criterion on, under a prefix. */
static void add_prefixed(void* context, grevy_text name, uint32_t role, grevy_tensor* tensor) {
  const grevy_tensor_sink* outer = context;
  char buffer[256] = "inner.";
  grevy_text prefixed = {buffer, 6};
  if (name.size > sizeof(buffer) - 6) return;
  memcpy(buffer + 6, name.data, name.size);
  prefixed.size += name.size;
  outer->add(outer->context, prefixed, role, tensor);
}

static int32_t wrapper_visit_tensors(void* self, const grevy_tensor_sink* sink,
                                     const grevy_error_sink* errors) {
  wrapper* me = self;
  const grevy_tensor_sink own = {sizeof(own), 0, (void*)sink, add_prefixed};
  return me->table->visit_tensors(me->inner, &own, errors);
}

static int32_t wrapper_visit_statistics(void* self, const grevy_statistic_sink* sink,
                                        const grevy_error_sink* errors) {
  wrapper* me = self;
  return me->table->visit_statistics(me->inner, sink, errors);
}

static const grevy_criterion_table wrapper_table = {.struct_size = sizeof(grevy_criterion_table),
                                                    .create = wrapper_create,
                                                    .destroy = wrapper_destroy,
                                                    .describe = wrapper_describe,
                                                    .evaluate = wrapper_evaluate,
                                                    .visit_tensors = wrapper_visit_tensors,
                                                    .visit_statistics = wrapper_visit_statistics};

KEPT_COMPONENT(picker_component, GREVY_KIND_CRITERION, "kept-criterion",
               "{\"kind\":\"criterion\",\"name\":\"kept-criterion\",\"aliases\":[\"kept-picker\"],"
               "\"version\":\"1.0.0\",\"summary\":\"A tensor of the prediction.\",\"options\":{"
               "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"pick\":{"
               "\"type\":\"integer\",\"minimum\":0,\"maximum\":2,\"default\":0,"
               "\"description\":\"Which tensor: reference, positive, negative.\"}}}}",
               &picker_table);
KEPT_COMPONENT(wrapper_component, GREVY_KIND_CRITERION, "kept-wrapper",
               "{\"kind\":\"criterion\",\"name\":\"kept-wrapper\",\"aliases\":[],"
               "\"version\":\"1.1.0\",\"summary\":\"Another criterion.\",\"options\":{"
               "\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"inner\"],"
               "\"properties\":{\"inner\":{\"type\":\"string\","
               "\"description\":\"Name of the other criterion.\"}}}}",
               &wrapper_table);
KEPT_PLUGIN("kept.criterion", &picker_component, &wrapper_component);

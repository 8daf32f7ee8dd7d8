/* A training loop of ABI 1.0. It cannot differentiate without LibTorch: every call but that of the
 * gradient is made, and counted. */
#include "kept.h"

#include <stdio.h>

typedef struct loop {
  const grevy_host* host;
  const grevy_model_table* model_table;
  void* model;
  const grevy_criterion_table* criterion_table;
  void* criterion;
  uint64_t part_count;
  int64_t steps;
} loop;

enum { max_parts = 16 };

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  loop* made = calloc(1, sizeof(*made));
  if (made == 0) return kept_fail(errors, GREVY_ERROR_INTERNAL, "no memory");
  made->host = args->host;
  *self = made;
  return GREVY_OK;
}

static void destroy(void* self) { free(self); }

static int32_t describe(void* self, grevy_solver_info* info, const grevy_error_sink* errors) {
  (void)self, (void)errors;
  info->flags = 0;
  info->num_positives = 1;
  return GREVY_OK;
}

static int32_t attach(void* self, const grevy_solver_parts* parts, const grevy_error_sink* errors) {
  loop* me = self;
  grevy_criterion_info info;
  int32_t code;
  if (parts->model_count != 1 || parts->criterion_count != 1)
    return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "takes one model and one criterion");
  me->model_table = parts->models[0].table;
  me->model = parts->models[0].self;
  me->criterion_table = parts->criterions[0].table;
  me->criterion = parts->criterions[0].self;
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  code = me->criterion_table->describe(me->criterion, &info, errors);
  if (code != GREVY_OK) return code;
  if (info.part_count > max_parts)
    return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "takes sixteen parts at most");
  me->part_count = info.part_count;
  return GREVY_OK;
}

/* Reference, positive and negative as embeddings, each with a reference of its own. */
static int32_t embed(loop* me, const grevy_batch* batch, grevy_prediction* prediction,
                     const grevy_error_sink* errors) {
  const grevy_model_table* table = me->model_table;
  int32_t code = table->forward(me->model, batch->reference, &prediction->reference, 1, errors);
  if (code == GREVY_OK)
    code = table->forward(me->model, batch->positives[0], &prediction->positive, 1, errors);
  if (code == GREVY_OK)
    code = table->forward(me->model, batch->negative, &prediction->negative, 1, errors);
  return code;
}

static int32_t evaluate(loop* me, const grevy_batch* batch, const grevy_error_sink* errors) {
  const grevy_host* host = me->host;
  grevy_prediction prediction = {0, 0, 0};
  grevy_tensor* loss = 0;
  grevy_tensor* parts[max_parts] = {0};
  uint64_t i;
  int32_t code = embed(me, batch, &prediction, errors);
  if (code == GREVY_OK)
    code = me->criterion_table->evaluate(me->criterion, &prediction, 1, &loss, parts,
                                         me->part_count, errors);
  host->tensor_release(host, loss);
  for (i = 0; i < max_parts; ++i) host->tensor_release(host, parts[i]);
  host->tensor_release(host, prediction.reference);
  host->tensor_release(host, prediction.positive);
  host->tensor_release(host, prediction.negative);
  return code;
}

static int32_t one_step(loop* me, const grevy_batch* const* batches, uint64_t batch_count,
                        const grevy_optimizer* optimizer, const grevy_error_sink* errors) {
  int32_t code;
  if (batch_count != 1) return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "takes one batch");
  code = optimizer->zero_grad(optimizer->context, errors);
  if (code == GREVY_OK) code = evaluate(me, batches[0], errors);
  if (code == GREVY_OK) code = optimizer->step(optimizer->context, errors);
  if (code == GREVY_OK) me->steps += 1;
  return code;
}

static grevy_statistic statistics_of(const loop* me) {
  const grevy_statistic steps = {KEPT_TEXT("steps"), (double)me->steps};
  return steps;
}

static int32_t step(void* self, const grevy_batch* const* batches, uint64_t batch_count,
                    const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                    const grevy_error_sink* errors) {
  const int32_t code = one_step(self, batches, batch_count, optimizer, errors);
  if (code == GREVY_OK) statistics->add(statistics->context, statistics_of(self));
  return code;
}

/* Its loss is the number of batches. */
static int32_t validate(void* self, const grevy_loader* loader, double* loss,
                        const grevy_statistic_sink* parts, const grevy_error_sink* errors) {
  const grevy_statistic windows = {KEPT_TEXT("batches"), (double)loader->num_batches};
  int64_t i;
  for (i = 0; i < loader->num_batches; ++i) {
    const grevy_batch* const* batches = 0;
    uint64_t count = 0;
    int32_t code = loader->next(loader->context, &batches, &count, errors);
    if (code == GREVY_OK) code = evaluate(self, batches[0], errors);
    if (code != GREVY_OK) return code;
  }
  if (parts != 0) parts->add(parts->context, windows);
  *loss = (double)loader->num_batches;
  return GREVY_OK;
}

static int32_t validate_now(loop* me, const grevy_training* training, int64_t at,
                            const grevy_error_sink* errors) {
  const grevy_statistic steps = statistics_of(me);
  double loss = 0;
  const int32_t code = validate(me, training->valid_loader, &loss, 0, errors);
  if (code != GREVY_OK) return code;
  return training->end_validation(training->context, at, loss, &steps, 1, errors);
}

static int32_t fit(void* self, const grevy_training* training, const grevy_error_sink* errors) {
  loop* me = self;
  int64_t i;
  for (i = training->first_step; i < training->num_steps; ++i) {
    const grevy_batch* const* batches = 0;
    uint64_t count = 0;
    uint32_t actions = 0;
    grevy_statistic steps;
    int32_t code = training->loader->next(training->loader->context, &batches, &count, errors);
    if (code == GREVY_OK) code = one_step(me, batches, count, training->optimizer, errors);
    steps = statistics_of(me);
    if (code == GREVY_OK)
      code = training->end_step(training->context, i, &steps, 1, &actions, errors);
    if (code == GREVY_OK && (actions & GREVY_ACTION_VALIDATE) && training->valid_loader != 0)
      code = validate_now(me, training, i, errors);
    if (code != GREVY_OK || (actions & GREVY_ACTION_STOP)) return code;
  }
  return GREVY_OK;
}

static int32_t transform(void* self, int64_t session, grevy_tensor* samples,
                         grevy_tensor** embedding, const grevy_error_sink* errors) {
  loop* me = self;
  if (session != 0) return kept_fail(errors, GREVY_ERROR_OUT_OF_RANGE, "there is one session");
  return me->model_table->forward(me->model, samples, embedding, 1, errors);
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

/* In two pieces, as a plugin may. */
static int32_t save_state(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors) {
  const loop* me = self;
  const grevy_text begin = KEPT_TEXT("{\"steps\":");
  char buffer[32];
  grevy_text end = {buffer, 0};
  (void)errors;
  end.size = (uint64_t)snprintf(buffer, sizeof(buffer), "%lld}", (long long)me->steps);
  sink->write(sink->context, begin);
  sink->write(sink->context, end);
  return GREVY_OK;
}

static int32_t load_state(void* self, grevy_text state, const grevy_error_sink* errors) {
  const int64_t steps = kept_number(state, "steps", -1);
  if (steps < 0) return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "the state has no \"steps\"");
  ((loop*)self)->steps = steps;
  return GREVY_OK;
}

static const grevy_solver_table table = {.struct_size = sizeof(grevy_solver_table),
                                         .create = create,
                                         .destroy = destroy,
                                         .describe = describe,
                                         .attach = attach,
                                         .fit = fit,
                                         .step = step,
                                         .validate = validate,
                                         .transform = transform,
                                         .visit_tensors = visit_tensors,
                                         .save_state = save_state,
                                         .load_state = load_state};

KEPT_COMPONENT(component, GREVY_KIND_SOLVER, "kept-solver",
               "{\"kind\":\"solver\",\"name\":\"kept-solver\",\"aliases\":[],"
               "\"version\":\"1.0.0\",\"summary\":\"A loop.\",\"options\":{\"type\":\"object\","
               "\"additionalProperties\":false,\"properties\":{}}}",
               &table);
KEPT_PLUGIN("kept.solver", &component);

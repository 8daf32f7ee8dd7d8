/* A training loop for one session in C: embeds references, positives and negatives with the
 * session's model, asks the criterion for the loss, and lets the host's optimiser step. Models and
 * criterions of every form work with it.
 */
#include "means.h"

#include <grevy/ops.h>
#include <grevy/options.h>
#include <grevy/plugin.h>

#include <math.h>
#include <stdio.h>

typedef struct {
  const grevy_host* host;
  const grevy_ops* ops;
  const grevy_model_table* model;
  const grevy_criterion_table* criterion;
  void *model_self, *criterion_self;
  grevy_criterion_info criterion_info;
  grevy_tensor** parts; /* of the last loss */
  means statistics;     /* of a step */
  uint32_t is_training;
} solver;

static int32_t fail(const grevy_error_sink* errors, int32_t code, const char* message) {
  const grevy_text text = {message, strlen(message)};
  return grevy_fail(errors, code, text);
}

/* ---- Life ---- */

static const void* extension(const grevy_host* host, const char* id) {
  const grevy_text text = {id, strlen(id)};
  return host->extension(host, text);
}

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const grevy_ops* ops = (const grevy_ops*)extension(args->host, GREVY_OPS_EXTENSION);
  const grevy_options* options =
      (const grevy_options*)extension(args->host, GREVY_OPTIONS_EXTENSION);
  solver* s;
  int32_t code;
  if (!ops || !options)
    return fail(errors, GREVY_ERROR_INCOMPATIBLE,
                "needs a host with grevy.ops/1 and grevy.options/1");
  code = options->read_numbers(args->options, 0, 0, errors); /* there are none */
  if (code != GREVY_OK) return code;
  s = (solver*)calloc(1, sizeof(*s));
  if (!s) return fail(errors, GREVY_ERROR_INTERNAL, "out of memory");
  s->host = args->host;
  s->ops = ops;
  s->is_training = 1;
  *self = s;
  return GREVY_OK;
}

static void destroy(void* self) {
  solver* s = (solver*)self;
  clear(&s->statistics);
  free(s->statistics.items);
  free(s->parts);
  free(s);
}

static int32_t describe(void* self, grevy_solver_info* info, const grevy_error_sink* errors) {
  (void)self, (void)errors;
  info->flags = 0;
  info->num_positives = 1;
  return GREVY_OK;
}

static int32_t attach(void* self, const grevy_solver_parts* parts, const grevy_error_sink* errors) {
  solver* s = (solver*)self;
  int32_t code;
  if (parts->model_count != 1 || parts->criterion_count != 1)
    return fail(errors, GREVY_ERROR_INVALID_VALUE, "works with 1 model and 1 criterion");
  s->model = (const grevy_model_table*)parts->models[0].table;
  s->model_self = parts->models[0].self;
  s->criterion = (const grevy_criterion_table*)parts->criterions[0].table;
  s->criterion_self = parts->criterions[0].self;
  s->criterion_info.struct_size = sizeof(s->criterion_info);
  code = s->criterion->describe(s->criterion_self, &s->criterion_info, errors);
  if (code != GREVY_OK) return code;
  free(s->parts);
  s->parts = (grevy_tensor**)calloc(s->criterion_info.part_count + 1, sizeof(*s->parts));
  return s->parts ? GREVY_OK : fail(errors, GREVY_ERROR_INTERNAL, "out of memory");
}

/* ---- A step ---- */

static int32_t embed(solver* s, grevy_tensor* windows, grevy_tensor** embedding,
                     const grevy_error_sink* errors) {
  return s->model->forward(s->model_self, windows, embedding, 1, errors);
}

/* The loss of a batch; its parts go to s->parts. */
static int32_t evaluate(solver* s, const grevy_batch* const* batches, uint64_t batch_count,
                        grevy_tensor** loss, const grevy_error_sink* errors) {
  const uint64_t part_count = s->criterion_info.part_count;
  grevy_prediction p = {0, 0, 0};
  int32_t code;
  if (!s->model) return fail(errors, GREVY_ERROR_INVALID_STATE, "has no model yet");
  if (batch_count != 1 || batches[0]->positive_count != 1 || !batches[0]->negative ||
      batches[0]->series || batches[0]->index_reversed)
    return fail(
        errors, GREVY_ERROR_INVALID_VALUE,
        "works with a batch of windows of one session, with 1 set of positives and negatives");
  code = embed(s, batches[0]->reference, &p.reference, errors);
  if (code == GREVY_OK) code = embed(s, batches[0]->positives[0], &p.positive, errors);
  if (code == GREVY_OK) code = embed(s, batches[0]->negative, &p.negative, errors);
  if (code == GREVY_OK)
    code = s->criterion->evaluate(s->criterion_self, &p, 1, loss, part_count ? s->parts : 0,
                                  part_count, errors);
  s->host->tensor_release(s->host, p.reference);
  s->host->tensor_release(s->host, p.positive);
  s->host->tensor_release(s->host, p.negative);
  return code;
}

/* The parts as numbers, then the loss, which must be finite. Gives the parts back. */
static int32_t read(solver* s, grevy_tensor* loss, const grevy_statistic_sink* sink, double* total,
                    const grevy_error_sink* errors) {
  int32_t code = GREVY_OK;
  for (uint64_t i = 0; i < s->criterion_info.part_count; ++i) {
    grevy_statistic part = {s->criterion_info.parts[i], 0};
    if (code == GREVY_OK)
      code = s->ops->to_data(s->parts[i], GREVY_FLOAT64, &part.value, 1, errors);
    if (code == GREVY_OK && sink) sink->add(sink->context, part);
    s->host->tensor_release(s->host, s->parts[i]);
    s->parts[i] = 0;
  }
  return code == GREVY_OK ? s->ops->to_data(loss, GREVY_FLOAT64, total, 1, errors) : code;
}

static int32_t expect_finite(double loss, const grevy_error_sink* errors) {
  char message[96];
  if (isfinite(loss)) return GREVY_OK;
  snprintf(message, sizeof(message), "the criterion returned the loss %g; it must be finite", loss);
  return fail(errors, GREVY_ERROR_NON_FINITE, message);
}

static int32_t step(void* self, const grevy_batch* const* batches, uint64_t batch_count,
                    const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                    const grevy_error_sink* errors) {
  solver* s = (solver*)self;
  grevy_statistic total = {GREVY_C_TEXT("total"), 0};
  grevy_tensor* loss = 0;
  int32_t code = optimizer->zero_grad(optimizer->context, errors);
  if (code == GREVY_OK) code = evaluate(s, batches, batch_count, &loss, errors);
  if (code == GREVY_OK) code = read(s, loss, statistics, &total.value, errors);
  if (code == GREVY_OK) code = expect_finite(total.value, errors);
  if (code == GREVY_OK) {
    statistics->add(statistics->context, total);
    code = s->ops->backward(loss, 0, errors);
  }
  if (code == GREVY_OK) code = optimizer->step(optimizer->context, errors);
  if (code == GREVY_OK)
    code = s->criterion->visit_statistics(s->criterion_self, statistics, errors);
  s->host->tensor_release(s->host, loss);
  return code;
}

/* ---- Without gradients ---- */

static int32_t set_training(solver* s, uint32_t training, const grevy_error_sink* errors) {
  if (!s->model) return fail(errors, GREVY_ERROR_INVALID_STATE, "has no model yet");
  s->is_training = training;
  return s->model->set_training(s->model_self, training, errors);
}

/* Back to the mode before, whatever happened; the first error counts. */
static int32_t restore(solver* s, uint32_t training, int32_t code, const grevy_error_sink* errors) {
  const int32_t restored =
      s->model ? set_training(s, training, code == GREVY_OK ? errors : 0) : GREVY_OK;
  return code == GREVY_OK ? restored : code;
}

/* One batch of a validation. */
static int32_t add_batch(solver* s, const grevy_loader* loader, means* m,
                         const grevy_error_sink* errors) {
  const grevy_statistic_sink sink = next_batch(m);
  const grevy_batch* const* batches = 0;
  grevy_statistic total = {GREVY_C_TEXT("total"), 0};
  uint64_t count = 0;
  grevy_tensor* loss = 0;
  int32_t code = loader->next(loader->context, &batches, &count, errors);
  if (code == GREVY_OK) code = evaluate(s, batches, count, &loss, errors);
  if (code == GREVY_OK) code = read(s, loss, &sink, &total.value, errors);
  if (code == GREVY_OK) add(m, total);
  s->host->tensor_release(s->host, loss);
  return code;
}

static int32_t validate(void* self, const grevy_loader* loader, double* loss,
                        const grevy_statistic_sink* parts, const grevy_error_sink* errors) {
  solver* s = (solver*)self;
  const uint32_t training = s->is_training, recording = s->ops->set_recording(0);
  means m = {0, 0, 0, 0, 0, 0};
  int32_t code = set_training(s, 0, errors);
  start(&m, (double)loader->num_batches);
  for (int64_t i = 0; i < loader->num_batches && code == GREVY_OK; ++i)
    code = add_batch(s, loader, &m, errors);
  if (code == GREVY_OK && m.is_incomplete)
    code = fail(errors, GREVY_ERROR_INTERNAL, "out of memory");
  if (code == GREVY_OK) {
    for (uint64_t i = 0; i + 1 < m.size && parts; ++i) parts->add(parts->context, m.items[i]);
    *loss = m.size > 0 ? m.items[m.size - 1].value : (double)NAN;
  }
  clear(&m);
  free(m.items);
  s->ops->set_recording(recording);
  return restore(s, training, code, errors);
}

/* An operation with whole numbers, on x, which it replaces. */
static int32_t change(const solver* s, uint32_t op, grevy_tensor** x, const int64_t* numbers,
                      uint64_t count, const grevy_error_sink* errors) {
  grevy_attribute attributes[3];
  grevy_tensor* changed = 0;
  int32_t code;
  for (uint64_t i = 0; i < count; ++i) {
    const grevy_attribute a = {GREVY_ATTRIBUTE_INTEGER, 0, numbers[i], 0, 0, 0};
    attributes[i] = a;
  }
  code = s->ops->call(op, x, 1, attributes, count, &changed, 1, errors);
  if (code != GREVY_OK) return code;
  s->host->tensor_release(s->host, *x);
  *x = changed;
  return GREVY_OK;
}

/* samples (T, C) -> embedding (T - L + 1, D): convolutional models see all of it at once, others
 * its windows. *x holds a reference, to samples at first. */
static int32_t embed_series(solver* s, grevy_tensor** x, const grevy_error_sink* errors) {
  const int64_t axes[] = {0, 1}, batch[] = {0}, first[] = {0, 0};
  grevy_model_info info = {sizeof(info), 0, 0, 0, 0, 0, 0, 0};
  grevy_tensor_info result = {sizeof(result), 0, 0, 0, 0, 0, 0, 0, 0, 0};
  grevy_tensor* embedding = 0;
  int64_t length;
  int32_t code = s->model->describe(s->model_self, &info, errors);
  if (code != GREVY_OK) return code;
  length = info.offset_left + info.offset_right;
  if ((info.flags & GREVY_MODEL_CONVOLUTIONAL) && length > 1) {
    code = change(s, GREVY_OP_TRANSPOSE, x, axes, 2, errors);
    if (code == GREVY_OK) code = change(s, GREVY_OP_UNSQUEEZE, x, batch, 1, errors);
  } else {
    const int64_t windows[] = {0, length, info.resample_factor};
    code = change(s, GREVY_OP_UNFOLD, x, windows, 3, errors);
  }
  if (code == GREVY_OK) code = embed(s, *x, &embedding, errors);
  if (code != GREVY_OK) return code;
  s->host->tensor_release(s->host, *x);
  *x = embedding;
  code = s->ops->inspect(embedding, &result, errors);
  if (code != GREVY_OK || result.dims == 2) return code;
  code = change(s, GREVY_OP_SELECT, x, first, 2, errors);
  return code == GREVY_OK ? change(s, GREVY_OP_TRANSPOSE, x, axes, 2, errors) : code;
}

static int32_t transform(void* self, int64_t session, grevy_tensor* samples,
                         grevy_tensor** embedding, const grevy_error_sink* errors) {
  solver* s = (solver*)self;
  const uint32_t training = s->is_training, recording = s->ops->set_recording(0);
  grevy_tensor* x = samples;
  int32_t code = session == 0 ? set_training(s, 0, errors)
                              : fail(errors, GREVY_ERROR_OUT_OF_RANGE, "there is 1 session, 0");
  s->host->tensor_retain(s->host, x);
  if (code == GREVY_OK) code = embed_series(s, &x, errors);
  s->ops->set_recording(recording);
  if (session == 0) code = restore(s, training, code, errors);
  if (code == GREVY_OK)
    *embedding = x;
  else
    s->host->tensor_release(s->host, x);
  return code;
}

/* ---- The loop ---- */

static int32_t fit_step(solver* s, const grevy_training* t, int64_t i, uint32_t* actions,
                        const grevy_error_sink* errors) {
  const grevy_batch* const* batches = 0;
  grevy_statistic_sink sink;
  uint64_t count = 0;
  int32_t code = t->loader->next(t->loader->context, &batches, &count, errors);
  start(&s->statistics, 1);
  sink = next_batch(&s->statistics);
  if (code == GREVY_OK) code = step(s, batches, count, t->optimizer, &sink, errors);
  if (code == GREVY_OK && s->statistics.is_incomplete)
    code = fail(errors, GREVY_ERROR_INTERNAL, "out of memory");
  if (code == GREVY_OK)
    code = t->end_step(t->context, i, s->statistics.items, s->statistics.size, actions, errors);
  return code;
}

static int32_t report_validation(solver* s, const grevy_training* t, int64_t i,
                                 const grevy_error_sink* errors) {
  grevy_statistic_sink sink;
  double loss = 0;
  int32_t code;
  start(&s->statistics, 1);
  sink = next_batch(&s->statistics);
  code = validate(s, t->valid_loader, &loss, &sink, errors);
  if (code != GREVY_OK) return code;
  return t->end_validation(t->context, i, loss, s->statistics.items, s->statistics.size, errors);
}

static int32_t fit(void* self, const grevy_training* t, const grevy_error_sink* errors) {
  solver* s = (solver*)self;
  uint32_t actions = 0;
  int32_t code = set_training(s, 1, errors);
  for (int64_t i = t->first_step; i < t->num_steps && code == GREVY_OK; ++i) {
    code = fit_step(s, t, i, &actions, errors);
    if (code == GREVY_OK && (actions & GREVY_ACTION_VALIDATE) && t->valid_loader)
      code = report_validation(s, t, i, errors);
    if (actions & GREVY_ACTION_STOP) break;
  }
  return code;
}

/* ---- State: none ---- */

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

static int32_t save_state(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors) {
  const grevy_text empty = GREVY_C_TEXT("{}");
  (void)self, (void)errors;
  sink->write(sink->context, empty);
  return GREVY_OK;
}

static int32_t load_state(void* self, grevy_text state, const grevy_error_sink* errors) {
  (void)self, (void)state, (void)errors;
  return GREVY_OK;
}

static const grevy_solver_table table = {sizeof(table), 0,          create,     destroy,  describe,
                                         attach,        fit,        step,       validate, transform,
                                         visit_tensors, save_state, load_state, 0};

#define SCHEMA \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{},\"required\":[]}"
GREVY_C_COMPONENT(raw_solver, GREVY_KIND_SOLVER, "solver", "raw-solver", "One session, in C.",
                  SCHEMA, &table);
GREVY_C_PLUGIN("examples.raw-solver", "1.0.0", &raw_solver);

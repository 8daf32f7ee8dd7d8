/* InfoNCE on dot products (van den Oord et al. 2018, arXiv:1807.03748; Schneider, Lee & Mathis
 * 2023) in C, from the host's C headers alone: this one file fits every LibTorch.
 *
 *   s(x, y) = x . y / temperature
 *   pos = mean_i -s(reference_i, positive_i)
 *   neg = mean_i log sum_j exp s(reference_i, negative_j)
 *   loss = pos + neg
 */
#include <grevy/kernel.h>
#include <grevy/options.h>
#include <grevy/plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The kernel for both types of elements. */
#define REAL float
#define EXP expf
#define NAME(name) name##_float
#include "infonce_kernel.h"
#undef REAL
#undef EXP
#undef NAME
#define REAL double
#define EXP exp
#define NAME(name) name##_double
#include "infonce_kernel.h"

typedef struct {
  const grevy_host* host;
  const grevy_ops* ops;
  const grevy_kernels* kernels;
  double temperature;
} criterion;

static const void* extension(const grevy_host* host, const char* id) {
  const grevy_text text = {id, strlen(id)};
  return host->extension(host, text);
}

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const grevy_text old_host = GREVY_C_TEXT("needs a host with grevy.kernel/1 and grevy.options/1");
  const grevy_text no_memory = GREVY_C_TEXT("out of memory");
  const grevy_options* options =
      (const grevy_options*)extension(args->host, GREVY_OPTIONS_EXTENSION);
  criterion made = {args->host, 0, 0, 1.0};
  const grevy_number_option rows[] = {
      {GREVY_C_TEXT("temperature"), &made.temperature, 0, INFINITY, GREVY_OPTION_ABOVE, 0}};
  criterion* kept;
  int32_t code;
  made.ops = (const grevy_ops*)extension(args->host, GREVY_OPS_EXTENSION);
  made.kernels = (const grevy_kernels*)extension(args->host, GREVY_KERNEL_EXTENSION);
  if (!options || !made.ops || !made.kernels)
    return grevy_fail(errors, GREVY_ERROR_INCOMPATIBLE, old_host);
  code = options->read_numbers(args->options, rows, 1, errors);
  if (code != GREVY_OK) return code;
  kept = (criterion*)malloc(sizeof(*kept));
  if (!kept) return grevy_fail(errors, GREVY_ERROR_INTERNAL, no_memory);
  *kept = made;
  *self = kept;
  return GREVY_OK;
}

static void destroy(void* self) { free(self); }

static int32_t describe(void* self, grevy_criterion_info* info, const grevy_error_sink* errors) {
  static const grevy_text parts[] = {GREVY_C_TEXT("pos"), GREVY_C_TEXT("neg")};
  (void)self, (void)errors;
  info->flags = GREVY_CRITERION_EXPECTS_NORMALIZED;
  info->parts = parts;
  info->part_count = 2;
  return GREVY_OK;
}

/* Reference, positive (n, d) and negative (m, d) of one floating-point type; fills sizes. */
static int32_t check(const criterion* c, grevy_tensor* const* inputs, grevy_tensor_info* info,
                     const grevy_error_sink* errors) {
  const grevy_text shapes =
      GREVY_C_TEXT("needs reference (n, d), positive (n, d) and negative (m, d) with n, m, d >= 1");
  const grevy_text types = GREVY_C_TEXT("needs three tensors of float32 or of float64, on the CPU");
  for (int i = 0; i < 3; ++i) {
    int32_t code;
    if (!inputs[i]) return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, shapes);
    info[i].struct_size = sizeof(info[i]);
    code = c->ops->inspect(inputs[i], &info[i], errors);
    if (code != GREVY_OK) return code;
    if (info[i].dims != 2 || info[i].count == 0 || info[i].sizes[1] != info[0].sizes[1])
      return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, shapes);
    if (info[i].dtype > GREVY_FLOAT64 || info[i].dtype != info[0].dtype ||
        info[i].device_type != GREVY_CPU)
      return grevy_fail(errors, GREVY_ERROR_INVALID_TYPE, types);
  }
  if (info[0].sizes[0] != info[1].sizes[0])
    return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, shapes);
  return GREVY_OK;
}

/* The loss, pos and neg, with one step of history. */
static int32_t run(const criterion* c, grevy_tensor* const* inputs, grevy_tensor** results,
                   const grevy_error_sink* errors) {
  grevy_tensor_info info[3] = {{0}};
  const int32_t code = check(c, inputs, info, errors);
  if (code != GREVY_OK) return code;
  const grevy_buffer scalar = {info[0].dtype, 0, 0, 0};
  const grevy_buffer outputs[] = {scalar, scalar, scalar};
  const int64_t pairs[] = {info[0].sizes[0], info[2].sizes[0]};
  const grevy_buffer weights = {info[0].dtype, 0, pairs, 2};
  const grevy_text name = GREVY_C_TEXT("raw-infonce");
  const int is_float = info[0].dtype == GREVY_FLOAT32;
  const grevy_text plugin = GREVY_C_TEXT("examples.raw-infonce");
  grevy_kernel kernel = {sizeof(kernel), 0, name, 0, 0, 0, free, plugin, name};
  double* inverse = (double*)malloc(sizeof(*inverse));
  const grevy_text no_memory = GREVY_C_TEXT("out of memory");
  if (!inverse) return grevy_fail(errors, GREVY_ERROR_INTERNAL, no_memory);
  *inverse = 1 / c->temperature;
  kernel.context = inverse; /* the graph may outlive this criterion */
  kernel.forward = is_float ? forward_float : forward_double;
  kernel.backward = is_float ? backward_float : backward_double;
  return c->kernels->run(&kernel, inputs, 3, outputs, 3, &weights, 1, results, errors);
}

static int32_t evaluate(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                        grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                        const grevy_error_sink* errors) {
  const criterion* c = (const criterion*)self;
  const grevy_text one = GREVY_C_TEXT("takes 1 prediction and has 2 parts");
  grevy_tensor* results[3] = {0, 0, 0};
  grevy_tensor* detached[2] = {0, 0};
  int32_t code;
  if (prediction_count != 1 || (parts && part_count != 2))
    return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, one);
  {
    grevy_tensor* const inputs[] = {predictions[0].reference, predictions[0].positive,
                                    predictions[0].negative};
    code = run(c, inputs, results, errors);
  }
  for (int i = 0; parts && i < 2 && code == GREVY_OK; ++i)
    code = c->ops->call(GREVY_OP_DETACH, &results[i + 1], 1, 0, 0, &detached[i], 1, errors);
  for (int i = 0; i < 3; ++i)
    if (i > 0 || code != GREVY_OK) c->host->tensor_release(c->host, results[i]);
  for (int i = 0; i < 2; ++i) {
    if (code != GREVY_OK)
      c->host->tensor_release(c->host, detached[i]);
    else if (parts)
      parts[i] = detached[i];
  }
  if (code == GREVY_OK) *loss = results[0];
  return code;
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

static int32_t visit_statistics(void* self, const grevy_statistic_sink* sink,
                                const grevy_error_sink* errors) {
  const grevy_statistic temperature = {GREVY_C_TEXT("temperature"),
                                       ((const criterion*)self)->temperature};
  (void)errors;
  sink->add(sink->context, temperature);
  return GREVY_OK;
}

static const grevy_criterion_table table = {
    sizeof(table), 0, create, destroy, describe, evaluate, visit_tensors, visit_statistics, 0};

#define SCHEMA                                                                            \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"temperature\":{" \
  "\"description\":\"Similarities are divided by it.\",\"type\":\"number\","              \
  "\"exclusiveMinimum\":0,\"default\":1.0}},\"required\":[]}"
GREVY_C_COMPONENT(raw_infonce, GREVY_KIND_CRITERION, "criterion", "raw-infonce",
                  "InfoNCE on dot products, in C.", SCHEMA, &table);
GREVY_C_PLUGIN("examples.raw-infonce", "1.0.0", &raw_infonce);

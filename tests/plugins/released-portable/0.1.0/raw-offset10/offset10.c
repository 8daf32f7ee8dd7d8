/* The encoder of offset10-model (Schneider, Lee & Mathis 2023) in C: parameters of the host's, with
 * the same names and first values, and forward and backward in plain memory.
 *
 *   x_0 = gelu(conv(window, 2 taps)),  x_i = x_{i-1} without its ends + gelu(conv(x_{i-1}, 3
 * taps)), y = conv(x_3, 3 taps),  embedding = y / |y|
 */
#include "offset10_kernel.h"

#include <grevy/options.h>

typedef struct {
  const grevy_host* host;
  const grevy_ops* ops;
  const grevy_kernels* kernels;
  int64_t num_input, units, width;
  grevy_tensor* parameters[2 * LAYERS]; /* weight and bias of each layer */
} model;

static const grevy_text names[2 * LAYERS] = {
    GREVY_C_TEXT("net.0.weight"),          GREVY_C_TEXT("net.0.bias"),
    GREVY_C_TEXT("net.2.module.0.weight"), GREVY_C_TEXT("net.2.module.0.bias"),
    GREVY_C_TEXT("net.3.module.0.weight"), GREVY_C_TEXT("net.3.module.0.bias"),
    GREVY_C_TEXT("net.4.module.0.weight"), GREVY_C_TEXT("net.4.module.0.bias"),
    GREVY_C_TEXT("net.5.weight"),          GREVY_C_TEXT("net.5.bias")};

static const void* extension(const grevy_host* host, const char* id) {
  const grevy_text text = {id, strlen(id)};
  return host->extension(host, text);
}

static void destroy(void* self) {
  model* m = (model*)self;
  for (int i = 0; i < 2 * LAYERS; ++i) m->host->tensor_release(m->host, m->parameters[i]);
  free(m);
}

/* A parameter, uniform on [-bound, bound]. */
static int32_t draw(model* m, int index, const int64_t* sizes, uint64_t dims, double bound,
                    grevy_generator* generator, const grevy_error_sink* errors) {
  grevy_tensor *like = 0, **drawn = &m->parameters[index];
  const grevy_attribute attributes[] = {{GREVY_ATTRIBUTE_INTEGERS, 0, 0, 0, sizes, dims},
                                        {GREVY_ATTRIBUTE_GENERATOR, 0, 0, 0, generator, 0},
                                        {GREVY_ATTRIBUTE_NUMBER, 0, 0, -bound, 0, 0},
                                        {GREVY_ATTRIBUTE_NUMBER, 0, 0, bound, 0, 0}};
  const int32_t code = m->ops->call(GREVY_OP_UNIFORM, &like, 1, attributes, 4, drawn, 1, errors);
  return code == GREVY_OK ? m->ops->require_gradient(*drawn, 1, errors) : code;
}

static int32_t draw_all(model* m, uint64_t seed, const grevy_error_sink* errors) {
  grevy_generator* generator = 0;
  int32_t code = m->ops->make_generator(seed, &generator, errors);
  for (int i = 0; i < LAYERS && code == GREVY_OK; ++i) {
    const int64_t channels = i == 0 ? m->num_input : m->units;
    const int64_t sizes[] = {i == HIDDEN ? m->width : m->units, channels, i == 0 ? 2 : 3};
    const double bound = 1 / sqrt((double)(sizes[1] * sizes[2]));
    code = draw(m, 2 * i, sizes, 3, bound, generator, errors);
    if (code == GREVY_OK) code = draw(m, 2 * i + 1, sizes, 1, bound, generator, errors);
  }
  m->ops->release_generator(generator);
  return code;
}

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const grevy_text old_host = GREVY_C_TEXT("needs a host with grevy.kernel/1 and grevy.options/1");
  const grevy_text cpu = GREVY_C_TEXT("works on the CPU alone");
  const grevy_text no_memory = GREVY_C_TEXT("out of memory");
  const grevy_options* options =
      (const grevy_options*)extension(args->host, GREVY_OPTIONS_EXTENSION);
  double units = 32, width = 8;
  const grevy_number_option rows[] = {
      {GREVY_C_TEXT("num_units"), &units, 1, 65536, GREVY_OPTION_INTEGER, 0},
      {GREVY_C_TEXT("num_output"), &width, 1, 65536, GREVY_OPTION_INTEGER, 0}};
  model *made, initial = {args->host, 0, 0, args->num_input, 0, 0, {0}};
  int32_t code;
  initial.ops = (const grevy_ops*)extension(args->host, GREVY_OPS_EXTENSION);
  initial.kernels = (const grevy_kernels*)extension(args->host, GREVY_KERNEL_EXTENSION);
  if (!options || !initial.ops || !initial.kernels)
    return grevy_fail(errors, GREVY_ERROR_INCOMPATIBLE, old_host);
  if (args->device.size != 3 || memcmp(args->device.data, "cpu", 3) != 0)
    return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, cpu);
  code = options->read_numbers(args->options, rows, 2, errors);
  if (code != GREVY_OK) return code;
  initial.units = (int64_t)units, initial.width = (int64_t)width;
  made = (model*)malloc(sizeof(*made));
  if (!made) return grevy_fail(errors, GREVY_ERROR_INTERNAL, no_memory);
  *made = initial;
  code = draw_all(made, args->seed, errors);
  if (code == GREVY_OK)
    *self = made;
  else
    destroy(made);
  return code;
}

static int32_t describe(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  const model* m = (const model*)self;
  (void)errors;
  info->flags = GREVY_MODEL_CONVOLUTIONAL | GREVY_MODEL_NORMALIZED;
  info->num_input = m->num_input;
  info->num_output = m->width;
  info->offset_left = info->offset_right = 5;
  info->resample_factor = info->num_tensors = 1;
  return GREVY_OK;
}

/* Windows float32 (n, C, T) with T >= 10, on the CPU. */
static int32_t check(const model* m, grevy_tensor* windows, grevy_tensor_info* info,
                     const grevy_error_sink* errors) {
  const grevy_text shape = GREVY_C_TEXT("needs windows (n, num_input, T) with T >= 10");
  const grevy_text type = GREVY_C_TEXT("needs windows of float32 on the CPU");
  int32_t code;
  if (!windows) return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, shape);
  info->struct_size = sizeof(*info);
  code = m->ops->inspect(windows, info, errors);
  if (code != GREVY_OK) return code;
  if (info->dims != 3 || info->sizes[1] != m->num_input || info->sizes[2] < 10)
    return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, shape);
  if (info->dtype != GREVY_FLOAT32 || info->device_type != GREVY_CPU)
    return grevy_fail(errors, GREVY_ERROR_INVALID_TYPE, type);
  return GREVY_OK;
}

/* (a, b, c) as (a, c, b): channels side by side, and back. */
static int32_t turn(const model* m, grevy_tensor* x, grevy_tensor** turned,
                    const grevy_error_sink* errors) {
  const grevy_attribute axes[] = {{GREVY_ATTRIBUTE_INTEGER, 0, 1, 0, 0, 0},
                                  {GREVY_ATTRIBUTE_INTEGER, 0, 2, 0, 0, 0}};
  return m->ops->call(GREVY_OP_TRANSPOSE, &x, 1, axes, 2, turned, 1, errors);
}

/* The kernel's output, (n, T - 9, D). */
static int32_t run(const model* m, const grevy_tensor_info* info, grevy_tensor* const* inputs,
                   grevy_tensor** output, const grevy_error_sink* errors) {
  const int64_t n = info->sizes[0], samples = info->sizes[2];
  const int64_t sizes[] = {n, samples - 9, m->width};
  const int64_t kept_sizes[] = {n, kept_per_window(samples, m->units)};
  const grevy_buffer embedding = {GREVY_FLOAT32, 0, sizes, 3};
  const grevy_buffer kept = {GREVY_FLOAT32, 0, kept_sizes, 2};
  const grevy_text name = GREVY_C_TEXT("raw-offset10");
  const grevy_text plugin = GREVY_C_TEXT("examples.raw-offset10");
  const grevy_kernel kernel = {sizeof(kernel), 0, name, 0, forward, backward, 0, plugin, name};
  return m->kernels->run(&kernel, inputs, 1 + 2 * LAYERS, &embedding, 1, &kept, 1, output, errors);
}

static int32_t embedding_of(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                            uint64_t output_count, const grevy_error_sink* errors) {
  const model* m = (const model*)self;
  const grevy_text one = GREVY_C_TEXT("has 1 output");
  const grevy_attribute row = {GREVY_ATTRIBUTE_INTEGER, 0, 1, 0, 0, 0};
  grevy_tensor *inputs[1 + 2 * LAYERS] = {0}, *output = 0;
  grevy_tensor_info info;
  int32_t code = check(m, windows, &info, errors);
  if (code != GREVY_OK) return code;
  if (output_count != 1) return grevy_fail(errors, GREVY_ERROR_INVALID_VALUE, one);
  code = turn(m, windows, &inputs[0], errors);
  for (int i = 0; i < LAYERS && code == GREVY_OK; ++i) {
    inputs[2 + 2 * i] = m->parameters[2 * i + 1];
    m->host->tensor_retain(m->host, inputs[2 + 2 * i]);
    code = turn(m, m->parameters[2 * i], &inputs[1 + 2 * i], errors);
  }
  if (code == GREVY_OK) code = run(m, &info, inputs, &output, errors);
  if (code == GREVY_OK && info.sizes[2] > 10) code = turn(m, output, outputs, errors);
  if (code == GREVY_OK && info.sizes[2] == 10)
    code = m->ops->call(GREVY_OP_SQUEEZE, &output, 1, &row, 1, outputs, 1, errors);
  m->host->tensor_release(m->host, output);
  for (int i = 0; i < 1 + 2 * LAYERS; ++i) m->host->tensor_release(m->host, inputs[i]);
  return code;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  (void)self, (void)training, (void)errors;
  return GREVY_OK;
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  const model* m = (const model*)self;
  (void)errors;
  for (int i = 0; i < 2 * LAYERS; ++i)
    sink->add(sink->context, names[i], GREVY_TENSOR_PARAMETER, m->parameters[i]);
  return GREVY_OK;
}

static const grevy_model_table table = {
    sizeof(table), 0, create, destroy, describe, embedding_of, set_training, visit_tensors, 0};

#define WHOLE(what, number)                                  \
  "{\"description\":\"" what                                 \
  "\",\"type\":\"integer\",\"minimum\":1,\"maximum\":65536," \
  "\"default\":" number "}"
#define SCHEMA                                                                                 \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"num_units\":" WHOLE(  \
      "Width of the hidden layers.", "32") ",\"num_output\":" WHOLE("Width of the embedding.", \
                                                                    "8") "},\"required\":[]}"
GREVY_C_COMPONENT(raw_offset10, GREVY_KIND_MODEL, "model", "raw-offset10",
                  "Convolutional encoder over 10 samples, normalised, in C.", SCHEMA, &table);
GREVY_C_PLUGIN("examples.raw-offset10", "1.0.0", &raw_offset10);

/* A model of ABI 1.0 that returns its windows. Its name says how many samples it looks back. */
#include "kept.h"

typedef struct passer {
  const grevy_host* host;
  int64_t num_input, left;
  uint32_t training;
} passer;

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const int64_t left = kept_number(args->options, "left", 0);
  passer* made;
  if (!kept_equal(args->device, "cpu"))
    return kept_fail(errors, GREVY_ERROR_NOT_FOUND, "works on the CPU only");
  made = malloc(sizeof(*made));
  if (made == 0) return kept_fail(errors, GREVY_ERROR_INTERNAL, "no memory");
  made->host = args->host;
  made->num_input = args->num_input;
  made->left = left;
  made->training = 1;
  *self = made;
  return GREVY_OK;
}

static void destroy(void* self) { free(self); }

static int32_t describe(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  const passer* me = self;
  (void)errors;
  info->flags = GREVY_MODEL_CONVOLUTIONAL | GREVY_MODEL_NORMALIZED;
  info->num_input = me->num_input;
  info->num_output = me->num_input;
  info->offset_left = me->left;
  info->offset_right = 1;
  info->resample_factor = 2;
  info->num_tensors = 3;
  return GREVY_OK;
}

static int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                       uint64_t output_count, const grevy_error_sink* errors) {
  const passer* me = self;
  uint64_t i;
  if (output_count > 3)
    return kept_fail(errors, GREVY_ERROR_INVALID_VALUE, "gives three tensors at most");
  for (i = 0; i < output_count; ++i) {
    me->host->tensor_retain(me->host, windows);
    outputs[i] = windows;
  }
  return GREVY_OK;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  passer* me = self;
  const grevy_text name = KEPT_TEXT("kept-model"), on = KEPT_TEXT("trains"),
                   off = KEPT_TEXT("evaluates");
  (void)errors;
  me->training = training;
  me->host->log(me->host, GREVY_LOG_DEBUG, name, training ? on : off);
  return GREVY_OK;
}

static int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                             const grevy_error_sink* errors) {
  (void)self, (void)sink, (void)errors;
  return GREVY_OK;
}

static const grevy_model_table table = {.struct_size = sizeof(grevy_model_table),
                                        .create = create,
                                        .destroy = destroy,
                                        .describe = describe,
                                        .forward = forward,
                                        .set_training = set_training,
                                        .visit_tensors = visit_tensors};

KEPT_COMPONENT(
    component, GREVY_KIND_MODEL, "kept-model-{left}",
    "{\"kind\":\"model\",\"name\":\"kept-model-{left}\",\"aliases\":[\"kept-model\"],"
    "\"version\":\"1.0.0\",\"summary\":\"Its windows.\",\"options\":{\"type\":\"object\","
    "\"additionalProperties\":false,\"properties\":{\"left\":{\"type\":\"integer\","
    "\"minimum\":0,\"default\":0,\"description\":\"Samples before the one embedded.\"}}}}",
    &table);
KEPT_PLUGIN("kept.model", &component);

/* A plugin in plain C: without LibTorch it cannot compute, but it can pass tensors on, and fail. */
#include "raw_plugin.h"

/* Reports an error at a place that only the plugin knows. */
static int32_t fail(const grevy_error_sink* errors, int32_t code, grevy_text message) {
  grevy_error_info info = {sizeof(info), 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}};
  info.code = code;
  info.message = message;
  errors->report(errors->context, &info);
  return code;
}

/* ---- A model that returns its input ---- */

static int32_t create(const grevy_create_args* args, void** self, const grevy_error_sink* errors) {
  const grevy_text who = RAW_TEXT("passthrough");
  const grevy_text what = RAW_TEXT("is made");
  const uint32_t no_such_level = 99;
  args->host->log(args->host, GREVY_LOG_WARNING, who, what);
  args->host->log(args->host, no_such_level, who, what);
  return raw_create(args, self, errors);
}

static int32_t describe(void* self, grevy_model_info* info, const grevy_error_sink* errors) {
  (void)self, (void)errors;
  info->flags = GREVY_MODEL_NORMALIZED;
  info->num_input = 1;
  info->num_output = 1;
  info->offset_left = 2;
  info->offset_right = 3;
  info->resample_factor = 4;
  info->num_tensors = 1;
  return GREVY_OK;
}

static int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                       uint64_t output_count, const grevy_error_sink* errors) {
  const grevy_host* host = (const grevy_host*)self;
  uint64_t i;
  (void)errors;
  for (i = 0; i < output_count; ++i) {
    host->tensor_retain(host, windows);
    outputs[i] = windows;
  }
  return GREVY_OK;
}

static int32_t set_training(void* self, uint32_t training, const grevy_error_sink* errors) {
  const grevy_text message = RAW_TEXT("always trains");
  (void)self;
  return training ? GREVY_OK : fail(errors, GREVY_ERROR_INVALID_STATE, message);
}

static const grevy_model_table model = {sizeof(model), 0,       create,       raw_destroy,
                                        describe,      forward, set_training, raw_visit_tensors,
                                        raw_extension};

/* ---- A criterion that fails without a word, with a code that does not exist ---- */

static int32_t evaluate(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                        grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                        const grevy_error_sink* errors) {
  (void)self, (void)predictions, (void)prediction_count, (void)loss, (void)parts;
  (void)part_count, (void)errors;
  return -7;
}

static const grevy_criterion_table silent = {
    sizeof(silent), 0,        raw_create,        raw_destroy,
    raw_describe,   evaluate, raw_visit_tensors, raw_visit_statistics,
    raw_extension};

/* ---- A solver without any operation ---- */

static const grevy_solver_table solver = {
    sizeof(solver), 0, raw_create, raw_destroy, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

RAW_COMPONENT(passthrough, GREVY_KIND_MODEL, "model", "passthrough", &model);
RAW_COMPONENT(reference, GREVY_KIND_CRITERION, "criterion", "reference", &raw_criterion);
RAW_COMPONENT(silent_failure, GREVY_KIND_CRITERION, "criterion", "silent-failure", &silent);
RAW_COMPONENT(idle, GREVY_KIND_SOLVER, "solver", "idle", &solver);
RAW_PLUGIN("zoo.plain-c", 1, 0, "", &passthrough, &reference, &silent_failure, &idle);

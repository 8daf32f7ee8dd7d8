/* grevy/series.h: the extension "grevy.series/1": windows given by where they lie in the recording,
 * so that a model computes what they share once and nothing is copied.
 *
 * A model that has it returns a grevy_series_table for that id. A solver that has it says that its
 * batches may hold sample numbers and the series in place of windows, as in full-batch training.
 * The host gives such batches where the solver and all of its models have it, and windows
 * otherwise.
 */
#ifndef GREVY_SERIES_H
#define GREVY_SERIES_H

#include <grevy/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The id of this extension. */
#define GREVY_SERIES_EXTENSION "grevy.series/1"

/* What a model returns for GREVY_SERIES_EXTENSION. */
typedef struct grevy_series_table {
  uint32_t struct_size;
  uint32_t reserved;
  /* [main] series: float32 (T, C), rows side by side; sets: set_count tensors of samples, int64
   * (n_i), left <= s <= T - right. outputs: set_count * output_count slots, set by set: of each
   * what forward() of the model's table gives for the windows of its samples, with the same
   * gradients for the parameters. Errors: INVALID_VALUE, INVALID_TYPE, OUT_OF_RANGE. */
  int32_t (*forward)(void* self, grevy_tensor* series, grevy_tensor* const* sets,
                     uint64_t set_count, grevy_tensor** outputs, uint64_t output_count,
                     const grevy_error_sink* errors);
} grevy_series_table;

/* What a solver returns for GREVY_SERIES_EXTENSION. */
typedef struct grevy_series_solver {
  uint32_t struct_size;
  uint32_t reserved;
} grevy_series_solver;

#ifdef __cplusplus
}
#endif

#endif

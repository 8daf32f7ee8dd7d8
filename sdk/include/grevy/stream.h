/* grevy/stream.h: the extension "grevy.stream/1" of models, for closed loops: a recording embedded
 * one sample at a time, with what earlier samples computed used again.
 *
 * A model that has it returns a grevy_stream_table for that id. The host checks what a stream gives
 * against the solver's transform before it uses it, and embeds whole windows where a model has
 * none.
 */
#ifndef GREVY_STREAM_H
#define GREVY_STREAM_H

#include <grevy/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The id of this extension. */
#define GREVY_STREAM_EXTENSION "grevy.stream/1"

/* The plugin's own: weights and the samples that are still needed. Opaque. */
typedef struct grevy_stream grevy_stream;

/* What a model returns for GREVY_STREAM_EXTENSION. */
typedef struct grevy_stream_table {
  uint32_t struct_size;
  uint32_t reserved;
  void* context; /* of the model */
  /* [main] A stream with the model's parameters as they are now, in evaluation mode. It may outlive
   * the model. */
  int32_t (*open)(void* context, grevy_stream** stream, const grevy_error_sink* errors);
  /* Each of the following from one thread at a time per stream; they allocate nothing and do not
   * fail. close() ends the stream; reset() forgets all samples. */
  void (*close)(grevy_stream* stream);
  void (*reset)(grevy_stream* stream);
  /* The next sample, num_input floats. From the L-th on: writes num_output floats, what the model
   * makes of the last L samples, and returns 1. Before that: returns 0. */
  uint32_t (*push)(grevy_stream* stream, const float* sample, float* embedding);
} grevy_stream_table;

#ifdef __cplusplus
}
#endif

#endif

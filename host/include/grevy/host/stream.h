/* grevy/host/stream.h: a trained model for closed loops, in C: what grevy/host/stream.hpp offers,
 * from a run folder. Link with libgrevy. */
#ifndef GREVY_HOST_STREAM_H
#define GREVY_HOST_STREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open stream. Opaque. */
typedef struct grevy_run_stream grevy_run_stream;

/* run: a run folder or a checkpoint; session: whose encoder embeds, from 0. Samples are padded at
 * the beginning as `grevy transform` pads them. Returns NULL on failure; `error`, error_size bytes,
 * then holds the reason, terminated, cut where it is longer. To be closed by its owner. [any] */
grevy_run_stream* grevy_run_stream_open(const char* run, int64_t session, char* error,
                                        size_t error_size);
/* Each of these from one thread at a time per stream; streams are independent of each other. NULL
 * is ignored by close() and reset(), and 0 is what the numbers of a NULL stream are. */
void grevy_run_stream_close(grevy_run_stream* stream);
int64_t grevy_run_stream_num_input(const grevy_run_stream* stream);
int64_t grevy_run_stream_num_output(const grevy_run_stream* stream);
/* The embedding belongs to the sample that came so many calls before. */
int64_t grevy_run_stream_delay(const grevy_run_stream* stream);
void grevy_run_stream_reset(grevy_run_stream* stream);
/* sample: num_input floats. Returns 1 when `embedding`, num_output floats, was written, 0 while
 * there are too few samples, -1 when a plugin failed or one of the three is NULL. */
int32_t grevy_run_stream_push(grevy_run_stream* stream, const float* sample, float* embedding);

#ifdef __cplusplus
}
#endif

#endif

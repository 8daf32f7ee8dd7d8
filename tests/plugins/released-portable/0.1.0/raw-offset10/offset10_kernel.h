/* The arithmetic of offset10.c for one batch. Everything is rows of channels, a row per sample of
 * the recording, so that the taps of a convolution are neighbours in memory: what an output looks
 * at is one vector of taps * channels numbers.
 *
 * Inputs: windows (n, T, C), then weight (outputs, taps, channels) and bias (outputs) per layer.
 * Output: embedding (n, T - 9, D). Kept, per window: for each hidden layer its values and the
 * slopes of its GELU, then the lengths that the embedding was divided by. */

#include <grevy/kernel.h>
#include <grevy/plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 4, LAYERS = HIDDEN + 1 };

typedef struct {
  const float *weight, *bias;
  int64_t outputs, channels, span; /* span: taps * channels */
  float *to_weight, *to_bias;      /* gradients, NULL where none is wanted */
} layer;

/* What the hidden layers leave for the backward pass. */
typedef struct {
  float *values[HIDDEN], *slopes[HIDDEN], *lengths;
} trace;

/* Rows that layer i gives for `samples`: 9, 7, 5, 3 and 1 of 10. */
static int64_t rows_of(int i, int64_t samples) { return samples - 1 - 2 * i; }

static int64_t kept_per_window(int64_t samples, int64_t units) {
  int64_t count = rows_of(HIDDEN, samples);
  for (int i = 0; i < HIDDEN; ++i) count += 2 * rows_of(i, samples) * units;
  return count;
}

static trace trace_at(float* kept, int64_t samples, int64_t units) {
  trace t;
  for (int i = 0; i < HIDDEN; ++i) {
    const int64_t count = rows_of(i, samples) * units;
    t.values[i] = kept;
    t.slopes[i] = kept + count;
    kept += 2 * count;
  }
  t.lengths = kept;
  return t;
}

static void find_layers(const grevy_view* inputs, const grevy_view* gradients, layer* layers) {
  for (int i = 0; i < LAYERS; ++i) {
    const grevy_view *weight = &inputs[1 + 2 * i], *bias = weight + 1;
    layers[i].weight = (const float*)weight->data;
    layers[i].bias = (const float*)bias->data;
    layers[i].outputs = weight->shape[0];
    layers[i].channels = weight->shape[2];
    layers[i].span = weight->shape[1] * weight->shape[2];
    layers[i].to_weight = gradients ? (float*)gradients[1 + 2 * i].data : 0;
    layers[i].to_bias = gradients ? (float*)gradients[2 + 2 * i].data : 0;
  }
}

/* Eight sums, which a compiler may keep in one register. */
static float dot(const float* x, const float* y, int64_t count) {
  float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0}, rest = 0;
  int64_t k = 0;
  for (; k + 8 <= count; k += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += x[k + lane] * y[k + lane];
  for (; k < count; ++k) rest += x[k] * y[k];
  for (int lane = 0; lane < 8; ++lane) rest += sums[lane];
  return rest;
}

/* to += factor * x */
static void add(float* to, float factor, const float* x, int64_t count) {
  for (int64_t k = 0; k < count; ++k) to[k] += factor * x[k];
}

static void convolve(const layer* l, const float* x, float* y, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < l->outputs; ++o)
      *y++ = l->bias[o] + dot(x + r * l->channels, l->weight + o * l->span, l->span);
}

/* From the gradient of y to those of x (NULL: not wanted), weight and bias, which add up. */
static void convolve_back(const layer* l, const float* x, const float* to_y, float* to_x,
                          int64_t rows) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < l->outputs; ++o) {
      const float given = *to_y++;
      if (to_x) add(to_x + r * l->channels, given, l->weight + o * l->span, l->span);
      if (l->to_weight) add(l->to_weight + o * l->span, given, x + r * l->channels, l->span);
      if (l->to_bias) l->to_bias[o] += given;
    }
}

/* Values z become z Phi(z), slopes Phi(z) + z phi(z) (Hendrycks & Gimpel 2016). */
static void gelu(float* values, float* slopes, int64_t count) {
  for (int64_t k = 0; k < count; ++k) {
    const float z = values[k], phi = 0.5f * (1 + erff(z * 0.70710678f));
    slopes[k] = phi + z * 0.39894228f * expf(-0.5f * z * z);
    values[k] = z * phi;
  }
}

static void multiply(float* values, const float* by, int64_t count) {
  for (int64_t k = 0; k < count; ++k) values[k] *= by[k];
}

/* Rows of length 1. */
static void normalise(float* y, float* lengths, int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, y += width) {
    lengths[r] = sqrtf(dot(y, y, width));
    for (int64_t k = 0; k < width; ++k) y[k] /= lengths[r];
  }
}

/* to_y = (given - y (y . given)) / length, y being of length 1. */
static void normalise_back(const float* y, const float* lengths, const float* given, float* to_y,
                           int64_t rows, int64_t width) {
  for (int64_t r = 0; r < rows; ++r, y += width, given += width, to_y += width) {
    const float along = dot(y, given, width);
    for (int64_t k = 0; k < width; ++k) to_y[k] = (given[k] - along * y[k]) / lengths[r];
  }
}

static void embed(const layer* layers, const float* x, trace t, float* y, int64_t samples) {
  const int64_t units = layers[0].outputs;
  for (int i = 0; i < HIDDEN; ++i) {
    const int64_t rows = rows_of(i, samples);
    convolve(&layers[i], x, t.values[i], rows);
    gelu(t.values[i], t.slopes[i], rows * units);
    if (i > 0) add(t.values[i], 1, x + units, rows * units); /* x without its first and last row */
    x = t.values[i];
  }
  convolve(&layers[HIDDEN], x, y, rows_of(HIDDEN, samples));
  normalise(y, t.lengths, rows_of(HIDDEN, samples), layers[HIDDEN].outputs);
}

/* From the gradient `given` of y to that of the window, which may be NULL, and the layers'. to_x
 * and to_y: room for the largest layer each. */
static void embed_back(const layer* layers, const float* window, trace t, const float* y,
                       const float* given, float* to_window, float* to_x, float* to_y,
                       int64_t samples) {
  const int64_t units = layers[0].outputs;
  normalise_back(y, t.lengths, given, to_y, rows_of(HIDDEN, samples), layers[HIDDEN].outputs);
  for (int i = HIDDEN; i > 0; --i) {
    const int64_t rows = rows_of(i, samples);
    float* next = to_x;
    memset(to_x, 0, (size_t)(rows_of(i - 1, samples) * units) * sizeof(float));
    if (i < HIDDEN) {
      add(to_x + units, 1, to_y, rows * units);
      multiply(to_y, t.slopes[i], rows * units);
    }
    convolve_back(&layers[i], t.values[i - 1], to_y, to_x, rows);
    to_x = to_y;
    to_y = next;
  }
  multiply(to_y, t.slopes[0], rows_of(0, samples) * units);
  convolve_back(&layers[0], window, to_y, to_window, rows_of(0, samples));
}

static int32_t forward(void* context, const grevy_kernel_views* views,
                       const grevy_error_sink* errors) {
  const int64_t *shape = views->inputs[0].shape, samples = shape[1];
  const float* windows = (const float*)views->inputs[0].data;
  float *kept = (float*)views->kept[0].data, *y = (float*)views->outputs[0].data;
  layer layers[LAYERS];
  (void)context, (void)errors;
  find_layers(views->inputs, 0, layers);
  for (int64_t i = 0; i < shape[0]; ++i) {
    embed(layers, windows, trace_at(kept, samples, layers[0].outputs), y, samples);
    windows += samples * shape[2];
    kept += kept_per_window(samples, layers[0].outputs);
    y += rows_of(HIDDEN, samples) * layers[HIDDEN].outputs;
  }
  return GREVY_OK;
}

static void clear(const grevy_view* inputs, const grevy_view* gradients, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    size_t size = sizeof(float);
    for (int32_t axis = 0; axis < inputs[i].dims; ++axis) size *= (size_t)inputs[i].shape[axis];
    if (gradients[i].data) memset(gradients[i].data, 0, size);
  }
}

static int32_t backward(void* context, const grevy_kernel_views* views,
                        const grevy_error_sink* errors) {
  const grevy_text no_memory = GREVY_C_TEXT("out of memory");
  const int64_t *shape = views->inputs[0].shape, samples = shape[1];
  const float *windows = (const float*)views->inputs[0].data, *y = (float*)views->outputs[0].data;
  const float* given = (const float*)views->output_gradients[0].data;
  float *kept = (float*)views->kept[0].data, *to_windows, *scratch;
  layer layers[LAYERS];
  int64_t units, width, room;
  (void)context;
  find_layers(views->inputs, views->input_gradients, layers);
  units = layers[0].outputs, width = layers[HIDDEN].outputs;
  room = rows_of(0, samples) * (units > width ? units : width);
  scratch = (float*)malloc((size_t)(2 * room) * sizeof(float));
  if (!scratch) return grevy_fail(errors, GREVY_ERROR_INTERNAL, no_memory);
  clear(views->inputs, views->input_gradients, views->input_count);
  to_windows = (float*)views->input_gradients[0].data;
  for (int64_t i = 0; i < shape[0]; ++i) {
    embed_back(layers, windows, trace_at(kept, samples, units), y, given, to_windows, scratch,
               scratch + room, samples);
    windows += samples * shape[2];
    kept += kept_per_window(samples, units);
    y += rows_of(HIDDEN, samples) * width;
    given += rows_of(HIDDEN, samples) * width;
    if (to_windows) to_windows += samples * shape[2];
  }
  free(scratch);
  return GREVY_OK;
}

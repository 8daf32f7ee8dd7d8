// Dense arithmetic on rows of float32: what a convolution over (time, channels) comes down to.
//
// A convolution of kernel k over rows of width c reads, for each output row, k * c floats that lie
// side by side. So nothing is rearranged: a row is a pointer, a layer a product of such rows with a
// matrix (k * c, width) that stays in the first-level cache.
#ifndef GREVY_PLUGINS_KERNELS_ROW_KERNELS_HPP
#define GREVY_PLUGINS_KERNELS_ROW_KERNELS_HPP

#include <cstddef>
#include <cstdint>

namespace grevy::kernels {

// One instruction set's version of each. Widths are multiples of `lanes`, and numbers of rows
// multiples of `rows_at_once`; arrays need no alignment.
struct RowKernels {
  const char* name;
  std::size_t lanes;
  std::size_t rows_at_once;

  // out[r] = start + in[r] . weights, for every row; start: `bias`, or out[r] where that is null.
  // in[r]: `depth` floats; weights: (depth, width); out[r], bias: `width`.
  void (*multiply)(const float* const* in, float* const* out, std::size_t rows,
                   const float* weights, std::size_t depth, std::size_t width, const float* bias);
  // The same for one row, to the bit.
  void (*multiply_row)(const float* in, float* out, const float* weights, std::size_t depth,
                       std::size_t width, const float* bias);
  // gradient += sum over rows of in[r]^T . out[r]. gradient: (depth, width).
  void (*outer)(const float* const* in, const float* const* out, std::size_t rows, float* gradient,
                std::size_t depth, std::size_t width);
  // The rest works on whole vectors: counts are multiples of `lanes`.
  void (*add)(float* target, const float* source, std::size_t count);
  void (*product)(const float* a, const float* b, float* target, std::size_t count);
  // u becomes gelu(u), slope its derivative, unless null.
  void (*gelu)(float* u, float* slope, std::size_t count);
  // The second derivative of gelu at u.
  void (*gelu_curvature)(const float* u, float* curvature, std::size_t count);
  // x becomes exp(x - shift), shift at least the largest x; returns the sum.
  float (*exponentials)(float* x, std::size_t count, float shift);
  float (*largest)(const float* x, std::size_t count);
};

// The best that this CPU can run; GREVY_INSTRUCTIONS=avx2 or =baseline in the environment asks for
// less.
const RowKernels& row_kernels();

}  // namespace grevy::kernels

#endif

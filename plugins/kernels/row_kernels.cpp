#include "row_kernels.hpp"

#include <cstdlib>
#include <string_view>

namespace grevy::kernels {

extern const RowKernels row_kernels_baseline;
#ifdef __x86_64__
extern const RowKernels row_kernels_avx2, row_kernels_avx512;
#endif

namespace {

const RowKernels& choose() {
#ifdef __x86_64__
  const char* asked = std::getenv("GREVY_INSTRUCTIONS");
  const std::string_view most = asked == nullptr ? "" : asked;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && most != "avx2" && most != "baseline")
    return row_kernels_avx512;
  if (avx2 && most != "baseline") return row_kernels_avx2;
#endif
  return row_kernels_baseline;
}

}  // namespace

const RowKernels& row_kernels() {
  static const RowKernels& chosen = choose();
  return chosen;
}

}  // namespace grevy::kernels

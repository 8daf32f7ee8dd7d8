#define GREVY_LANES 16
#define GREVY_ROWS 12
#define GREVY_KERNELS row_kernels_avx512
#define GREVY_KERNELS_NAME "avx512"
#include "row_kernels.inc"

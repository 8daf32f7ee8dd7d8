#define GREVY_LANES 8
#define GREVY_ROWS 6
#define GREVY_KERNELS row_kernels_avx2
#define GREVY_KERNELS_NAME "avx2"
#include "row_kernels.inc"

#define GREVY_LANES 4
#define GREVY_ROWS 4
#define GREVY_KERNELS row_kernels_baseline
#define GREVY_KERNELS_NAME "baseline"
#include "row_kernels.inc"

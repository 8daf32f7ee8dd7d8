// How alike every reference is to all negatives together, without their matrix.
#ifndef GREVY_PLUGINS_CRITERIONS_LOG_SUM_EXP_HPP
#define GREVY_PLUGINS_CRITERIONS_LOG_SUM_EXP_HPP

#include <torch/types.h>

namespace grevy::criterions {

// log sum_j exp(rows_i . columns_j) for every i. rows: float (n, d), columns: (m, d); n, m >= 1;
// gives (n). float32 on the CPU goes through tiles of the (n, m) matrix: O(n + m) memory, backward
// included. Elsewhere, and for gradients of gradients, LibTorch's operations do it.
at::Tensor log_sum_exp_products(const at::Tensor& rows, const at::Tensor& columns);

}  // namespace grevy::criterions

#endif

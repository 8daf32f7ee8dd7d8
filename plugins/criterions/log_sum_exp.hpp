// How alike every reference is to all negatives together, without their matrix.
#ifndef GREVY_PLUGINS_CRITERIONS_LOG_SUM_EXP_HPP
#define GREVY_PLUGINS_CRITERIONS_LOG_SUM_EXP_HPP

#include <torch/types.h>

namespace grevy::criterions {

// log sum_j exp(x_ij) = largest + log_sum for x = rows . columns^T. In two parts, because their sum
// has lost its last digits where similarities are large. The gradient of the whole is that of
// log_sum; largest carries none. Both (n).
struct LogSumExp {
  at::Tensor log_sum, largest;
};

// rows: float (n, d), columns: (m, d); n, m >= 1. float32 on the CPU goes through tiles of the (n,
// m) matrix: O(n + m) memory, backward included. Elsewhere, and for gradients of gradients,
// LibTorch's operations do it.
LogSumExp log_sum_exp_products(const at::Tensor& rows, const at::Tensor& columns);

}  // namespace grevy::criterions

#endif

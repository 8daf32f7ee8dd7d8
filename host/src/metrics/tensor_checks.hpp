// Checks of tensors that metrics are computed from.
#ifndef GREVY_HOST_TENSOR_CHECKS_HPP
#define GREVY_HOST_TENSOR_CHECKS_HPP

#include <grevy/error.hpp>

#include <torch/types.h>

#include <string>

namespace grevy::host {

// Whether its numbers can be read one by one: neither sparse nor quantized nor without values.
inline bool is_dense(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided && !tensor.is_quantized() &&
         !tensor.is_meta();
}

// "Float [3, 4]", "Float [3, 4] (not dense)"
std::string describe(const at::Tensor& tensor);

// As doubles on the CPU, row-major. `where` begins the text of errors. Errors: invalid_type unless
// float32, float64, int32 or int64; invalid_value for another number of dimensions, and when empty.
at::Tensor as_numbers(const std::string& where, const std::string& name, const at::Tensor& tensor,
                      std::int64_t dimensions);

// Squares of numbers up to 1e100, and their sums, stay finite. Errors: non_finite.
void check_magnitude(const std::string& where, const std::string& name, const at::Tensor& numbers);

}  // namespace grevy::host

#endif

// Where a tensor is not finite.
#ifndef GREVY_HOST_FINITE_HPP
#define GREVY_HOST_FINITE_HPP

#include <torch/types.h>

#include <string>

namespace grevy::host {

// Errors: non_finite, "WHAT is nan at [0, 3]", for the first element that is NaN or infinite.
void require_finite(const at::Tensor& values, const std::string& what);

}  // namespace grevy::host

#endif

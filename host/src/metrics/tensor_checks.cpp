#include "metrics/tensor_checks.hpp"

#include <algorithm>
#include <sstream>

namespace grevy::host {

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  std::ostringstream text;
  text << tensor.scalar_type() << ' ' << tensor.sizes() << (is_dense(tensor) ? "" : " (not dense)");
  return text.str();
}

at::Tensor as_numbers(const std::string& where, const std::string& name, const at::Tensor& tensor,
                      std::int64_t dimensions) {
  constexpr at::ScalarType types[] = {at::kFloat, at::kDouble, at::kInt, at::kLong};
  const bool typed = is_dense(tensor) && std::find(std::begin(types), std::end(types),
                                                   tensor.scalar_type()) != std::end(types);
  if (typed && tensor.dim() == dimensions && tensor.numel() > 0)
    return tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  throw Error(typed ? ErrorCode::invalid_value : ErrorCode::invalid_type,
              where + ": " + name + " is " + describe(tensor) +
                  ", allowed is float32, float64, int32 or int64 with " +
                  std::to_string(dimensions) + (dimensions == 1 ? " dimension" : " dimensions") +
                  ", not empty");
}

void check_magnitude(const std::string& where, const std::string& name, const at::Tensor& numbers) {
  if (numbers.abs().le(1e100).all().item<bool>()) return;
  throw Error(ErrorCode::non_finite,
              where + ": " + name + " contains NaN, infinity or a magnitude above 1e100");
}

}  // namespace grevy::host

#include "training/finite.hpp"

#include <grevy/error.hpp>

#include <cmath>

namespace grevy::host {

void require_finite(const at::Tensor& values, const std::string& what) {
  const at::Tensor bad = at::isfinite(values).logical_not().nonzero();
  if (bad.size(0) == 0) return;
  const at::Tensor index = bad[0].to(at::kCPU);
  at::Tensor value = values.detach();
  std::string place;
  for (std::int64_t axis = 0; axis < index.numel(); ++axis) {
    const auto at = index[axis].item<std::int64_t>();
    value = value[at];
    place += (axis == 0 ? "" : ", ") + std::to_string(at);
  }
  const auto number = value.item<double>();
  throw Error(ErrorCode::non_finite, what + " is " +
                                         (std::isnan(number) ? "nan" : std::to_string(number)) +
                                         " at [" + place + "] (counted from 0)");
}

}  // namespace grevy::host

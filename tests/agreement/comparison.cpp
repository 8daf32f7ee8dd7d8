#include "comparison.hpp"

#include <limits>
#include <sstream>

namespace grevy::agreement {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

// Every element's distance as a share of what is allowed.
at::Tensor shares(const at::Tensor& found, const at::Tensor& expected, const Tolerance& allowed) {
  const at::Tensor size = expected.abs();
  const double largest = size.nan_to_num(0, 0, 0).max().item<double>();
  const double floor = std::max(allowed.absolute, allowed.of_largest * largest);
  const at::Tensor limit = (size * allowed.relative).clamp_min(floor);
  const at::Tensor same =
      (found == expected).logical_or(found.isnan().logical_and(expected.isnan()));
  const at::Tensor share = ((found - expected).abs() / limit).nan_to_num(infinite, infinite);
  return share.masked_fill(same, 0);
}

std::string describe(double found, double expected) {
  std::ostringstream text;
  text.precision(9);
  text << "found " << found << ", expected " << expected;
  return text.str();
}

}  // namespace

void Comparison::keep(double deviation, const std::string& what, const std::string& details) {
  if (!place_.empty() && deviation <= worst_) return;
  worst_ = deviation;
  place_ = what;
  details_ = details;
}

void Comparison::values(const std::string& what, const at::Tensor& found,
                        const at::Tensor& expected, const Tolerance& allowed) {
  if (!found.defined()) return keep(infinite, what, "found nothing");
  if (found.sizes() != expected.sizes())
    return keep(infinite, what, c10::str("found ", found.sizes(), ", expected ", expected.sizes()));
  if (expected.numel() == 0) return;
  const auto flat = [](const at::Tensor& t) {
    return t.detach().to(at::kCPU, at::kDouble).flatten();
  };
  const at::Tensor a = flat(found), b = flat(expected);
  const at::Tensor share = shares(a, b, allowed);
  const auto row = share.argmax().item<std::int64_t>();
  count_ += expected.numel();
  keep(share[row].item<double>(), what,
       "element " + std::to_string(row) + ": " +
           describe(a[row].item<double>(), b[row].item<double>()));
}

void Comparison::number(const std::string& what, double found, double expected,
                        const Tolerance& allowed) {
  const auto scalar = [](double value) { return at::full({}, value, at::kDouble); };
  values(what, scalar(found), scalar(expected), allowed);
}

void Comparison::whole(const std::string& what, std::int64_t found, std::int64_t expected) {
  ++count_;
  keep(found == expected ? 0 : infinite, what,
       "found " + std::to_string(found) + ", expected " + std::to_string(expected));
}

}  // namespace grevy::agreement

// Built-in components through the loader, and the numbers that fixed reference values start from.
#ifndef GREVY_TESTS_GOLDEN_SUPPORT_HPP
#define GREVY_TESTS_GOLDEN_SUPPORT_HPP

#include <grevy/host/host.hpp>

#include <string>
#include <vector>

namespace grevy::tests {

inline host::Host& builtin_host() {
  static host::Host host([] {
    host::HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    return options;
  }());
  return host;
}

inline Owned<ModelRef> builtin_model(const std::string& name, std::int64_t num_input,
                                     std::int64_t num_units, std::int64_t num_output) {
  host::CreateOptions create;
  create.num_input = num_input;
  return builtin_host().create_model(name,
                                     "{\"num_units\": " + std::to_string(num_units) +
                                         ", \"num_output\": " + std::to_string(num_output) + "}",
                                     create);
}

inline Owned<CriterionRef> builtin_criterion(const std::string& name, const std::string& options) {
  return builtin_host().create_criterion(name, options, {});
}

// 1, 2, 3, ... row by row, as float64.
inline at::Tensor counted(at::IntArrayRef shape) {
  return at::arange(1, c10::multiply_integers(shape) + 1, at::kDouble).reshape(shape);
}

// cos(0.37 i), i = 1, 2, ... row by row.
inline at::Tensor inp(at::IntArrayRef shape) {
  return at::cos(0.37 * counted(shape)).to(at::kFloat);
}

// 0.3 sin(k), k = 1, 2, ... over all parameters in their order, row by row.
inline void fill(const NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  std::int64_t k = 1;
  for (const NamedTensor& t : tensors) {
    if (!t.trained) continue;
    const std::int64_t count = t.tensor.numel();
    const at::Tensor values = 0.3 * at::sin(at::arange(k, k + count, at::kDouble));
    at::Tensor(t.tensor).copy_(values.reshape(t.tensor.sizes()));
    k += count;
  }
}

inline double largest_difference(const at::Tensor& found, const std::vector<double>& expected) {
  const at::Tensor reference = at::tensor(expected, at::kDouble).reshape(found.sizes());
  return (found.detach().to(at::kDouble) - reference).abs().max().item<double>();
}

}  // namespace grevy::tests

#endif

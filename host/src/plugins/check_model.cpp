#include <grevy/host/host.hpp>

#include <torch/types.h>

#include <sstream>
#include <string>

namespace grevy::host {
namespace {

[[noreturn]] void refuse_model(const ModelRef& model, const char* operation,
                               const std::string& message) {
  throw PluginError(ErrorCode::invalid_value, message, model.plugin(), model.component(),
                    operation);
}

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << shape;
  return text.str();
}

void expect_shape(const ModelRef& model, const at::Tensor& windows, at::IntArrayRef expected,
                  std::int64_t num_tensors) {
  const at::Tensor output = model.forward_all(windows, num_tensors).front();
  if (output.sizes() != expected)
    refuse_model(model, "forward",
                 "returned shape " + shape_text(output.sizes()) + " for windows of shape " +
                     shape_text(windows.sizes()) + "; its description promises " +
                     shape_text(expected));
}

// Sizes without meaning, and those that no memory holds: a window has at most 2^26 numbers.
bool is_possible(const ModelInfo& info, const CreateOptions& create) {
  constexpr std::int64_t max_numbers = std::int64_t{1} << 26;
  const auto in_range = [](std::int64_t value, std::int64_t least, std::int64_t most) {
    return value >= least && value <= most;
  };
  return info.num_input == create.num_input && in_range(info.num_input, 1, max_numbers) &&
         in_range(info.num_output, 1, max_numbers) && in_range(info.offset.left, 0, max_numbers) &&
         in_range(info.offset.right, 1, max_numbers) &&
         info.offset.length() <= max_numbers / info.num_input &&
         in_range(info.resample_factor, 1, max_numbers) &&
         in_range(info.num_tensors, 1, detail::max_count);
}

}  // namespace

void check_model(const ModelRef& model, const CreateOptions& create) {
  const ModelInfo info = model.info();
  if (!is_possible(info, create))
    refuse_model(model, "describe",
                 "describes itself with num_input " + std::to_string(info.num_input) +
                     " (asked for " + std::to_string(create.num_input) + "), num_output " +
                     std::to_string(info.num_output) + ", offset (" +
                     std::to_string(info.offset.left) + ", " + std::to_string(info.offset.right) +
                     "), resample_factor " + std::to_string(info.resample_factor) +
                     ", num_tensors " + std::to_string(info.num_tensors));
  const at::NoGradGuard no_grad;
  model.set_training(false);
  const std::int64_t length = info.offset.length();
  const auto windows = [&](std::int64_t n, std::int64_t t) {
    return at::linspace(-1, 1, n * t * info.num_input, at::kFloat)
        .reshape({n, t, info.num_input})
        .transpose(1, 2)
        .to(create.device);
  };
  expect_shape(model, windows(3, length), {3, info.num_output}, info.num_tensors);
  if (info.convolutional && info.resample_factor == 1)
    expect_shape(model, windows(2, length + 3), {2, info.num_output, 4}, info.num_tensors);
  model.set_training(true);
}

}  // namespace grevy::host

#include <grevy/host/host.hpp>

#include <torch/cuda.h>

namespace grevy::host {

at::Device parse_device(const std::string& text) {
  if (text == "cuda_if_available")
    return parse_device(torch::cuda::is_available() ? "cuda" : "cpu");
  const bool is_cuda =
      text == "cuda" || (text.rfind("cuda:", 0) == 0 && text.size() > 5 && text.size() < 9 &&
                         text.find_first_not_of("0123456789", 5) == std::string::npos);
  if (text == "cpu") return at::kCPU;
  if (!is_cuda)
    throw Error(
        ErrorCode::invalid_value,
        "device \"" + text +
            "\" is not known; allowed: \"cpu\", \"cuda\", \"cuda:N\", \"cuda_if_available\"");
  const auto count =
      static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  const int index = text == "cuda" ? 0 : std::stoi(text.substr(5));
  if (index >= count)
    throw Error(ErrorCode::not_found,
                "device \"" + text + "\" is not available; this LibTorch sees " +
                    std::to_string(count) + " CUDA device(s); \"cpu\" always works");
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace grevy::host

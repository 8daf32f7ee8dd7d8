// The estimators behind attribute(): windows (n, C, L) -> maps (n, D, C, L), for one batch.
#ifndef GREVY_HOST_SRC_ATTRIBUTION_METHODS_HPP
#define GREVY_HOST_SRC_ATTRIBUTION_METHODS_HPP

#include <grevy/host/attribution.hpp>

namespace grevy::host {

// The first `width` outputs of a model, on its device.
class Probe {
 public:
  Probe(const ModelRef& model, const ModelInfo& info, std::int64_t width);

  at::Device device() const { return device_; }
  // (n, C, L) -> (n, width). Errors: invalid_value for outputs that are not (n, D).
  at::Tensor embed(const at::Tensor& windows) const;
  // The Jacobian: width backward passes. Errors: invalid_value too where the outputs carry no
  // gradient.
  at::Tensor gradients(const at::Tensor& windows) const;

 private:
  const ModelRef& model_;
  std::int64_t num_output_, width_;
  at::Device device_;
};

at::Tensor ablate(const Probe& probe, const at::Tensor& windows, double baseline);

at::Tensor integrate_gradients(const Probe& probe, const at::Tensor& windows, double baseline,
                               std::int64_t num_steps);

// Baselines that neuron-gradient-shap picks from, (k, C, L): windows in float32 with their elements
// in random order, or one of zeros.
at::Tensor shuffled(const at::Tensor& windows, Random& random);
at::Tensor zero_baseline(const at::Tensor& windows);

// Draws for one window after the other: how windows are split into batches makes no difference.
at::Tensor expect_gradients(const Probe& probe, const at::Tensor& windows,
                            const at::Tensor& baselines, std::int64_t num_draws, Random& random);

}  // namespace grevy::host

#endif

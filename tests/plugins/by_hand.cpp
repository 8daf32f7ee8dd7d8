// Built without grevy_add_plugin: default visibility, no version script, C++20. Two plugins like
// this one in one process must not share what each registers.

// First: LibTorch 1.13's headers do not compile in C++20 with clang otherwise.
// clang-format off
#include <ATen/core/ivalue.h>
#include <grevy/plugin.hpp>
// clang-format on

class ByHand : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  ByHand(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor zero = at::zeros({}, p.reference.options());
    return {zero + BY_HAND_LOSS, zero, zero};
  }
};

GREVY_REGISTER(ByHand, BY_HAND_NAME, "A constant.")
GREVY_PLUGIN("zoo." BY_HAND_NAME, "1.0.0")

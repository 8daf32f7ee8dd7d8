#include "training/adam.hpp"

#include <cmath>

namespace grevy::host {
namespace {

// Numbers of a step, rounded as LibTorch rounds those that it multiplies tensors with.
struct Coefficients {
  Coefficients(const AdamOptions& o, std::int64_t step)
      : beta1(static_cast<float>(o.beta1)),
        beta2(static_cast<float>(o.beta2)),
        rest1(static_cast<float>(1 - o.beta1)),
        rest2(static_cast<float>(1 - o.beta2)),
        eps(static_cast<float>(o.eps)),
        weight_decay(static_cast<float>(o.weight_decay)) {
    const auto t = static_cast<double>(step);
    root2 = static_cast<float>(std::sqrt(1 - std::pow(o.beta2, t)));
    rate = static_cast<float>(-o.learning_rate / (1 - std::pow(o.beta1, t)));
  }
  float beta1, beta2, rest1, rest2, eps, weight_decay;
  float root2;  // of the second moment's correction
  float rate;   // corrected, negative
};

// One pass over a parameter, for all that LibTorch would pass over it eleven times. `largest`: of
// the second moment, with amsgrad alone.
template <bool AmsGrad>
void update_floats(float* __restrict parameter, const float* __restrict gradient,
                   float* __restrict first, float* __restrict second, float* __restrict largest,
                   std::int64_t count, const Coefficients& c) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] + c.weight_decay * parameter[i];
    first[i] = first[i] * c.beta1 + c.rest1 * g;
    float v = second[i] = second[i] * c.beta2 + c.rest2 * g * g;
    if constexpr (AmsGrad) v = largest[i] = largest[i] > v ? largest[i] : v;
    parameter[i] += c.rate * first[i] / (std::sqrt(v) / c.root2 + c.eps);
  }
}

bool is_plain(const at::Tensor& t) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

}  // namespace

Adam::Adam(NamedTensors parameters, const AdamOptions& options) : options_(options) {
  for (NamedTensor& p : parameters) {
    if (!p.trained) continue;
    const auto zeros = [&] {
      return at::zeros_like(p.tensor, at::MemoryFormat::Contiguous).detach();
    };
    slots_.push_back(
        {p.name, p.tensor, zeros(), zeros(), options.amsgrad ? zeros() : at::Tensor()});
  }
  table_.struct_size = sizeof(table_);
  table_.context = this;
  table_.zero_grad = [](void* self, const grevy_error_sink* errors) {
    return detail::guarded(errors, {"host", "adam", "zero_grad"},
                           [&] { static_cast<Adam*>(self)->zero_grad(); });
  };
  table_.step = [](void* self, const grevy_error_sink* errors) {
    return detail::guarded(errors, {"host", "adam", "step"},
                           [&] { static_cast<Adam*>(self)->step(); });
  };
}

void Adam::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad().reset();
}

void Adam::step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  const Coefficients c(options_, steps_);
  for (Slot& slot : slots_) {
    const at::Tensor& gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    if (!is_plain(slot.parameter) || !is_plain(gradient)) {
      update(slot);
      continue;
    }
    const auto pass = options_.amsgrad ? update_floats<true> : update_floats<false>;
    pass(slot.parameter.data_ptr<float>(), gradient.data_ptr<float>(),
         slot.exp_avg.data_ptr<float>(), slot.exp_avg_sq.data_ptr<float>(),
         options_.amsgrad ? slot.max_exp_avg_sq.data_ptr<float>() : nullptr, slot.parameter.numel(),
         c);
    slot.parameter.unsafeGetTensorImpl()->bump_version();
  }
}

// The same with LibTorch's operations, on any device.
void Adam::update(Slot& slot) {
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  at::Tensor gradient = slot.parameter.grad();
  if (options_.weight_decay != 0) gradient = gradient.add(slot.parameter, options_.weight_decay);
  slot.exp_avg.mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
  slot.exp_avg_sq.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
  at::Tensor second = slot.exp_avg_sq;
  if (options_.amsgrad) {
    at::maximum_out(slot.max_exp_avg_sq, slot.max_exp_avg_sq, slot.exp_avg_sq);
    second = slot.max_exp_avg_sq;
  }
  const at::Tensor denominator = (second.sqrt() / std::sqrt(correction2)).add_(options_.eps);
  slot.parameter.addcdiv_(slot.exp_avg, denominator, -options_.learning_rate / correction1);
}

NamedTensors Adam::state() const {
  NamedTensors state;
  for (const Slot& slot : slots_) {
    state.push_back({"exp_avg/" + slot.name, slot.exp_avg, false});
    state.push_back({"exp_avg_sq/" + slot.name, slot.exp_avg_sq, false});
    if (options_.amsgrad)
      state.push_back({"max_exp_avg_sq/" + slot.name, slot.max_exp_avg_sq, false});
  }
  return state;
}

}  // namespace grevy::host

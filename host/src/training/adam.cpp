#include "training/adam.hpp"

#include <cmath>

namespace grevy::host {

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
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  for (Slot& slot : slots_)
    if (slot.parameter.grad().defined()) update(slot, correction1, correction2);
}

void Adam::update(Slot& slot, double correction1, double correction2) {
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

#include "training/adam.hpp"

#include "training/finite.hpp"

#include <cmath>
#include <cstdint>

namespace grevy::host {
namespace {

bool is_plain(const at::Tensor& t) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

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

// One element after a step. `largest`: of the second moment, with amsgrad alone.
template <bool AmsGrad>
inline void update_one(float& parameter, float gradient, float& first, float& second,
                       float& largest, const Coefficients& c) {
  const float g = gradient + c.weight_decay * parameter;
  first = first * c.beta1 + c.rest1 * g;
  float v = second = second * c.beta2 + c.rest2 * g * g;
  if constexpr (AmsGrad) v = largest = largest > v ? largest : v;
  parameter += c.rate * first / (std::sqrt(v) / c.root2 + c.eps);
}

// One pass over a parameter, for all that LibTorch would pass over it eleven times.
template <bool AmsGrad>
void update_floats(float* __restrict parameter, const float* __restrict gradient,
                   float* __restrict first, float* __restrict second, float* __restrict largest,
                   std::int64_t count, const Coefficients& c) {
  float none = 0;
  for (std::int64_t i = 0; i < count; ++i)
    update_one<AmsGrad>(parameter[i], gradient[i], first[i], second[i], AmsGrad ? largest[i] : none,
                        c);
}

// Whether the same pass would leave everything finite; a gradient that is not shows in `second`.
// 0 * x is 0 for every finite x.
template <bool AmsGrad>
bool stays_finite(const float* __restrict parameter, const float* __restrict gradient,
                  const float* __restrict first, const float* __restrict second,
                  const float* __restrict largest, std::int64_t count, const Coefficients& c) {
  std::uint32_t bad = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    float p = parameter[i], m = first[i], v = second[i], most = AmsGrad ? largest[i] : 0;
    update_one<AmsGrad>(p, gradient[i], m, v, most, c);
    bad |= static_cast<std::uint32_t>(0.0F * p + 0.0F * v != 0.0F);
  }
  return bad == 0;
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

// Nothing changes before everything is known to stay finite.
void Adam::step() {
  const at::NoGradGuard no_grad;
  const Coefficients c(options_, steps_ + 1);
  const auto run = [&](const Slot& s, const auto& pass) {
    return pass(s.parameter.data_ptr<float>(), s.parameter.grad().data_ptr<float>(),
                s.exp_avg.data_ptr<float>(), s.exp_avg_sq.data_ptr<float>(),
                options_.amsgrad ? s.max_exp_avg_sq.data_ptr<float>() : nullptr,
                s.parameter.numel(), c);
  };
  std::vector<const Slot*> plain;
  std::vector<Update> others;
  for (const Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    if (is_plain(slot.parameter) && is_plain(slot.parameter.grad()))
      plain.push_back(&slot);
    else
      others.push_back(update_of(slot));
  }
  for (const Slot* slot : plain)
    if (!run(*slot, options_.amsgrad ? stays_finite<true> : stays_finite<false>)) refuse(*slot);
  check(others);
  for (const Slot* slot : plain) {
    run(*slot, options_.amsgrad ? update_floats<true> : update_floats<false>);
    slot->parameter.unsafeGetTensorImpl()->bump_version();
  }
  for (const Update& update : others) apply(update);
  ++steps_;
}

// The same with LibTorch's operations, on any device.
Adam::Update Adam::update_of(const Slot& slot) const {
  const auto step = static_cast<double>(steps_ + 1);
  const double correction1 = 1 - std::pow(options_.beta1, step);
  const double correction2 = 1 - std::pow(options_.beta2, step);
  at::Tensor gradient = slot.parameter.grad();
  if (options_.weight_decay != 0) gradient = gradient.add(slot.parameter, options_.weight_decay);
  Update u{&slot, {}, {}, {}, {}};
  u.exp_avg = slot.exp_avg.mul(options_.beta1).add_(gradient, 1 - options_.beta1);
  u.exp_avg_sq =
      slot.exp_avg_sq.mul(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
  at::Tensor second = u.exp_avg_sq;
  if (options_.amsgrad) second = u.max_exp_avg_sq = at::maximum(slot.max_exp_avg_sq, second);
  const at::Tensor denominator = (second.sqrt() / std::sqrt(correction2)).add_(options_.eps);
  u.parameter =
      slot.parameter.addcdiv(u.exp_avg, denominator, -options_.learning_rate / correction1);
  return u;
}

// One look at the device for all of them.
void Adam::check(const std::vector<Update>& updates) const {
  if (updates.empty()) return;
  std::vector<at::Tensor> sums;
  for (const Update& u : updates)
    sums.push_back((u.parameter.mul(0).sum() + u.exp_avg_sq.mul(0).sum()).to(at::kDouble));
  const at::Tensor all = at::stack(sums).to(at::kCPU);
  for (std::size_t i = 0; i < updates.size(); ++i)
    if (all[static_cast<std::int64_t>(i)].item<double>() != 0) refuse(*updates[i].slot);
}

void Adam::apply(const Update& update) {
  update.slot->exp_avg.copy_(update.exp_avg);
  update.slot->exp_avg_sq.copy_(update.exp_avg_sq);
  if (update.max_exp_avg_sq.defined()) update.slot->max_exp_avg_sq.copy_(update.max_exp_avg_sq);
  update.slot->parameter.copy_(update.parameter);
}

// Says what is not finite.
void Adam::refuse(const Slot& slot) const {
  const std::string name = "\"" + slot.name + "\"";
  require_finite(slot.parameter.grad(), "the gradient of " + name);
  try {
    const Update update = update_of(slot);
    require_finite(update.exp_avg_sq, "the mean square of the gradients of " + name);
    require_finite(update.parameter, "what the step makes of " + name);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {  // LibTorch refuses a learning rate beyond float32
  }
  throw Error(ErrorCode::non_finite, "what the step makes of " + name + " is not finite");
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

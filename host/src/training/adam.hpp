// Adam with its state in the open, so that checkpoints hold it.
#ifndef GREVY_HOST_ADAM_HPP
#define GREVY_HOST_ADAM_HPP

#include <grevy/calls.hpp>

#include <map>
#include <string>
#include <vector>

namespace grevy::host {

struct AdamOptions {
  double learning_rate = 3e-4;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // added to the gradient, as torch.optim.Adam does
  bool amsgrad = false;
};

// Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1, with torch.optim.Adam's order of operations.
class Adam {
 public:
  // Parameters that are trained; names identify their state.
  Adam(NamedTensors parameters, const AdamOptions& options);
  Adam(const Adam&) = delete;
  Adam& operator=(const Adam&) = delete;

  void zero_grad();
  // Parameters without a gradient stay as they are. Errors, before anything has changed:
  // non_finite, naming the first parameter whose gradient, or whose values or moments after the
  // step, are not, and its first index.
  void step();

  // "exp_avg/NAME", "exp_avg_sq/NAME" (and "max_exp_avg_sq/NAME"), sharing storage.
  NamedTensors state() const;
  std::int64_t num_steps() const { return steps_; }
  void set_num_steps(std::int64_t steps) { steps_ = steps; }

  const grevy_optimizer* table() const { return &table_; }

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, exp_avg, exp_avg_sq, max_exp_avg_sq;
  };
  // What a step makes of a parameter.
  struct Update {
    const Slot* slot;
    at::Tensor parameter, exp_avg, exp_avg_sq, max_exp_avg_sq;
  };
  Update update_of(const Slot& slot) const;
  void check(const std::vector<Update>& updates) const;
  static void apply(const Update& update);
  [[noreturn]] void refuse(const Slot& slot) const;

  AdamOptions options_;
  std::vector<Slot> slots_;
  std::int64_t steps_ = 0;
  grevy_optimizer table_{};
};

}  // namespace grevy::host

#endif

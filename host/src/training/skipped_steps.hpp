// Steps that are left out because something in them was not finite.
#ifndef GREVY_HOST_SKIPPED_STEPS_HPP
#define GREVY_HOST_SKIPPED_STEPS_HPP

#include "training/adam.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace grevy::host {

// What a step starts from is kept, so that one that fails in the middle leaves no trace, whatever
// the solver, models or criterion have done to their tensors by then.
class SkippedSteps {
 public:
  static constexpr std::int64_t most_in_a_row = 50;

  // Keeps the values of tensors and the optimiser's steps. The same tensors every time.
  void keep(const NamedTensors& tensors, const Adam& optimizer);
  void put_back(Adam& optimizer) const;

  // A step has been done, or left out. Errors: non_finite, with `reason`, where it is one too many.
  void done() { in_a_row_ = 0; }
  void left_out(const std::string& reason);
  std::int64_t count() const { return count_; }

  // For checkpoints. What is missing in a stored one is 0.
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  std::int64_t count_ = 0, in_a_row_ = 0;
  std::vector<at::Tensor> tensors_, values_;
  std::int64_t optimizer_steps_ = 0;
};

}  // namespace grevy::host

#endif

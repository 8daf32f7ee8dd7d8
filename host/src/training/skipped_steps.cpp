#include "training/skipped_steps.hpp"

namespace grevy::host {

void SkippedSteps::keep(const NamedTensors& tensors, const Adam& optimizer) {
  const at::NoGradGuard no_grad;
  if (tensors_.size() != tensors.size()) {
    tensors_.clear();
    values_.clear();
    for (const NamedTensor& t : tensors) {
      tensors_.push_back(t.tensor.detach());
      values_.push_back(at::empty_like(tensors_.back()));
    }
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) values_[i].copy_(tensors_[i]);
  optimizer_steps_ = optimizer.num_steps();
}

void SkippedSteps::put_back(Adam& optimizer) const {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors_.size(); ++i) at::Tensor(tensors_[i]).copy_(values_[i]);
  optimizer.set_num_steps(optimizer_steps_);
}

void SkippedSteps::left_out(const std::string& reason) {
  if (in_a_row_ == most_in_a_row)
    throw Error(ErrorCode::non_finite, reason + "; the " + std::to_string(most_in_a_row) +
                                           " steps before were left out already, which is the most "
                                           "allowed in a row");
  ++count_;
  ++in_a_row_;
}

nlohmann::json SkippedSteps::state() const { return {{"count", count_}, {"in_a_row", in_a_row_}}; }

void SkippedSteps::restore(const nlohmann::json& state) {
  count_ = state.value("count", std::int64_t{0});
  in_a_row_ = state.value("in_a_row", std::int64_t{0});
}

}  // namespace grevy::host

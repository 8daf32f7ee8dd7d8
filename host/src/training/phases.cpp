#include "training/phases.hpp"

namespace grevy::host {

MeasuredTables::MeasuredTables(const grevy_loader* loader, const grevy_optimizer* optimizer,
                               Phases& phases)
    : inner_loader_(loader),
      inner_optimizer_(optimizer),
      phases_(phases),
      loader_(*loader),
      optimizer_(*optimizer) {
  loader_.context = this;
  loader_.next = [](void* context, const grevy_batch* const** batches, std::uint64_t* count,
                    const grevy_error_sink* errors) {
    auto& self = *static_cast<MeasuredTables*>(context);
    const Measured measured(self.phases_.batches);
    return self.inner_loader_->next(self.inner_loader_->context, batches, count, errors);
  };
  optimizer_.context = this;
  optimizer_.zero_grad = [](void* context, const grevy_error_sink* errors) {
    auto& self = *static_cast<MeasuredTables*>(context);
    const Measured measured(self.phases_.optimizer);
    return self.inner_optimizer_->zero_grad(self.inner_optimizer_->context, errors);
  };
  optimizer_.step = [](void* context, const grevy_error_sink* errors) {
    auto& self = *static_cast<MeasuredTables*>(context);
    const Measured measured(self.phases_.optimizer);
    return self.inner_optimizer_->step(self.inner_optimizer_->context, errors);
  };
}

}  // namespace grevy::host

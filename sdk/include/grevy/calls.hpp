// grevy/calls.hpp: components seen from outside, as C++ objects.
//
// A reference (ModelRef, CriterionRef, SolverRef) calls a component through its C table and throws
// PluginError when the component reports an error. A reference is two pointers and two names: copy
// it freely; it does not own the component. Owned<Ref> does, and destroys it. Every reference has
// component() and plugin(), the names that errors give, instance(), the pair that the C side works
// with, and is true when it refers to a component.
// Threads: whoever calls a component sees to it that one thread does at a time; info() may be asked
// at any time.
#ifndef GREVY_CALLS_HPP
#define GREVY_CALLS_HPP

#include <grevy/detail/references.hpp>
#include <grevy/series.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grevy {

// A model, called from outside. Errors of all calls: PluginError.
class ModelRef : public detail::Reference<grevy_model_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_MODEL;  // for templates over references

  ModelInfo info() const;  // as Model::info
  // windows (n, C, T) -> (n, D) for T = L, else (n, D, T - L + 1): the first of the model's
  // tensors.
  at::Tensor forward(const at::Tensor& windows) const { return forward_all(windows, 1).front(); }
  // The first `count` of the model's tensors, 1 <= count <= info().num_tensors. One that is
  // undefined is an error of the model.
  std::vector<at::Tensor> forward_all(const at::Tensor& windows, std::int64_t count) const;
  // As Model::embeds_samples.
  bool embeds_samples() const { return extension(GREVY_SERIES_EXTENSION) != nullptr; }
  // As Model::forward_samples; of each set the first `count` tensors.
  std::vector<std::vector<at::Tensor>> forward_samples(const at::Tensor& series,
                                                       const std::vector<at::Tensor>& sets,
                                                       std::int64_t count) const;
  void set_training(bool training) const;                   // as Model::set_training
  NamedTensors tensors() const { return named_tensors(); }  // parameters and buffers
};

// A criterion, called from outside. Errors of all calls: PluginError.
class CriterionRef : public detail::Reference<grevy_criterion_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_CRITERION;  // for templates over references

  CriterionInfo info() const;  // as Criterion::info
  // part_count: as many as info().parts. A loss that is no scalar is an error of the criterion.
  Evaluation evaluate(const std::vector<Prediction>& predictions, std::size_t part_count) const;
  NamedTensors tensors() const { return named_tensors(); }  // parameters and buffers
  Statistics statistics() const;                            // as Criterion::statistics
};

// The host's optimiser over every parameter, seen by a solver. Valid until step() or fit(), which
// it was given to, returns. Errors: PluginError.
class OptimizerRef {
 public:
  // The pointer is not owned.
  explicit OptimizerRef(const grevy_optimizer* optimizer) : optimizer_(optimizer) {}
  // Takes the gradients away.
  void zero_grad() const { call("zero_grad", optimizer_->zero_grad); }
  // Changes the parameters in place; those without a gradient stay.
  void step() const { call("step", optimizer_->step); }
  const grevy_optimizer* get() const { return optimizer_; }  // for the C side

 private:
  void call(std::string_view operation,
            std::int32_t (*slot)(void*, const grevy_error_sink*)) const {
    detail::ErrorCatcher({"host", "optimizer", operation}).run([&](auto* errors) {
      return slot(optimizer_->context, errors);
    });
  }
  const grevy_optimizer* optimizer_;
};

// Batches made by the host, seen by a solver. Valid until fit() or validate(), which it was given
// to, returns.
class LoaderRef {
 public:
  // The pointer is not owned; null: no loader.
  explicit LoaderRef(const grevy_loader* loader) : loader_(loader) {}
  // Whether there is one. Nothing else may be asked where there is none.
  explicit operator bool() const { return loader_ != nullptr; }
  // How many a pass has; next() may be called on for ever.
  std::int64_t num_batches() const { return loader_->num_batches; }
  // One entry per session; the tensors are the caller's to keep. Errors: PluginError.
  std::vector<Batch> next() const;

 private:
  const grevy_loader* loader_;
};

// What fit() works with. Valid until fit() returns.
class TrainingRef {
 public:
  // The pointer is not owned.
  explicit TrainingRef(const grevy_training* training) : training_(training) {}
  LoaderRef loader() const { return LoaderRef(training_->loader); }              // to train on
  LoaderRef valid_loader() const { return LoaderRef(training_->valid_loader); }  // false: none
  OptimizerRef optimizer() const {
    return OptimizerRef(training_->optimizer);
  }  // of all parameters
  // fit() runs steps first_step() .. num_steps() - 1.
  std::int64_t first_step() const { return training_->first_step; }
  std::int64_t num_steps() const { return training_->num_steps; }
  // What the host wants after a step.
  struct Actions {
    bool validate = false, stop = false;  // end_validation() is due; fit() is to return
  };
  // To be called after every step, in order: the host logs, shows progress and stores. Errors, for
  // fit() to pass on: PluginError: non_finite (a statistic), invalid_state (another step than the
  // one that is due), io.
  Actions end_step(std::int64_t step, const Statistics& statistics) const;
  // To be called after the validation that end_step() of the same step asked for. Errors:
  // PluginError: non_finite (the loss), io.
  void end_validation(std::int64_t step, const Validation& validation) const;

 private:
  const grevy_training* training_;
};

// A solver, called from outside: by a host. Errors of all calls: PluginError.
class SolverRef : public detail::Reference<grevy_solver_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_SOLVER;  // for templates over references

  SolverInfo info() const;  // as Solver::info
  // Once, before anything below. The components must live as long as the solver.
  void attach(const std::vector<ModelRef>& models,
              const std::vector<CriterionRef>& criterions) const;
  // The whole loop; returns early when end_step of `training` asks for it.
  void fit(const grevy_training& training) const;
  // One optimiser step on one batch per session; returns the parts of the loss, "total" and more.
  Statistics step(const std::vector<Batch>& batches, const grevy_optimizer& optimizer) const;
  // Mean loss over loader.num_batches batches; leaves the training mode as it was.
  Validation validate(const grevy_loader& loader) const;
  // samples float32 (T, C), T >= L -> (T - L + 1, D)
  at::Tensor transform(std::int64_t session, const at::Tensor& samples) const;
  NamedTensors tensors() const { return named_tensors(); }  // the solver's own
  std::string save_state() const;                           // JSON text, see Solver::save_state
  // As Solver::takes_samples.
  bool takes_samples() const { return extension(GREVY_SERIES_EXTENSION) != nullptr; }
  void load_state(const std::string& state) const;  // what save_state() gave
};

// Owns a component: destroys it with itself. Ref is ModelRef, CriterionRef or SolverRef. The host
// that made the component must live longer. Movable; what was moved from owns nothing.
template <class Ref>
class Owned {
 public:
  Owned() = default;                                 // owns nothing
  explicit Owned(Ref ref) : ref_(std::move(ref)) {}  // takes the component over
  ~Owned() { reset(); }
  // Takes the other's component over.
  Owned(Owned&& other) noexcept : ref_(std::exchange(other.ref_, Ref{})) {}
  // The same; a component owned so far is destroyed.
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      ref_ = std::exchange(other.ref_, Ref{});
    }
    return *this;
  }
  // To call it; copies of the reference are valid as long as this owner.
  const Ref& operator*() const { return ref_; }
  const Ref* operator->() const { return &ref_; }
  // Whether there is a component.
  explicit operator bool() const { return static_cast<bool>(ref_); }

 private:
  void reset() {
    if (ref_) ref_.destroy();
  }
  Ref ref_;
};

}  // namespace grevy

#include <grevy/detail/calls.hpp>
#endif

// grevy/solver.hpp: base class of training loops.
//
// The simplest solver overrides infer() alone: how the windows of a step become embeddings. One
// that changes the update overrides step(); one that changes the loop overrides fit().
#ifndef GREVY_SOLVER_HPP
#define GREVY_SOLVER_HPP

#include <grevy/component.hpp>

#include <ATen/core/grad_mode.h>

#include <cmath>

namespace grevy {

// Calls come from one thread at a time. Errors: throw grevy::Error.
class Solver : public Component {
 public:
  virtual ~Solver() = default;

  // How many models and criterions this solver works with; attach() refuses other numbers.
  virtual std::size_t num_models() const { return 1; }
  virtual std::size_t num_criterions() const { return 1; }

  // From the windows of a step (one batch per session) to predictions for the criterion.
  virtual std::vector<Prediction> infer(const std::vector<Batch>& batches) = 0;

  // The loss of a step and its parts, one per part_names(). Gradients may be off (validation).
  virtual Evaluation evaluate(const std::vector<Batch>& batches) {
    return criterion().evaluate(infer(batches), criterion_info().parts.size());
  }
  virtual std::vector<std::string> part_names() const { return criterion_info().parts; }

  // One optimiser step. Statistics: the parts, "total", and the criterion's statistics, read after
  // the parameters have changed. Errors: non_finite when the loss is, before anything changes.
  virtual Statistics step(const std::vector<Batch>& batches, const OptimizerRef& optimizer) {
    optimizer.zero_grad();
    const Evaluation evaluation = evaluate(batches);
    Statistics statistics = read(evaluation);
    evaluation.loss.backward();
    optimizer.step();
    for (Statistic& s : criterion().statistics()) statistics.push_back(std::move(s));
    return statistics;
  }

  // Steps first_step .. num_steps - 1, with the host's services after each.
  virtual void fit(const TrainingRef& training) {
    set_training(true);
    for (std::int64_t i = training.first_step(); i < training.num_steps(); ++i) {
      const auto actions =
          training.end_step(i, step(training.loader().next(), training.optimizer()));
      if (actions.validate && training.valid_loader())
        training.end_validation(i, validate(training.valid_loader()));
      if (actions.stop) return;
    }
  }

  // Mean loss over loader.num_batches() batches, in evaluation mode and without gradients; the
  // training mode is restored. NaN for a loader without batches.
  virtual double validate(const LoaderRef& loader) {
    const at::NoGradGuard no_grad;
    const Evaluating evaluating(*this);
    double sum = 0;
    for (std::int64_t i = 0; i < loader.num_batches(); ++i)
      sum += evaluate(loader.next()).loss.item<double>();
    return sum / static_cast<double>(loader.num_batches());
  }

  // samples float32 (T, C), T >= L -> embedding (T - L + 1, D). Convolutional models see the whole
  // stretch at once, others its windows.
  virtual at::Tensor transform(std::int64_t session, const at::Tensor& samples) {
    const at::NoGradGuard no_grad;
    const Evaluating evaluating(*this);
    const ModelRef& encoder = transform_model(session);
    const std::int64_t length = encoder.info().offset.length();
    if (encoder.info().convolutional && length > 1) {
      const at::Tensor embedding = encoder.forward(samples.t().unsqueeze(0));
      return embedding.dim() == 2 ? embedding : embedding[0].t();
    }
    return encoder.forward(samples.unfold(0, length, encoder.info().resample_factor));
  }

  // Which model embeds a session. Errors: out_of_range.
  virtual const ModelRef& transform_model(std::int64_t session) {
    if (session < 0 || static_cast<std::size_t>(session) >= models_.size())
      throw Error(ErrorCode::out_of_range, "session " + std::to_string(session) +
                                               " does not exist; there are " +
                                               std::to_string(models_.size()) + ", counted from 0");
    return models_[static_cast<std::size_t>(session)];
  }

  // State beyond tensors, as JSON text, for checkpoints.
  virtual std::string save_state() const { return "{}"; }
  virtual void load_state(std::string_view) {}

  // Called once by the host, before anything above.
  virtual void attach(std::vector<ModelRef> models, std::vector<CriterionRef> criterions) {
    check_count("model", models.size(), num_models());
    check_count("criterion", criterions.size(), num_criterions());
    models_ = std::move(models);
    criterions_ = std::move(criterions);
    criterion_info_ = criterions_.empty() ? CriterionInfo{} : criterions_.front().info();
  }

 protected:
  const ModelRef& model(std::size_t index = 0) const { return models_.at(index); }
  const CriterionRef& criterion(std::size_t index = 0) const { return criterions_.at(index); }
  const CriterionInfo& criterion_info() const { return criterion_info_; }

  void set_training(bool training) {
    is_training_ = training;
    for (const ModelRef& m : models_) m.set_training(training);
  }

  // The parts of the loss and "total" as numbers. Errors: non_finite naming the loss.
  Statistics read(const Evaluation& evaluation) const {
    const std::vector<std::string> names = part_names();
    Statistics statistics;
    for (std::size_t i = 0; i < evaluation.parts.size(); ++i)
      statistics.push_back({names.at(i), evaluation.parts[i].item<double>()});
    const double total = evaluation.loss.item<double>();
    if (!std::isfinite(total))
      throw Error(ErrorCode::non_finite, criterion().component() + " returned the loss " +
                                             std::to_string(total) + "; it must be finite");
    statistics.push_back({"total", total});
    return statistics;
  }

 private:
  // Evaluation mode for a scope; the mode before it comes back, also when something throws.
  class Evaluating {
   public:
    explicit Evaluating(Solver& solver) : solver_(solver), before_(solver.is_training_) {
      solver_.set_training(false);
    }
    ~Evaluating() {
      try {
        solver_.set_training(before_);
      } catch (const Error&) {  // a model that cannot switch has reported that before
      }
    }
    Evaluating(const Evaluating&) = delete;
    Evaluating& operator=(const Evaluating&) = delete;

   private:
    Solver& solver_;
    bool before_;
  };

  static void check_count(const char* what, std::size_t found, std::size_t allowed) {
    if (found != allowed)
      throw Error(ErrorCode::invalid_value, "works with " + std::to_string(allowed) + " " + what +
                                                "(s); found " + std::to_string(found));
  }

  std::vector<ModelRef> models_;
  std::vector<CriterionRef> criterions_;
  CriterionInfo criterion_info_;
  bool is_training_ = true;
};

}  // namespace grevy

#endif

// grevy/solver.hpp: base class of training loops.
//
// The simplest solver overrides info() alone, or infer(): how the samples of a step become
// predictions. One that changes the update overrides step(); one that changes the loop, fit().
#ifndef GREVY_SOLVER_HPP
#define GREVY_SOLVER_HPP

#include <grevy/component.hpp>

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace grevy {

// Calls come from one thread at a time. Errors: throw grevy::Error.
class Solver : public Component {
 public:
  virtual ~Solver() = default;

  // What this solver wants to be given, constant for its life; the host prepares sessions, models
  // and batches accordingly, attach() and embed() refuse anything else.
  virtual SolverInfo info() const { return {}; }

  // Whether batches may hold sample numbers and the series in place of windows, for models that
  // embed these faster (Model::embeds_samples): constant for its life. True for solvers that embed
  // by embed() or embed_sets() alone; one that looks at the windows of a batch says false.
  virtual bool takes_samples() const { return false; }

  // The samples of a step as embeddings, rows of one session after the other: every set of
  // positives in the order of its references. Targets of supervised training stay as they are.
  struct Embedded {
    at::Tensor reference;               // (S * n, D)
    std::vector<at::Tensor> positives;  // each (S * n, D), or targets
    at::Tensor negative;                // (S * m, D), or undefined: supervised
  };

  // From the batches of a step (one per session) to predictions for the criterion.
  virtual std::vector<Prediction> infer(const std::vector<Batch>& batches) {
    const Embedded e = embed(batches);
    return {{e.reference, e.positives.front(), e.negative}};
  }

  // The loss of a step and its parts, one per part_names(). Gradients may be off (validation).
  virtual Evaluation evaluate(const std::vector<Batch>& batches) {
    return criterion().evaluate(infer(batches), criterion_info().parts.size());
  }
  // Names of the parts that evaluate() returns, in that order.
  virtual std::vector<std::string> part_names() const { return criterion_info().parts; }

  // One optimiser step. Statistics: the parts, "total", and the criterion's statistics, read after
  // the parameters have changed. Errors: non_finite when the loss is, before anything changes.
  virtual Statistics step(const std::vector<Batch>& batches, const OptimizerRef& optimizer) {
    optimizer.zero_grad();
    const Evaluation evaluation = evaluate(batches);
    Statistics statistics = read(evaluation);
    backward(evaluation.loss);
    optimizer.step();
    for (Statistic& s : criterion().statistics()) statistics.push_back(std::move(s));
    return statistics;
  }

  // Gradients of the loss, for the parameters at least.
  virtual void backward(const at::Tensor& loss) { loss.backward(); }

  // Steps first_step .. num_steps - 1, with the host's services after each. `training` is valid
  // until this returns. What the services throw must pass through. Returning earlier than
  // actions.stop asks for is an error.
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

  // Means of the loss and its parts over loader.num_batches() batches, in evaluation mode and
  // without gradients; the training mode is restored. NaN for a loader without batches.
  virtual Validation validate(const LoaderRef& loader) {
    const at::NoGradGuard no_grad;
    const Evaluating evaluating(*this);
    const std::vector<std::string> names = part_names();
    const auto count = static_cast<double>(loader.num_batches());
    Validation mean{count > 0 ? 0 : std::nan(""), {}};
    for (std::int64_t i = 0; i < loader.num_batches(); ++i) {
      const Evaluation evaluation = evaluate(loader.next());
      mean.loss += evaluation.loss.item<double>() / count;
      for (std::size_t part = 0; part < std::min(names.size(), evaluation.parts.size()); ++part) {
        if (i == 0) mean.parts.push_back({names[part], 0});
        mean.parts[part].value += evaluation.parts[part].item<double>() / count;
      }
    }
    return mean;
  }

  // samples float32 (T, C), T >= L -> embedding (T - L + 1, D), in evaluation mode and without
  // gradients. Convolutional models see the whole stretch at once, others its windows. The samples
  // may be the caller's own: do not write to them. Long recordings come in stretches, so that a row
  // may depend on the samples of its own window alone. Errors: out_of_range (session).
  virtual at::Tensor transform(std::int64_t session, const at::Tensor& samples) {
    const at::NoGradGuard no_grad;
    const Evaluating evaluating(*this);
    return embed_series(transform_model(session), samples);
  }

  // Which model embeds a session. Errors: out_of_range.
  virtual const ModelRef& transform_model(std::int64_t session) { return model(session); }

  // State beyond tensors, as JSON text, for checkpoints.
  virtual std::string save_state() const { return "{}"; }
  // Takes what save_state() gave, perhaps in another process.
  virtual void load_state(std::string_view) {}

  // Called once by the host, before anything above. The components live as long as the solver.
  // Errors: invalid_value for numbers of models or criterions that info() does not want.
  virtual void attach(std::vector<ModelRef> models, std::vector<CriterionRef> criterions) {
    const SolverInfo wanted = info();
    const std::size_t kinds = wanted.reference_models ? 2 : 1;
    const bool fits = wanted.sessions == SolverInfo::Sessions::several
                          ? !models.empty() && models.size() % kinds == 0
                          : models.size() == kinds;
    if (!fits || criterions.size() != 1)
      throw Error(ErrorCode::invalid_value,
                  "works with " + std::to_string(kinds) + " model(s)" +
                      (wanted.sessions == SolverInfo::Sessions::several ? " per session" : "") +
                      " and 1 criterion; found " + std::to_string(models.size()) + " and " +
                      std::to_string(criterions.size()));
    num_sessions_ = static_cast<std::int64_t>(models.size() / kinds);
    models_ = std::move(models);
    criterion_ = std::move(criterions.front());
    criterion_info_ = criterion_.info();
  }

 protected:
  std::int64_t num_sessions() const { return num_sessions_; }  // joined sessions count as one
  // The encoder of a session, and that of its references. Errors: out_of_range.
  const ModelRef& model(std::int64_t session = 0) const {
    if (session < 0 || session >= num_sessions_)
      throw Error(ErrorCode::out_of_range, "session " + std::to_string(session) +
                                               " does not exist; there are " +
                                               std::to_string(num_sessions_) + ", counted from 0");
    return models_[static_cast<std::size_t>(session)];
  }
  const ModelRef& reference_model(std::int64_t session = 0) const {
    const ModelRef& other = model(session);
    return info().reference_models ? models_[static_cast<std::size_t>(num_sessions_ + session)]
                                   : other;
  }
  // The criterion, and what it says of itself.
  const CriterionRef& criterion() const { return criterion_; }
  const CriterionInfo& criterion_info() const { return criterion_info_; }

  // Embeds a step. Errors: invalid_value for batches that are not what info() wants.
  Embedded embed(const std::vector<Batch>& batches) const {
    const SolverInfo wanted = info();
    check(batches, wanted);
    std::vector<at::Tensor> references, negatives;
    std::vector<std::vector<at::Tensor>> positives(batches.front().positives.size());
    for (const Batch& batch : batches) {
      std::vector<at::Tensor> sets = {batch.reference};
      if (wanted.reference_models) {
        references.push_back(embed_sets(reference_model(batch.session), batch, sets)[0][0]);
        sets.clear();
      }
      if (!wanted.supervised) {
        sets.insert(sets.end(), batch.positives.begin(), batch.positives.end());
        sets.push_back(batch.negative);
      }
      const auto embedded_sets = embed_sets(model(batch.session), batch, sets);
      auto next = embedded_sets.begin();
      if (!wanted.reference_models) references.push_back((*next++)[0]);
      for (std::size_t i = 0; i < positives.size(); ++i)
        positives[i].push_back(wanted.supervised ? batch.positives[i] : (*next++)[0]);
      if (!wanted.supervised) negatives.push_back((*next++)[0]);
    }
    Embedded embedded{join(references), {}, wanted.supervised ? at::Tensor() : join(negatives)};
    const at::Tensor& order = batches.front().index_reversed;
    for (std::size_t i = 0; i < positives.size(); ++i) {
      const at::Tensor rows = join(positives[i]);
      embedded.positives.push_back(
          !order.defined()
              ? rows
              : rows.index_select(0,
                                  order.dim() == 2 ? order[static_cast<std::int64_t>(i)] : order));
    }
    return embedded;
  }

  // Windows or sample numbers of a batch as an encoder's first `count` tensors, set by set; with
  // sample numbers all sets in one pass. Full-batch training: rows of the series' embedding.
  std::vector<std::vector<at::Tensor>> embed_sets(const ModelRef& encoder, const Batch& batch,
                                                  const std::vector<at::Tensor>& sets,
                                                  std::int64_t count = 1) const {
    std::vector<std::vector<at::Tensor>> embedded;
    if (info().full_batch) {
      const at::Tensor rows = embed_series(encoder, batch.series);
      for (const at::Tensor& samples : sets)
        embedded.push_back({rows_of(rows, encoder.info(), samples)});
      return embedded;
    }
    if (batch.series.defined()) return encoder.forward_samples(batch.series, sets, count);
    for (const at::Tensor& windows : sets) embedded.push_back(encoder.forward_all(windows, count));
    return embedded;
  }

  // series (T, C) -> (T - L + 1, D), fewer rows for resampling models.
  static at::Tensor embed_series(const ModelRef& encoder, const at::Tensor& series) {
    const ModelInfo model_info = encoder.info();
    const std::int64_t length = model_info.offset.length();
    if (!model_info.convolutional || length == 1)
      return encoder.forward(series.unfold(0, length, model_info.resample_factor));
    const at::Tensor embedding = encoder.forward(series.t().unsqueeze(0));
    return embedding.dim() == 2 ? embedding : embedding[0].t();
  }

  // The parameters of models, criterion and solver.
  std::vector<at::Tensor> trained() const {
    std::vector<at::Tensor> found;
    const auto collect = [&](const NamedTensors& tensors) {
      for (const NamedTensor& t : tensors)
        if (t.trained && t.tensor.requires_grad()) found.push_back(t.tensor);
    };
    for (const ModelRef& m : models_) collect(m.tensors());
    collect(criterion_.tensors());
    collect(tensors());
    return found;
  }

  // The mode of all models.
  void set_training(bool training) {
    is_training_ = training;
    for (const ModelRef& m : models_) m.set_training(training);
  }
  bool is_training() const { return is_training_; }

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
  // Samples too near a border for a window of their own share the first or last complete one, as
  // windows do.
  static at::Tensor rows_of(const at::Tensor& embedding, const ModelInfo& info,
                            const at::Tensor& samples) {
    const at::Tensor row =
        (samples - info.offset.left).clamp_min(0).floor_divide(info.resample_factor);
    return embedding.index_select(0, row.clamp_max(embedding.size(0) - 1));
  }

  static at::Tensor join(const std::vector<at::Tensor>& sessions) {
    return sessions.size() == 1 ? sessions.front() : at::cat(sessions);
  }

  void check(const std::vector<Batch>& batches, const SolverInfo& wanted) const {
    const auto refuse = [](const std::string& message) {
      throw Error(ErrorCode::invalid_value, message);
    };
    if (batches.empty() || (batches.size() > 1 && wanted.sessions != SolverInfo::Sessions::several))
      refuse("works with the batch of one session; found " + std::to_string(batches.size()));
    const auto sets = static_cast<std::int64_t>(batches.front().positives.size());
    for (const Batch& batch : batches) {
      if (sets < 1 || static_cast<std::int64_t>(batch.positives.size()) != sets ||
          (wanted.num_positives != 0 && sets != wanted.num_positives))
        refuse("works with " +
               (wanted.num_positives == 0 ? "equally many" : std::to_string(wanted.num_positives)) +
               " set(s) of positives; found " + std::to_string(batch.positives.size()));
      if (wanted.full_batch && !batch.series.defined())
        refuse("works with whole series; found windows");
      if (!wanted.full_batch && batch.series.defined() && !takes_samples())
        refuse("works with windows; found a whole series");
      if (wanted.supervised == batch.negative.defined())
        refuse(wanted.supervised ? "is supervised; found negatives" : "needs negatives");
    }
  }

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

  std::vector<ModelRef> models_;  // one per session, then the references'
  std::int64_t num_sessions_ = 0;
  CriterionRef criterion_;
  CriterionInfo criterion_info_;
  bool is_training_ = true;
};

}  // namespace grevy

#endif

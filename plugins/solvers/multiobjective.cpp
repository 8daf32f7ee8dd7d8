// Several objectives, each with a slice of the embedding, a loss and pairs (or targets) of its own,
// and a Jacobian regulariser (Schneider et al. 2025, arXiv:2502.12977).
#include <grevy/jacobian.hpp>
#include <grevy/plugin.hpp>
#include <grevy/scheduler.hpp>

namespace grevy::solvers {
namespace {

struct MultiobjectiveOptions {
  Json regularizer;
  Json scheduler_regularizer;
  Json scheduler_loss;
  bool use_sam = false;
  double sam_rho = 0.05;
  static constexpr auto fields() {
    return grevy::fields(
        field("regularizer", &MultiobjectiveOptions::regularizer,
              "{\"name\": \"JacobianReg\", \"n\": ...}: n random projections, -1: exact.")
            .schema(
                R"("anyOf":[{"type":"null"},{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"enum":["JacobianReg"]},"n":{"type":"integer","minimum":-1,"not":{"const":0}}}}])"),
        field("scheduler_regularizer", &MultiobjectiveOptions::scheduler_regularizer,
              "Weights of the regulariser, one per objective; without it there is none.")
            .schema(scheduler_schema),
        field("scheduler_loss", &MultiobjectiveOptions::scheduler_loss,
              "Weights of the losses, one per objective; null: 1.")
            .schema(scheduler_schema),
        field("use_sam", &MultiobjectiveOptions::use_sam,
              "Sharpness-aware minimisation (arXiv:2010.01412); not with a regulariser."),
        field("sam_rho", &MultiobjectiveOptions::sam_rho, "Its neighbourhood's radius.").above(0));
  }
};

// splitmix64's finaliser (Steele, Lea & Flood 2014): steps and objectives get seeds of their own.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

template <bool supervised>
class Multiobjective : public Solver {
 public:
  using Options = MultiobjectiveOptions;
  Multiobjective(const Options& options, const Context& context)
      : options_(options), seed_(context.seed) {
    const auto regularizer = options.regularizer.parse();
    has_regularizer_ = !regularizer.is_null();
    projections_ = has_regularizer_ ? regularizer.value("n", std::int64_t{1}) : 0;
    if (has_regularizer_ && projections_ != -1 && projections_ < 1)
      throw Error(ErrorCode::invalid_value, "regularizer n is " + std::to_string(projections_) +
                                                "; must be -1 (exact) or at least 1");
    const bool scheduled = !options.scheduler_regularizer.parse().is_null();
    if (has_regularizer_ != scheduled)
      throw Error(ErrorCode::invalid_value,
                  has_regularizer_
                      ? "regularizer needs scheduler_regularizer, which says its weight"
                      : "scheduler_regularizer has no regularizer to weigh");
    if (options.use_sam && has_regularizer_)
      throw Error(ErrorCode::invalid_value, "use_sam cannot be combined with a regularizer");
  }

  SolverInfo info() const override {
    SolverInfo wanted;
    wanted.supervised = supervised;
    wanted.num_positives = 0;
    return wanted;
  }

  void attach(std::vector<ModelRef> models, std::vector<CriterionRef> criterions) override {
    Solver::attach(std::move(models), std::move(criterions));
    count_ = model().info().num_tensors - 1;
    if (count_ < 1)
      throw Error(ErrorCode::invalid_value,
                  model().component() +
                      " has no slices; needed: a model such as SubspaceMultiobjectiveModel, which "
                      "the experiment's \"objectives\" make");
    const auto losses = static_cast<std::int64_t>(criterion_info().parts.size());
    if (!criterion_info().parts_are_losses || losses != count_)
      throw Error(ErrorCode::invalid_value,
                  criterion().component() + " has " + std::to_string(losses) +
                      (criterion_info().parts_are_losses ? " losses" : " parts") +
                      "; needed: " + std::to_string(count_) +
                      " losses, one per slice of the model, as MultiCriterions has");
    scheduler_regularizer_.emplace(options_.scheduler_regularizer.parse(), count_);
    scheduler_loss_.emplace(options_.scheduler_loss.parse(), count_);
    check(*scheduler_regularizer_, "scheduler_regularizer");
    check(*scheduler_loss_, "scheduler_loss");
  }

  // The regulariser differentiates with respect to windows.
  bool takes_samples() const override { return !has_regularizer_; }

  std::vector<Prediction> infer(const std::vector<Batch>& batches) override {
    const Batch& batch = checked(batches);
    std::vector<at::Tensor> sets;
    sets.reserve(2 + batch.positives.size());
    sets.push_back(batch.reference);
    if (!supervised) {
      sets.push_back(batch.negative);
      sets.insert(sets.end(), batch.positives.begin(), batch.positives.end());
    }
    // The first tensor of each is the whole embedding.
    const auto embedded = embed_sets(model(), batch, sets, count_ + 1);
    std::vector<Prediction> predictions;
    for (std::size_t i = 0; i < batch.positives.size(); ++i) {
      const std::size_t slice = i + 1;
      if (supervised)
        predictions.push_back({embedded[0][slice], batch.positives[i], {}});
      else
        predictions.push_back({embedded[0][slice], embedded[2 + i][slice], embedded[1][slice]});
    }
    return predictions;
  }

  // Steps that are left out count for the schedules as well.
  void fit(const TrainingRef& training) override {
    step_ = training.first_step();
    Solver::fit(training);
  }

  Statistics step(const std::vector<Batch>& batches, const OptimizerRef& optimizer) override {
    const Weights weights = scheduler_loss_->get_weights(step_);
    const Weights penalties = scheduler_regularizer_->get_weights(step_);
    optimizer.zero_grad();
    Statistics log;
    const at::Tensor total = penalties ? regularised(batches, weights, *penalties, log)
                                       : weighted(losses(batches, log), weights, log);
    const double value = checked_value(total);
    backward(total);
    if (options_.use_sam) climb_and_repeat(batches, weights, optimizer);
    optimizer.step();
    log.push_back({"sum_loss_train", value});
    log.push_back({"total", value});
    for (Statistic& s : criterion().statistics()) log.push_back(std::move(s));
    ++step_;
    return log;
  }

  void backward(const at::Tensor& loss) override {
    has_regularizer_ ? backward_for(trained(), loss) : Solver::backward(loss);
  }

  std::string save_state() const override { return nlohmann::json{{"step", step_}}.dump(); }
  void load_state(std::string_view state) override {
    step_ = nlohmann::json::parse(state).at("step").get<std::int64_t>();
  }

 private:
  using Weights = Scheduler::Weights;

  const Batch& checked(const std::vector<Batch>& batches) const {
    if (batches.size() != 1 || static_cast<std::int64_t>(batches[0].positives.size()) != count_ ||
        supervised == batches[0].negative.defined())
      throw Error(ErrorCode::invalid_value, std::string("works with one session and one set of ") +
                                                (supervised ? "targets" : "positives") +
                                                " per objective, " + std::to_string(count_));
    return batches[0];
  }

  void check(const Scheduler& scheduler, const char* name) const {
    if (!scheduler.empty() && static_cast<std::int64_t>(scheduler.num_weights()) != count_)
      throw Error(ErrorCode::invalid_value,
                  std::string(name) + " gives " + std::to_string(scheduler.num_weights()) +
                      " weights; needed: one per objective, " + std::to_string(count_));
  }

  static std::string numbered(const char* name, std::size_t i) {
    return std::string(name) + "_" + std::to_string(i);
  }

  std::vector<at::Tensor> losses_of(const std::vector<Prediction>& predictions) const {
    return criterion().evaluate(predictions, criterion_info().parts.size()).parts;
  }

  std::vector<at::Tensor> losses(const std::vector<Batch>& batches, Statistics& log) {
    return logged(losses_of(infer(batches)), log);
  }
  static std::vector<at::Tensor> logged(std::vector<at::Tensor> losses, Statistics& log) {
    for (std::size_t i = 0; i < losses.size(); ++i)
      log.push_back({numbered("loss_train", i), losses[i].item<double>()});
    return losses;
  }

  static at::Tensor weighted(const std::vector<at::Tensor>& losses, const Weights& weights,
                             Statistics& log) {
    at::Tensor sum = at::zeros({}, losses.front().options());
    for (std::size_t i = 0; i < losses.size(); ++i) {
      sum = sum + (weights ? losses[i] * (*weights)[i] : losses[i]);
      if (weights) log.push_back({numbered("loss_weight", i), (*weights)[i]});
    }
    return sum;
  }

  at::Tensor regularised(const std::vector<Batch>& batches, const Weights& weights,
                         const std::vector<double>& penalties, Statistics& log) {
    std::vector<Batch> watched = batches;
    watched.at(0).reference = batches.at(0).reference.detach().requires_grad_(true);
    const std::vector<Prediction> predictions = infer(watched);
    at::Tensor sum = weighted(logged(losses_of(predictions), log), weights, log);
    for (std::size_t i = 0; i < predictions.size(); ++i) {
      const at::Tensor penalty = penalty_of(watched[0].reference, predictions[i].reference, i);
      sum = sum + penalty * penalties[i];
      log.push_back({numbered("regularizer", i), penalty.item<double>()});
      log.push_back({numbered("regularizer_weight", i), penalties[i]});
    }
    return sum;
  }

  at::Tensor penalty_of(const at::Tensor& input, const at::Tensor& slice, std::size_t i) const {
    if (projections_ == -1) return exact_jacobian_penalty(input, slice);
    const auto place = static_cast<std::uint64_t>(step_) * static_cast<std::uint64_t>(count_) + i;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(mix(seed_ + place));
    return projected_jacobian_penalty(
        input, slice, random_directions(projections_, slice.sizes(), std::move(generator)));
  }

  double checked_value(const at::Tensor& total) const {
    const auto value = total.item<double>();
    if (!std::isfinite(value))
      throw Error(ErrorCode::non_finite,
                  "the sum of the losses is " + std::to_string(value) + "; it must be finite");
    return value;
  }

  // The gradient where the loss is about highest within sam_rho, in place of the one here.
  void climb_and_repeat(const std::vector<Batch>& batches, const Weights& weights,
                        const OptimizerRef& optimizer) {
    std::vector<at::Tensor> parameters;
    for (const NamedTensors& tensors : {model().tensors(), criterion().tensors()})
      for (const NamedTensor& t : tensors)
        if (t.trained && t.tensor.grad().defined()) parameters.push_back(t.tensor);
    std::vector<at::Tensor> before;
    {
      const at::NoGradGuard no_grad;
      double norm = 0;
      for (const at::Tensor& p : parameters)
        norm += p.grad().square().sum().template item<double>();
      const double scale = options_.sam_rho / (std::sqrt(norm) + 1e-12);
      for (at::Tensor& p : parameters) {
        before.push_back(p.detach().clone());
        p.add_(p.grad(), scale);
      }
    }
    optimizer.zero_grad();
    Statistics ignored;
    backward(weighted(losses(batches, ignored), weights, ignored));
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(before[i]);
  }

  Options options_;
  std::uint64_t seed_;
  bool has_regularizer_ = false;
  std::int64_t projections_ = 0;  // -1: exact
  std::int64_t count_ = 0;        // objectives
  std::int64_t step_ = 0;
  std::optional<Scheduler> scheduler_regularizer_, scheduler_loss_;
};

using ContrastiveMultiobjective = Multiobjective<false>;
using SupervisedMultiobjective = Multiobjective<true>;

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::ContrastiveMultiobjective, "multiobjective-solver",
               "One recording, several contrastive objectives on slices of the embedding.")
GREVY_REGISTER(grevy::solvers::SupervisedMultiobjective, "supervised-solver-xcebra",
               "One recording, slices of the embedding trained to predict labels.")

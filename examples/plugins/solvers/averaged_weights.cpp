// Training as usual, with an average of the weights for validation and for new samples (Polyak &
// Juditsky 1992, SIAM J. Control Optim. 30:838): the noise that small batches and a large learning
// rate leave in the last weights is averaged out.
//
// After step t = 1, 2, ... each parameter w and its average a:
//
//   a <- a + (w - a) max(1 / t, 1 - decay)
//
// the mean of all so far until 1 / (1 - decay) steps are done, then an exponential one that forgets
// the start. Buffers of the model are taken over as they are. The average is part of a checkpoint
// as "solver.average.NAME"; "model.NAME" and what `grevy export` writes are the last weights.
#include <grevy/plugin.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace {

class AveragedWeights : public grevy::Solver {
 public:
  struct Options {
    double decay = 0.99;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("decay", &Options::decay, "Share of the average that a step leaves.")
              .at_least(0)
              .at_most(1));
    }
  };
  AveragedWeights(const Options& options, const grevy::Context&) : decay_(options.decay) {}

  grevy::SolverInfo info() const override {
    grevy::SolverInfo wanted;
    wanted.sessions = grevy::SolverInfo::Sessions::several;
    return wanted;
  }

  void attach(std::vector<grevy::ModelRef> models,
              std::vector<grevy::CriterionRef> criterions) override {
    Solver::attach(std::move(models), std::move(criterions));
    for (std::int64_t session = 0; session < num_sessions(); ++session)
      for (const grevy::NamedTensor& t : model(session).tensors()) {
        const std::string name = "average." + std::to_string(session) + "." + t.name;
        weights_.push_back({t.tensor, buffer(name, t.tensor.detach().clone()), t.trained});
      }
  }

  grevy::Statistics step(const std::vector<grevy::Batch>& batches,
                         const grevy::OptimizerRef& optimizer) override {
    grevy::Statistics statistics = Solver::step(batches, optimizer);
    ++steps_;
    const double share = std::max(1 / static_cast<double>(steps_), 1 - decay_);
    const at::NoGradGuard no_grad;
    for (Weight& w : weights_)
      if (w.trained)
        w.average.lerp_(w.last, share);
      else
        w.average.copy_(w.last);
    return statistics;
  }

  grevy::Validation validate(const grevy::LoaderRef& loader) override {
    const Averaged averaged(weights_);
    return Solver::validate(loader);
  }

  at::Tensor transform(std::int64_t session, const at::Tensor& samples) override {
    const Averaged averaged(weights_);
    return Solver::transform(session, samples);
  }

  std::string save_state() const override { return nlohmann::json{{"steps", steps_}}.dump(); }
  void load_state(std::string_view state) override {
    steps_ = nlohmann::json::parse(state).at("steps").get<std::int64_t>();
  }

 private:
  struct Weight {
    at::Tensor last, average;
    bool trained;
  };

  // For its lifetime the models have the average as weights.
  class Averaged {
   public:
    explicit Averaged(std::vector<Weight>& weights) : weights_(weights) {
      for (const Weight& w : weights_) last_.push_back(w.last.detach().clone());
      const at::NoGradGuard no_grad;
      for (Weight& w : weights_) w.last.copy_(w.average);
    }
    ~Averaged() {
      const at::NoGradGuard no_grad;
      for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i].last.copy_(last_[i]);
    }
    Averaged(const Averaged&) = delete;
    Averaged& operator=(const Averaged&) = delete;

   private:
    std::vector<Weight>& weights_;
    std::vector<at::Tensor> last_;
  };

  double decay_;
  std::vector<Weight> weights_;
  std::int64_t steps_ = 0;  // done so far
};

}  // namespace

GREVY_REGISTER(AveragedWeights, "averaged-weights",
               "Several recordings; an average of the weights embeds new samples.")
GREVY_PLUGIN("example.solvers", "1.0.0")

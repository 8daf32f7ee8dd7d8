// Two objectives: the first features follow behaviour, all of them (or the others) time. One
// recording, or several.
#include <grevy/plugin.hpp>

namespace grevy::solvers {
namespace {

struct Slice {
  std::int64_t begin = 0, end = 0;
};

template <SolverInfo::Sessions sessions>
class Hybrid : public Solver {
 public:
  struct Options {
    std::int64_t num_behavior_features = 3;
    bool renormalize_features = false;
    std::string_view output_mode = "overlapping";
    static constexpr auto fields() {
      return grevy::fields(
          field("num_behavior_features", &Options::num_behavior_features,
                "Features, from the first on, that follow behaviour.")
              .at_least(1),
          field("renormalize_features", &Options::renormalize_features,
                "Scale each slice to length 1."),
          field("output_mode", &Options::output_mode,
                "Time uses all features (overlapping) or those that behaviour does not (separate).")
              .one_of("overlapping", "separate"));
    }
  };
  Hybrid(const Options& options, const Context&) : options_(options) {}

  SolverInfo info() const override {
    SolverInfo wanted;
    wanted.sessions = sessions;
    wanted.num_positives = 2;
    return wanted;
  }
  bool takes_samples() const override { return true; }

  void attach(std::vector<ModelRef> models, std::vector<CriterionRef> criterions) override {
    Solver::attach(std::move(models), std::move(criterions));
    const std::int64_t total = model().info().num_output, behavior = options_.num_behavior_features;
    const bool separate = options_.output_mode == "separate";
    behavior_ = {0, behavior};
    time_ = {separate ? behavior : 0, total};
    const auto refuse = [&](const std::string& allowed) {
      throw Error(ErrorCode::invalid_value, "num_behavior_features is " + std::to_string(behavior) +
                                                " of " + std::to_string(total) +
                                                " features; must be " + allowed);
    };
    if (behavior > total) refuse("at most the number of features");
    if (separate && behavior >= total) refuse("less than the number of features in separate mode");
    if (options_.renormalize_features && (behavior < 2 || total - behavior < 2))
      refuse("at least 2, and leave at least 2, when features are renormalised");
  }

  // Behaviour first, then time; the positives come in that order. The encoder sees four sets of
  // windows.
  std::vector<Prediction> infer(const std::vector<Batch>& batches) override {
    const Embedded e = embed(batches);
    return {
        {cut(e.reference, behavior_), cut(e.positives[0], behavior_), cut(e.negative, behavior_)},
        {cut(e.reference, time_), cut(e.positives[1], time_), cut(e.negative, time_)}};
  }

  std::vector<std::string> part_names() const override {
    return {"behavior_pos", "behavior_neg", "behavior_total", "time_pos", "time_neg", "time_total"};
  }

  Evaluation evaluate(const std::vector<Batch>& batches) override {
    Evaluation sum;
    for (const Prediction& prediction : infer(batches)) {
      const Evaluation one = criterion().evaluate({prediction}, criterion_info().parts.size());
      sum.loss = sum.loss.defined() ? sum.loss + one.loss : one.loss;
      for (const std::size_t part : {0, 1}) sum.parts.push_back(one.parts.at(part));
      sum.parts.push_back(one.loss.detach());
    }
    return sum;
  }

 private:
  at::Tensor cut(const at::Tensor& embedding, const Slice& slice) const {
    const at::Tensor part = embedding.slice(1, slice.begin, slice.end);
    return options_.renormalize_features ? part / part.norm(2, 1, true) : part;
  }

  Options options_;
  Slice behavior_, time_;
};

using SingleSessionHybrid = Hybrid<SolverInfo::Sessions::one>;
using MultiSessionHybrid = Hybrid<SolverInfo::Sessions::several>;

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::SingleSessionHybrid, "single-session-hybrid",
               "One recording; some features follow behaviour, all or the rest time.")
GREVY_REGISTER(grevy::solvers::MultiSessionHybrid, "multi-session-hybrid",
               "Several recordings; some features follow behaviour, all or the rest time.")

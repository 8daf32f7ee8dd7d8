// Spoils some of its losses, in the way that it is asked for.
#include <grevy/plugin.hpp>

#include <cmath>

namespace {

class Spoils : public grevy::ContrastiveCriterion {
 public:
  struct Options {
    std::string_view how = "loss";
    std::int64_t first = 2, count = 2;
    bool by_batch = false;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("how", &Options::how, "What is not finite.")
              .one_of("loss", "gradient", "square", "statistic"),
          grevy::field("first", &Options::first, "Number of the first call that is spoilt."),
          grevy::field("count", &Options::count, "How many calls are."),
          grevy::field("by_batch", &Options::by_batch,
                       "About every third batch, told by its numbers, in place of these calls."));
    }
  };
  Spoils(const Options& options, const grevy::Context&)
      : options_(options), seen_(buffer("seen", at::zeros({1}))) {}

  Loss compute(const grevy::Prediction& p) override {
    seen_.add_(1);
    const at::Tensor pos = -(p.reference * p.positive).sum(1).mean();
    const at::Tensor neg = at::mm(p.reference, p.negative.t()).logsumexp(1).mean();
    is_spoilt_ = is_due(p);
    at::Tensor total = pos + neg;
    if (is_spoilt_ && options_.how == "loss") total = total * std::nan("");
    // Both add 0; the first has the gradient 0 / 0, the second one whose square is too large.
    if (is_spoilt_ && options_.how == "gradient") total = total + (p.reference * 0).sqrt().sum();
    if (is_spoilt_ && options_.how == "square")
      total = total + ((p.reference - p.reference.detach()) * 1e30).sum();
    return {total, pos, neg};
  }
  grevy::Statistics statistics() override {
    const bool bad = is_spoilt_ && options_.how == "statistic";
    return {{"heat", bad ? std::nan("") : 1.0}};
  }

 private:
  bool is_due(const grevy::Prediction& p) {
    if (options_.by_batch)
      return static_cast<std::int64_t>(std::abs(p.reference.sum().item<double>()) * 1000) % 3 == 0;
    const std::int64_t call = calls_++;
    return call >= options_.first && call < options_.first + options_.count;
  }

  const Options options_;
  at::Tensor seen_;
  std::int64_t calls_ = 0;
  bool is_spoilt_ = false;
};

}  // namespace

GREVY_REGISTER(Spoils, "spoils", "For tests.")
GREVY_PLUGIN("zoo.spoils", "1.0.0")

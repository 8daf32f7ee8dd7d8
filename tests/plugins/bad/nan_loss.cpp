// Returns NaN from its call number after_steps + 1 on; validations count as calls.
#include <grevy/plugin.hpp>

namespace {

class NanLoss : public grevy::ContrastiveCriterion {
 public:
  struct Options {
    std::int64_t after_steps = 3;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("after_steps", &Options::after_steps, "How many losses are finite.")
              .at_least(0));
    }
  };
  NanLoss(const Options& options, const grevy::Context&) : finite_(options.after_steps) {}
  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor loss = (p.reference - p.positive).square().mean() +
                            p.negative.square().mean() * (calls_++ < finite_ ? 1 : std::nan(""));
    return {loss, loss, at::zeros({})};
  }

 private:
  const std::int64_t finite_;
  std::int64_t calls_ = 0;
};

}  // namespace

GREVY_REGISTER(NanLoss, "nan-loss", "For tests.")
GREVY_PLUGIN("zoo.nan-loss", "1.0.0")

// Training on noisy windows: overrides inference alone.
//
// Every window of a training step is embedded with Gaussian noise added to it, so that samples that
// differ by noise come to lie together. To second order in the noise's standard deviation sigma it
// is a penalty on the derivatives of the loss in its input, weighted by sigma^2 / 2 (Bishop 1995,
// Neural Computation 7:108): a cheap relative of `regularized-solver`. Validation and new samples
// are without noise.
#include <grevy/plugin.hpp>

#include <vector>

namespace {

class NoisyViews : public grevy::Solver {
 public:
  struct Options {
    double noise = 0.1;
    static constexpr auto fields() {
      return grevy::fields(grevy::field("noise", &Options::noise,
                                        "Its standard deviation, in units of the recording.")
                               .at_least(0));
    }
  };
  NoisyViews(const Options& options, const grevy::Context& context)
      : noise_(options.noise),
        generator_(context.generator()),
        // Belongs to a checkpoint, so that a resumed run goes on with the same noise.
        generator_state_(buffer("generator", generator_.get_state())) {}

  std::vector<grevy::Prediction> infer(const std::vector<grevy::Batch>& batches) override {
    if (!at::GradMode::is_enabled()) return Solver::infer(batches);  // validation
    generator_.set_state(generator_state_);
    std::vector<grevy::Batch> noisy = batches;
    for (grevy::Batch& batch : noisy) {
      batch.reference = with_noise(batch.reference);
      for (at::Tensor& positive : batch.positives) positive = with_noise(positive);
      batch.negative = with_noise(batch.negative);
    }
    generator_state_.copy_(generator_.get_state());
    return Solver::infer(noisy);
  }

 private:
  at::Tensor with_noise(const at::Tensor& windows) {
    const at::Tensor noise = at::empty(windows.sizes(), at::kFloat).normal_(0, noise_, generator_);
    return windows + noise.to(windows.options());
  }

  double noise_;
  at::Generator generator_;
  at::Tensor generator_state_;
};

}  // namespace

GREVY_REGISTER(NoisyViews, "noisy-views", "One recording; noise is added to windows in training.")

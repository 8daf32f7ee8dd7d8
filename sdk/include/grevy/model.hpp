// grevy/model.hpp: base class of encoders.
//
//   class Mean : public grevy::Model {
//    public:
//     struct Options { ... };
//     Mean(const Options& options, const grevy::Context& context);
//     grevy::ModelInfo info() const override;
//     at::Tensor forward(const at::Tensor& windows) override;
//   };
//   GREVY_REGISTER(Mean, "mean-model", "Linear map of the window's mean.")
#ifndef GREVY_MODEL_HPP
#define GREVY_MODEL_HPP

#include <grevy/component.hpp>

namespace grevy {

// Calls come from one thread at a time. Errors: throw grevy::Error.
class Model : public Component {
 public:
  virtual ~Model() = default;

  // Constant for the life of the model. num_input must be Context::num_input.
  virtual ModelInfo info() const = 0;

  // windows: float (n, C, T), T = L in training. Returns (n, D) for T = L, and, if convolutional,
  // (n, D, T - L + 1) for T > L; on the device of the windows. The host has checked C and T. The
  // windows must not be written to; their channels are usually the fastest axis in memory, so ask
  // for strides rather than rely on them.
  virtual at::Tensor forward(const at::Tensor& windows) = 0;

  // For a model with several outputs (info().num_tensors > 1): all of them, the first one that of
  // forward(). Fewer than asked for is an error.
  virtual std::vector<at::Tensor> forward_all(const at::Tensor& windows) {
    return {forward(windows)};
  }

  // Whether forward_samples() is there ("grevy.series/1"), constant for the life of the model: for
  // models that gain when they see which windows overlap.
  virtual bool embeds_samples() const { return false; }
  // Windows by where they lie. series: float32 (T, C), rows side by side, not to be written to;
  // sets: of samples, int64 (n_i), left <= s <= T - right. Returns for each set what forward_all()
  // gives for its windows; the sets may be worked on together.
  virtual std::vector<std::vector<at::Tensor>> forward_samples(
      const at::Tensor& /*series*/, const std::vector<at::Tensor>& /*sets*/) {
    throw Error(ErrorCode::unimplemented, "embeds windows only");
  }

  // Training behaviour (dropout, say) on or off. A model starts in training. One that overrides
  // this calls it too, and passes it on to models it holds.
  virtual void set_training(bool training) { training_ = training; }
  bool is_training() const { return training_; }  // what was last set

 private:
  bool training_ = true;
};

}  // namespace grevy

#endif

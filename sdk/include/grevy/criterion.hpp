// grevy/criterion.hpp: base classes of losses.
//
//   class MyLoss : public grevy::ContrastiveCriterion {
//    public:
//     using Options = grevy::NoOptions;
//     MyLoss(const Options&, const grevy::Context&) {}
//     Loss compute(const grevy::Prediction& p) override { ... return {total, pos, neg}; }
//   };
//   GREVY_REGISTER(MyLoss, "my-loss", "What it is.")
#ifndef GREVY_CRITERION_HPP
#define GREVY_CRITERION_HPP

#include <grevy/component.hpp>

#include <sstream>

namespace grevy {

// A loss over any number of predictions. Calls come from one thread at a time. Errors: throw
// grevy::Error.
class Criterion : public Component {
 public:
  virtual ~Criterion() = default;

  // Names of the parts, constant for the life of the criterion.
  virtual CriterionInfo info() const = 0;

  // loss: a scalar with its graph; parts: scalars, as many as info().parts, detached unless
  // info().parts_are_losses. Predictions that are kept hold the whole graph of their step.
  virtual Evaluation evaluate(const std::vector<Prediction>& predictions) = 0;

  // Numbers for the log that are no part of the loss ("temperature"), finite. Asked for after each
  // step, when the parameters have changed.
  virtual Statistics statistics() { return {}; }
};

// A loss of one (reference, positive, negative): shapes are checked before compute() sees them.
class ContrastiveCriterion : public Criterion {
 public:
  // What compute() returns: three scalars.
  struct Loss {
    // total is differentiated; pos and neg are logged (alignment and uniformity, adding up to
    // total).
    at::Tensor total, pos, neg;
  };

  // reference (n, d), positive (n, d), negative (m, d): same d, dtype and device; n, m, d >= 1.
  virtual Loss compute(const Prediction& prediction) = 0;

  // Whether the loss is meant for embeddings of length 1; a run warns when the model's are not.
  virtual bool expects_normalized() const { return false; }

  // The parts "pos" and "neg".
  CriterionInfo info() const final { return {{"pos", "neg"}, expects_normalized(), false}; }

  // compute() of one prediction. Errors: invalid_value (another number of predictions, shapes),
  // invalid_type (dtypes or devices that differ).
  Evaluation evaluate(const std::vector<Prediction>& predictions) final {
    if (predictions.size() != 1)
      throw Error(ErrorCode::invalid_value,
                  "takes 1 prediction; found " + std::to_string(predictions.size()));
    check(predictions.front());
    const Loss loss = compute(predictions.front());
    return {loss.total, {loss.pos.detach(), loss.neg.detach()}};
  }

 private:
  static std::string shape(const at::Tensor& t) {
    std::ostringstream text;
    if (t.defined())
      text << t.sizes();
    else
      text << "nothing";
    return text.str();
  }
  static void check(const Prediction& p) {
    const bool fits = p.reference.defined() && p.positive.defined() && p.negative.defined() &&
                      p.reference.dim() == 2 && p.positive.dim() == 2 && p.negative.dim() == 2 &&
                      p.reference.numel() > 0 && p.negative.numel() > 0 &&
                      p.positive.sizes() == p.reference.sizes() &&
                      p.negative.size(1) == p.reference.size(1);
    if (!fits)
      throw Error(
          ErrorCode::invalid_value,
          "needs reference (n, d), positive (n, d) and negative (m, d) with n, m, d >= 1; found " +
              shape(p.reference) + ", " + shape(p.positive) + ", " + shape(p.negative));
    const auto options = p.reference.options();
    if (p.positive.dtype() != options.dtype() || p.negative.dtype() != options.dtype() ||
        p.positive.device() != options.device() || p.negative.device() != options.device() ||
        !p.reference.is_floating_point())
      throw Error(ErrorCode::invalid_type,
                  "needs three floating-point tensors of one dtype on one device");
  }
};

}  // namespace grevy

#endif

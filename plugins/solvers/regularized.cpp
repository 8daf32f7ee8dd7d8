// A single session whose loss also keeps the encoder's Jacobian small.
#include <grevy/jacobian.hpp>
#include <grevy/plugin.hpp>

namespace grevy::solvers {
namespace {

class Regularized : public Solver {
 public:
  struct Options {
    double lambda_JR = 0;
    static constexpr auto fields() {
      return grevy::fields(field("lambda_JR", &Options::lambda_JR,
                                 "Weight of the Jacobian penalty of the references.")
                               .at_least(0));
    }
  };
  Regularized(const Options& options, const Context&) : lambda_(options.lambda_JR) {}

  // "total" and "loss_reg" are what is minimised, "loss" the part without the penalty "reg".
  std::vector<std::string> part_names() const override {
    return {"pos", "neg", "loss", "loss_reg", "reg", "reg_lambda"};
  }

  // Validation is without gradients, and so without the penalty.
  Evaluation evaluate(const std::vector<Batch>& batches) override {
    if (!at::GradMode::is_enabled()) return Solver::evaluate(batches);
    std::vector<Batch> watched = batches;
    watched.at(0).reference = batches.at(0).reference.detach().requires_grad_(true);
    const std::vector<Prediction> predictions = infer(watched);
    const Evaluation plain = criterion().evaluate(predictions, criterion_info().parts.size());
    const at::Tensor reg = exact_jacobian_penalty(watched[0].reference, predictions[0].reference);
    const at::Tensor total = plain.loss + lambda_ * reg;
    return {total,
            {plain.parts.at(0), plain.parts.at(1), plain.loss.detach(), total.detach(),
             reg.detach(), lambda_ * reg.detach()}};
  }

  void backward(const at::Tensor& loss) override { backward_for(trained(), loss); }

 private:
  double lambda_;
};

}  // namespace
}  // namespace grevy::solvers

GREVY_REGISTER(grevy::solvers::Regularized, "regularized-solver",
               "One recording; the encoder's Jacobian is kept small.")

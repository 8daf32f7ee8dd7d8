// Functions with gradients of their own, derivatives of derivatives, a kernel and the Jacobian.
#include <grevy/jacobian.hpp>
#include <grevy/kernel.hpp>
#include <grevy/plugin.hpp>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// scale * |a - b|^2 of each row, and the differences, which have no gradient.
class Distances : public torch::autograd::Function<Distances> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& a, const at::Tensor& b,
                               double scale) {
    context->save_for_backward({a, at::Tensor(), b});
    context->saved_data["scale"] = scale;
    context->saved_data["sides"] = std::vector<std::int64_t>{2, -2};
    context->saved_data["kind"] = "squared";
    context->saved_data["is_first"] = true;
    const at::Tensor difference = a - b;
    context->mark_non_differentiable({difference});
    return {scale * difference.square().sum(1), difference};
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const double scale = context->saved_data["scale"].toDouble();
    const std::vector<std::int64_t> sides = context->saved_data["sides"].toIntVector();
    const bool is_known = context->saved_data["kind"].toStringRef() == "squared" &&
                          context->saved_data["is_first"].toBool();
    if (!is_known || !context->needs_input_grad(0))
      return {at::Tensor(), at::Tensor(), at::Tensor()};
    const at::Tensor along = scale * (saved[0] - saved[2]) * gradients[0].unsqueeze(1);
    return {along * sides[0], along * sides[1], saved[1]};
  }
};

// exp(-x), whose gradient needs the output.
class Decay : public torch::autograd::Function<Decay> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const c10::optional<at::Tensor>& factor) {
    at::Tensor y = at::exp(-x);
    if (factor) y = y * *factor;
    context->save_for_backward({y});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {-gradients[0] * context->get_saved_variables()[0], at::Tensor()};
  }
};

// The mean decay of distances, and how fast it changes with the references.
class Attraction : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Attraction(const Options&, const grevy::Context&) {}

  Loss compute(const grevy::Prediction& p) override {
    const bool is_recorded = at::GradMode::is_enabled();
    const at::AutoGradMode recording(true);
    const at::Tensor reference =
        p.reference.requires_grad() ? p.reference : p.reference.detach().requires_grad_(true);
    const at::Tensor pos = Distances::apply(reference, p.positive, 0.5)[0].mean();
    const at::Tensor centre = p.negative.mean({0}, true).expand_as(reference);
    const variable_list far = Distances::apply(reference, centre, 0.25);
    if (far[1].requires_grad())
      throw grevy::Error(grevy::ErrorCode::internal, "the differences must have no gradient");
    const at::Tensor near = Decay::apply(far[0], c10::optional<at::Tensor>()).mean();
    const at::Tensor slope = torch::autograd::grad({near}, {reference}, {}, true, true)[0];
    const at::Tensor neg = near + slope.square().sum();
    return is_recorded ? Loss{pos + neg, pos, neg}
                       : Loss{(pos + neg).detach(), pos.detach(), neg.detach()};
  }
};

// log sum_j exp s_ij of each row.
class LogSums : public grevy::Kernel {
 public:
  void forward(const grevy::KernelViews& views) const override {
    if (views.input(0).holds<float>())
      fill<float>(views);
    else
      fill<double>(views);
  }
  void backward(const grevy::KernelViews& views) const override {
    if (!views.input_gradient(0).is_wanted()) return;
    if (views.input(0).holds<float>())
      differentiate<float>(views);
    else
      differentiate<double>(views);
  }

 private:
  template <class Real>
  static void fill(const grevy::KernelViews& views) {
    const std::int64_t columns = views.input(0).size(1);
    const Real* row = views.input(0).read<Real>();
    Real* sums = views.output(0).fill<Real>();
    for (std::int64_t i = 0; i < views.output(0).count(); ++i, row += columns) {
      const Real largest = *std::max_element(row, row + columns);
      Real sum = 0;
      for (std::int64_t j = 0; j < columns; ++j) sum += std::exp(row[j] - largest);
      sums[i] = largest + std::log(sum);
    }
  }
  template <class Real>
  static void differentiate(const grevy::KernelViews& views) {
    const std::int64_t columns = views.input(0).size(1);
    const Real *s = views.input(0).read<Real>(), *sums = views.output(0).read<Real>();
    const Real* given = views.output_gradient(0).read<Real>();
    Real* to = views.input_gradient(0).fill<Real>();
    for (std::int64_t i = 0; i < views.input(0).count(); ++i)
      to[i] = given[i / columns] * std::exp(s[i] - sums[i / columns]);
  }
};

// InfoNCE on dot products with the kernel.
class KernelInfoNCE : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  KernelInfoNCE(const Options&, const grevy::Context& context) : kernels_(context) {}

  bool expects_normalized() const override { return true; }

  Loss compute(const grevy::Prediction& p) override {
    const at::Tensor pos = -(p.reference * p.positive).sum(1).mean();
    const at::Tensor similarity = at::matmul(p.reference, p.negative.t());
    const at::Tensor neg = kernels_
                               .run("log-sums", std::make_unique<LogSums>(), {similarity},
                                    {{similarity.scalar_type(), {similarity.size(0)}}})[0]
                               .mean();
    return {pos + neg, pos, neg};
  }

 private:
  grevy::Kernels kernels_;
};

// One session with both estimates of the Jacobian's norm.
class Smooth : public grevy::Solver {
 public:
  using Options = grevy::NoOptions;
  Smooth(const Options&, const grevy::Context& context) : context_(context) {}

  grevy::Evaluation evaluate(const std::vector<grevy::Batch>& batches) override {
    grevy::Evaluation evaluation = Solver::evaluate(batches);
    if (!at::GradMode::is_enabled()) return evaluation;
    const at::Tensor windows = batches.front().reference.detach().clone().requires_grad_(true);
    const at::Tensor embedding = model().forward(windows);
    const at::Tensor directions =
        grevy::random_directions(2, embedding.sizes(), context_.generator());
    evaluation.loss = evaluation.loss + grevy::exact_jacobian_penalty(windows, embedding) +
                      grevy::projected_jacobian_penalty(windows, embedding, directions);
    return evaluation;
  }
  void backward(const at::Tensor& loss) override { grevy::backward_for(trained(), loss); }

 private:
  grevy::Context context_;
};

}  // namespace

GREVY_REGISTER(Attraction, FRONT "-attraction", "Distances, by functions with their own gradients.")
GREVY_REGISTER(KernelInfoNCE, FRONT "-kernel-infonce", "InfoNCE on dot products, with a kernel.")
GREVY_REGISTER(Smooth, FRONT "-smooth", "One session, with the Jacobian's norm.")

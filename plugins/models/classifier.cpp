// Encoders with a linear classifier on top. Two outputs: the features after ReLU, and the classes'
// scores computed from them.
#include "encoder.hpp"

namespace grevy::models {
namespace {

struct ClassifierOptions {
  std::int64_t num_units = 32;
  std::int64_t num_output = 8;
  bool normalize = false;
  std::int64_t num_classes = 2;

  static constexpr auto fields() {
    return std::tuple_cat(
        encoder_fields<ClassifierOptions>(2),
        grevy::fields(field("num_classes", &ClassifierOptions::num_classes, "Scores to give.")
                          .at_least(1)
                          .at_most(1 << 20)));
  }
};

class Classifier : public Encoder {
 public:
  using Options = ClassifierOptions;

  ModelInfo info() const override {
    ModelInfo info = Encoder::info();
    info.num_tensors = 2;
    return info;
  }

  at::Tensor forward(const at::Tensor& windows) override {
    return at::relu(Encoder::forward(windows));
  }

  std::vector<at::Tensor> forward_all(const at::Tensor& windows) override {
    return classified(forward(windows));
  }

  std::vector<std::vector<at::Tensor>> forward_samples(
      const at::Tensor& series, const std::vector<at::Tensor>& sets) override {
    auto embedded = Encoder::forward_samples(series, sets);
    for (std::vector<at::Tensor>& set : embedded) set = classified(at::relu(set.front()));
    return embedded;
  }

 protected:
  Classifier(const Options& options, const Context& context, Offset offset)
      : Encoder({offset}, options.num_output, options.normalize, context) {}

  void add_classifier(const Options& options) {
    classifier_ = layer("classifier", {options.num_classes, options.num_output});
  }

 private:
  std::vector<at::Tensor> classified(const at::Tensor& features) const {
    return {features, at::linear(features, classifier_.weight, classifier_.bias)};
  }

  Affine classifier_;
};

class Supervised1 : public Classifier {
 public:
  Supervised1(const Options& o, const Context& context) : Classifier(o, context, {0, 1}) {
    flatten();
    for (const std::int64_t width : {o.num_units, o.num_units, o.num_units / 2}) {
      linear(width);
      gelu();
    }
    linear(o.num_output);
    add_classifier(o);
  }
};

class Supervised10 : public Classifier {
 public:
  Supervised10(const Options& o, const Context& context) : Classifier(o, context, {5, 5}) {
    conv(o.num_units, 2);
    gelu();
    for (int i = 0; i < 3; ++i) residual_conv();
    conv(o.num_output, 3);
    add_classifier(o);
  }
};

}  // namespace
}  // namespace grevy::models

GREVY_REGISTER(grevy::models::Supervised1, "supervised1-model",
               "Perceptron on single samples with a classifier.")
GREVY_REGISTER(grevy::models::Supervised10, "supervised10-model",
               "Convolutional encoder over 10 samples with a classifier.")

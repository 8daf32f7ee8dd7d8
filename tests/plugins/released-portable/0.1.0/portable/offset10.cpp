// The encoder of offset10-model, with the names and the first values of its parameters.
#include <grevy/plugin.hpp>

#include <vector>

namespace {

class Offset10 : public grevy::Model {
 public:
  struct Options {
    std::int64_t num_units = 32;
    std::int64_t num_output = 8;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("num_units", &Options::num_units, "Width of the hidden layers.").at_least(1),
          grevy::field("num_output", &Options::num_output, "Width of the embedding.").at_least(1));
    }
  };

  Offset10(const Options& options, const grevy::Context& context)
      : num_input_(context.num_input), num_output_(options.num_output) {
    const at::Generator generator = context.generator();
    const auto layer = [&](const std::string& name, at::IntArrayRef shape) {
      const grevy::Affine a = grevy::Affine::initial(shape, generator);
      layers_.push_back({parameter(name + ".weight", a.weight.to(context.device)),
                         parameter(name + ".bias", a.bias.to(context.device))});
    };
    const std::int64_t units = options.num_units;
    layer("net.0", {units, num_input_, 2});
    for (int i = 2; i < 5; ++i) layer("net." + std::to_string(i) + ".module.0", {units, units, 3});
    layer("net.5", {num_output_, units, 3});
  }

  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = num_input_;
    info.num_output = num_output_;
    info.offset = {5, 5};
    info.convolutional = true;
    info.normalized = true;
    return info;
  }

  at::Tensor forward(const at::Tensor& windows) override {
    at::Tensor x = at::gelu(apply(0, windows));
    for (std::size_t i = 1; i < 4; ++i) x = x.slice(2, 1, -1) + at::gelu(apply(i, x));
    x = apply(4, x);
    x = x / x.norm(2, 1, true);
    return x.size(2) == 1 ? x.squeeze(2) : x;
  }

 private:
  at::Tensor apply(std::size_t i, const at::Tensor& x) const {
    return at::conv1d(x, layers_[i].weight, layers_[i].bias);
  }

  std::int64_t num_input_, num_output_;
  std::vector<grevy::Affine> layers_;
};

}  // namespace

GREVY_REGISTER(Offset10, FRONT "-offset10", "Convolutional encoder over 10 samples, normalised.")

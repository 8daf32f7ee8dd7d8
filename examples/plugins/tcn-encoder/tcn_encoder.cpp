// A temporal convolutional network: residual blocks of dilated causal convolutions (Bai, Kolter &
// Koltun 2018, arXiv:1803.01271, section 3), then a linear map to the embedding.
//
// Block i = 0 .. levels - 1 has two convolutions of kernel k with dilation 2^i, each followed by
// ReLU and dropout of whole channels, beside the input (through a convolution of kernel 1 where the
// widths differ), and a ReLU at the end. It looks back 2 (k - 1) 2^i samples, all blocks together
//
//   L = 1 + 2 (k - 1) (2^levels - 1)
//
// samples, the sample itself being the last of them: the embedding depends on the past alone, as a
// closed-loop experiment needs it. Nothing is padded, so that a long stretch gives what its windows
// give. Unlike in the paper, weights are not normalised.
#include <grevy/plugin.hpp>

#include <string>
#include <vector>

namespace {

class TcnEncoder : public grevy::Model {
 public:
  struct Options {
    std::int64_t num_units = 32;
    std::int64_t num_output = 8;
    std::int64_t levels = 3;
    std::int64_t kernel_size = 2;
    double dropout = 0.1;
    bool normalize = true;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("num_units", &Options::num_units, "Width of the hidden layers.")
              .at_least(1)
              .at_most(4096),
          grevy::field("num_output", &Options::num_output, "Width of the embedding.")
              .at_least(1)
              .at_most(4096),
          grevy::field("levels", &Options::levels, "Blocks; each looks back twice as far.")
              .at_least(1)
              .at_most(10),
          grevy::field("kernel_size", &Options::kernel_size, "Samples in a convolution.")
              .at_least(2)
              .at_most(16),
          grevy::field("dropout", &Options::dropout, "Share of the channels dropped in training.")
              .at_least(0)
              .at_most(0.9),
          grevy::field("normalize", &Options::normalize, "Scale every embedding to length 1."));
    }
  };

  TcnEncoder(const Options& options, const grevy::Context& context)
      : dropout_(options.dropout), generator_(context.generator()) {
    const std::int64_t field = 1 + 2 * (options.kernel_size - 1) * ((1 << options.levels) - 1);
    info_.num_input = context.num_input;
    info_.num_output = options.num_output;
    info_.offset = {field - 1, 1};
    info_.convolutional = true;
    info_.normalized = options.normalize;
    std::int64_t width = context.num_input;
    for (std::int64_t level = 0; level < options.levels; ++level) {
      const std::string name = "blocks." + std::to_string(level) + ".";
      const std::int64_t units = options.num_units, kernel = options.kernel_size;
      Block block;
      block.dilation = std::int64_t{1} << level;
      block.first = layer(name + "first", {units, width, kernel}, context);
      block.second = layer(name + "second", {units, units, kernel}, context);
      if (width != units) block.beside = layer(name + "beside", {units, width, 1}, context);
      blocks_.push_back(block);
      width = units;
    }
    last_ = layer("last", {options.num_output, width, 1}, context);
    // What dropout draws next belongs to a checkpoint, so that a resumed run goes on with it.
    generator_state_ = buffer("generator", generator_.get_state());
  }

  grevy::ModelInfo info() const override { return info_; }

  at::Tensor forward(const at::Tensor& windows) override {
    at::Tensor x = windows;
    for (const Block& block : blocks_) x = apply(block, x);
    x = at::conv1d(x, last_.weight, last_.bias);
    if (info_.normalized) x = x / x.norm(2, 1, true);
    return windows.size(2) == info_.offset.length() ? x.squeeze(2) : x;
  }

 private:
  struct Block {
    grevy::Affine first, second;
    grevy::Affine beside;  // undefined where the widths are the same
    std::int64_t dilation = 1;
  };

  grevy::Affine layer(const std::string& name, at::IntArrayRef shape,
                      const grevy::Context& context) {
    const grevy::Affine initial = grevy::Affine::initial(shape, generator_);
    return {parameter(name + ".weight", initial.weight.to(context.device)),
            parameter(name + ".bias", initial.bias.to(context.device))};
  }

  at::Tensor apply(const Block& block, const at::Tensor& x) {
    const at::Tensor h =
        convolve(block.second, convolve(block.first, x, block.dilation), block.dilation);
    at::Tensor kept = x.slice(2, x.size(2) - h.size(2));  // the newest: a sample beside its own
    if (block.beside.weight.defined())
      kept = at::conv1d(kept, block.beside.weight, block.beside.bias);
    return at::relu(h + kept);
  }

  at::Tensor convolve(const grevy::Affine& layer, const at::Tensor& x, std::int64_t dilation) {
    const std::int64_t stride = 1, padding = 0;
    const at::Tensor h = at::conv1d(x, layer.weight, layer.bias, stride, padding, dilation);
    return drop(at::relu(h));
  }

  // The mask is drawn on the CPU, so that a seed means the same everywhere.
  at::Tensor drop(const at::Tensor& x) {
    if (!is_training() || dropout_ == 0) return x;
    generator_.set_state(generator_state_);
    const at::Tensor mask = at::empty({x.size(0), x.size(1), 1}, at::kFloat)
                                .bernoulli_(1 - dropout_, generator_)
                                .div_(1 - dropout_);
    generator_state_.copy_(generator_.get_state());
    return x * mask.to(x.options());
  }

  grevy::ModelInfo info_;
  double dropout_;
  at::Generator generator_;
  at::Tensor generator_state_;
  std::vector<Block> blocks_;
  grevy::Affine last_;
};

}  // namespace

GREVY_REGISTER(TcnEncoder, "tcn-encoder",
               "Temporal convolutional network: dilated, causal, residual.")
GREVY_PLUGIN("example.tcn-encoder", "1.0.0")

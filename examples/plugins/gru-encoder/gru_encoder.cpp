// A recurrent encoder: gated recurrent units (Cho et al. 2014, arXiv:1406.1078, eq. 5 to 8) go
// through the window, and a linear map of their last state is the embedding.
//
// With the input x_t and the state h_t, h = 0 before the window:
//
//   r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + c_r)
//   z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + c_z)
//   n_t = tanh(W_n x_t + b_n + r_t (U_n h_{t-1} + c_n))
//   h_t = (1 - z_t) n_t + z_t h_{t-1}
//
// This is LibTorch's form: the paper has r_t inside the product, U_n (r_t h_{t-1}). The sample that
// is embedded is the window's last, so that the embedding depends on the past alone. Every window
// starts from h = 0, which is why a long stretch is not embedded at once: the model is not
// convolutional, and is given windows always.
#include <grevy/plugin.hpp>

#include <cmath>
#include <tuple>
#include <vector>

namespace {

class GruEncoder : public grevy::Model {
 public:
  struct Options {
    std::int64_t num_units = 32;
    std::int64_t num_output = 8;
    std::int64_t num_samples = 10;
    bool normalize = true;
    static constexpr auto fields() {
      return grevy::fields(
          grevy::field("num_units", &Options::num_units, "Recurrent units.")
              .at_least(1)
              .at_most(4096),
          grevy::field("num_output", &Options::num_output, "Width of the embedding.")
              .at_least(1)
              .at_most(4096),
          grevy::field("num_samples", &Options::num_samples,
                       "Samples in a window, the one that is embedded being the last.")
              .at_least(1)
              .at_most(1000),
          grevy::field("normalize", &Options::normalize, "Scale every embedding to length 1."));
    }
  };

  GruEncoder(const Options& options, const grevy::Context& context) {
    const std::int64_t units = options.num_units;
    info_.num_input = context.num_input;
    info_.num_output = options.num_output;
    info_.offset = {options.num_samples - 1, 1};
    info_.normalized = options.normalize;
    const at::Generator generator = context.generator();
    // Uniform on +-1 / sqrt(units), as torch.nn.GRU starts; rows for r, z and n one below the
    // other.
    const double bound = 1 / std::sqrt(static_cast<double>(units));
    const auto weights = [&](const char* name, at::IntArrayRef shape) {
      const at::Tensor drawn = at::empty(shape, at::kFloat).uniform_(-bound, bound, generator);
      return parameter(name, drawn.to(context.device));
    };
    gates_ = {weights("gru.weight_ih_l0", {3 * units, context.num_input}),
              weights("gru.weight_hh_l0", {3 * units, units}),
              weights("gru.bias_ih_l0", {3 * units}), weights("gru.bias_hh_l0", {3 * units})};
    const grevy::Affine last = grevy::Affine::initial({options.num_output, units}, generator);
    last_ = {parameter("last.weight", last.weight.to(context.device)),
             parameter("last.bias", last.bias.to(context.device))};
  }

  grevy::ModelInfo info() const override { return info_; }

  at::Tensor forward(const at::Tensor& windows) override {
    const at::Tensor start = at::zeros({1, windows.size(0), gates_[1].size(1)}, windows.options());
    const at::Tensor states = std::get<1>(
        at::gru(windows.permute({2, 0, 1}), start, gates_, /*has_biases=*/true, /*num_layers=*/1,
                /*dropout=*/0, is_training(), /*bidirectional=*/false, /*batch_first=*/false));
    const at::Tensor x = at::linear(states[0], last_.weight, last_.bias);
    return info_.normalized ? x / x.norm(2, 1, true) : x;
  }

 private:
  grevy::ModelInfo info_;
  std::vector<at::Tensor> gates_;
  grevy::Affine last_;
};

}  // namespace

GREVY_REGISTER(GruEncoder, "gru-encoder", "Gated recurrent units over a window.")
GREVY_PLUGIN("example.gru-encoder", "1.0.0")

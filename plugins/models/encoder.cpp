#include "encoder.hpp"

#include "conv_stream.hpp"

#include <algorithm>

namespace grevy::models {
namespace {

ModelInfo describe(const Shape& shape, std::int64_t num_output, bool normalize,
                   const Context& context) {
  ModelInfo info;
  info.num_input = context.num_input;
  info.num_output = num_output;
  info.offset = shape.offset;
  info.convolutional = shape.convolutional;
  info.normalized = normalize;
  info.resample_factor = shape.resample_factor;
  return info;
}

// Channels in axis 1; more columns are zero, fewer are cut from the right.
at::Tensor pad_or_crop(const at::Tensor& x, std::int64_t width) {
  if (width <= x.size(1)) return x.slice(1, 0, width);
  return at::constant_pad_nd(x, {0, width - x.size(1)});
}

// What a grevy_stream of these encoders is.
struct Stream {
  ConvStream convolutions;
  std::size_t num_output;

  bool push(const float* sample, float* embedding) {
    const float* row = convolutions.push(sample);
    if (row == nullptr) return false;
    std::copy_n(row, num_output, embedding);
    return true;
  }
};
Stream& stream_of(grevy_stream* stream) { return *reinterpret_cast<Stream*>(stream); }

}  // namespace

Encoder::Encoder(const Shape& shape, std::int64_t num_output, bool normalize,
                 const Context& context)
    : info_(describe(shape, num_output, normalize, context)),
      device_(context.device),
      initial_(context.generator()),
      seed_(context.seed),
      width_(context.num_input),
      stream_table_(stream_table(this)) {
  if (info_.num_input < 1) throw Error(ErrorCode::invalid_value, "needs at least 1 input channel");
}

// A zero vector has no direction: normalising it gives NaN, as in the reference.
at::Tensor Encoder::forward(const at::Tensor& windows) {
  at::Tensor x = windows;
  if (!convolutions_.empty()) x = convolutions_(x, info_.normalized && steps_.empty());
  for (const Step& step : steps_) x = step(x);
  const bool is_done = !convolutions_.empty() && steps_.empty();
  if (info_.normalized && !is_done) x = x / x.norm(2, 1, true);
  return x.dim() > 2 && x.size(2) == 1 ? x.squeeze(2) : x;
}

bool Encoder::embeds_samples() const {
  return steps_.empty() && convolutions_.fits() &&
         convolutions_.reach() + 1 == info_.offset.length();
}

std::vector<std::vector<at::Tensor>> Encoder::forward_samples(const at::Tensor& series,
                                                              const std::vector<at::Tensor>& sets) {
  std::vector<at::Tensor> starts;
  for (const at::Tensor& samples : sets) starts.push_back(samples - info_.offset.left);
  std::vector<std::vector<at::Tensor>> embedded;
  for (at::Tensor& set : convolutions_(series, starts, info_.normalized))
    embedded.push_back({std::move(set)});
  return embedded;
}

const void* Encoder::extension(std::string_view id) const noexcept {
  return id == GREVY_STREAM_EXTENSION && steps_.empty() && !convolutions_.empty() ? &stream_table_
                                                                                  : nullptr;
}

grevy_stream_table Encoder::stream_table(Encoder* encoder) {
  grevy_stream_table table{};
  table.struct_size = sizeof(table);
  table.context = encoder;
  table.open = [](void* context, grevy_stream** stream, const grevy_error_sink* errors) {
    return detail::guarded(errors, {"", "", "open a stream"}, [&] {
      const auto& self = *static_cast<const Encoder*>(context);
      const auto stack = self.convolutions_.snapshot(self.info_.normalized);
      if (stack == nullptr)
        throw Error(ErrorCode::unimplemented, "streams need float32 parameters on the CPU");
      *stream = reinterpret_cast<grevy_stream*>(
          new Stream{ConvStream(stack), static_cast<std::size_t>(self.info_.num_output)});
    });
  };
  table.close = [](grevy_stream* stream) { delete &stream_of(stream); };
  table.reset = [](grevy_stream* stream) { stream_of(stream).convolutions.reset(); };
  table.push = [](grevy_stream* stream, const float* sample, float* embedding) -> std::uint32_t {
    return stream_of(stream).push(sample, embedding) ? 1 : 0;
  };
  return table;
}

Affine Encoder::layer(const std::string& name, at::IntArrayRef shape) {
  const Affine initial = Affine::initial(shape, initial_);
  return {parameter(name + ".weight", initial.weight.to(device_)),
          parameter(name + ".bias", initial.bias.to(device_))};
}

void Encoder::add(Step step) {
  steps_.push_back(std::move(step));
  ++num_positions_;
}

void Encoder::add(const ConvLayer& layer, const Affine& affine) {
  if (steps_.empty()) {
    convolutions_.add(layer, affine);
    ++num_positions_;
    return;
  }
  Convolutions one;
  one.add(layer, affine);
  add([one](const at::Tensor& x) mutable { return one(x, false); });
}

void Encoder::conv(std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  const Affine a = layer(here(), {out, width_, kernel});
  if (stride == 1)
    add({static_cast<std::size_t>(width_), static_cast<std::size_t>(out),
         static_cast<std::size_t>(kernel), false, false},
        a);
  else
    add([a, stride](const at::Tensor& x) { return at::conv1d(x, a.weight, a.bias, stride); });
  width_ = out;
}

// Convolution beside every stride-th sample of the input, convolution first; kernel at least 2.
void Encoder::mean_and_conv(std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  const Affine a = layer(here() + ".layer", {out, width_, kernel});
  add([a, kernel, stride](const at::Tensor& x) {
    const at::Tensor convolved = at::conv1d(x, a.weight, a.bias, stride);
    const at::Tensor kept = x.slice(2, 0, 1 - kernel, stride);
    return at::cat({convolved, kept}, 1);
  });
  width_ += out;
}

void Encoder::linear(std::int64_t out) {
  const Affine a = layer(here(), {out, width_});
  add([a](const at::Tensor& x) { return at::linear(x, a.weight, a.bias); });
  width_ = out;
}

void Encoder::padded_linear(std::int64_t out) {
  const Affine a = layer(here() + ".module", {out, width_});
  add([a, out](const at::Tensor& x) {
    return pad_or_crop(x, out) + at::linear(x, a.weight, a.bias);
  });
  width_ = out;
}

void Encoder::gelu() {
  if (steps_.empty() && convolutions_.activate())
    ++num_positions_;
  else
    add([](const at::Tensor& x) { return at::gelu(x); });
}

void Encoder::tanh() {
  add([](const at::Tensor& x) { return at::tanh(x); });
}

void Encoder::flatten() {
  add([](const at::Tensor& x) { return x.flatten(1); });
}

void Encoder::dropout(double p) { add(drop_channels(p)); }

// Whole channels of a sample are dropped, the rest scaled up. The mask is drawn on the CPU from the
// seed and the number of draws so far.
Encoder::Step Encoder::drop_channels(double p) {
  if (!draws_.defined()) draws_ = buffer("dropout_draws", at::zeros({}, at::kLong));
  return [this, p](const at::Tensor& x) {
    if (!is_training() || p == 0) return x;
    const auto draw = static_cast<std::uint64_t>(draws_.item<std::int64_t>());
    draws_.add_(1);
    const auto generator =
        at::make_generator<at::CPUGeneratorImpl>(seed_ + 0x9e3779b97f4a7c15u * (draw + 1));
    const at::Tensor mask =
        at::empty({x.size(0), x.size(1), 1}, at::kFloat).bernoulli_(1 - p, generator) / (1 - p);
    return x * mask.to(x.options());
  };
}

void Encoder::residual_conv() {
  const auto width = static_cast<std::size_t>(width_);
  add({width, width, 3, true, true}, layer(here() + ".module.0", {width_, width_, 3}));
}

void Encoder::residual_conv(double p) {
  const Affine a = layer(here() + ".module.1", {width_, width_, 3});
  const Step drop = drop_channels(p);
  add([a, drop](const at::Tensor& x) {
    return x.slice(2, 1, -1) + at::gelu(at::conv1d(drop(x), a.weight, a.bias));
  });
}

void Encoder::residual_linear(bool activated) {
  const Affine a = layer(here() + ".module.0", {width_, width_});
  add([a, activated](const at::Tensor& x) {
    const at::Tensor y = at::linear(x, a.weight, a.bias);
    return x + (activated ? at::gelu(y) : y);
  });
}

void Encoder::repeat(std::size_t layers) {
  const std::vector<Step> last(steps_.end() - static_cast<std::ptrdiff_t>(layers), steps_.end());
  for (const Step& step : last) add(step);
}

}  // namespace grevy::models

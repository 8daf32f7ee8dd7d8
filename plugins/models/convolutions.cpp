#include "convolutions.hpp"

#include "convolution_nodes.hpp"

#include <algorithm>
#include <memory>

namespace grevy::models {
namespace {

bool is_plain(const at::Tensor& t) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
}

bool is_tracked(const at::Tensor& t) { return at::GradMode::is_enabled() && t.requires_grad(); }

std::vector<const float*> pointers(const std::vector<at::Tensor>& tensors) {
  std::vector<const float*> all;
  for (const at::Tensor& t : tensors) all.push_back(t.data_ptr<float>());
  return all;
}

}  // namespace

void Convolutions::add(const ConvLayer& layer, const Affine& affine) {
  layers_.push_back(layer);
  weights_.push_back(affine.weight);
  biases_.push_back(affine.bias);
}

bool Convolutions::activate() {
  if (layers_.empty() || layers_.back().activated) return false;
  return layers_.back().activated = true;
}

bool Convolutions::fits() const {
  return layers_.size() > 1 && !layers_.back().activated &&
         std::all_of(weights_.begin(), weights_.end(), is_plain) &&
         std::all_of(biases_.begin(), biases_.end(), is_plain);
}

// Rows must lie one after the other: (n, T, C) or (T, C).
bool Convolutions::fits(const at::Tensor& rows) const {
  return fits() && rows.size(0) > 0 && is_plain(rows);
}

std::int64_t Convolutions::reach() const {
  std::int64_t reach = 0;
  for (const ConvLayer& layer : layers_) reach += static_cast<std::int64_t>(layer.kernel) - 1;
  return reach;
}

std::shared_ptr<const ConvStack> Convolutions::snapshot(bool normalized) const {
  if (!fits()) return nullptr;
  return std::make_shared<const ConvStack>(layers_, pointers(weights_), pointers(biases_),
                                           normalized);
}

at::Tensor Convolutions::buffer(std::size_t size) {
  const auto wanted = static_cast<std::int64_t>(size);
  constexpr std::size_t most = 8;
  at::Tensor* free = nullptr;
  for (at::Tensor& known : buffers_) {
    if (known.use_count() != 1) continue;
    if (known.numel() >= wanted) return known;
    free = &known;
  }
  if (free != nullptr) {  // batches overlap a little less or more
    free->reset();
    return *free = at::empty({wanted}, at::kFloat);
  }
  if (buffers_.size() == most) buffers_.clear();
  buffers_.push_back(at::empty({wanted}, at::kFloat));
  return buffers_.back();
}

std::vector<at::Tensor> Convolutions::embed(PlacedWindows windows, bool normalized) {
  std::vector<at::Tensor> parameters = weights_;
  parameters.insert(parameters.end(), biases_.begin(), biases_.end());
  const bool twice = is_tracked(windows.memory);
  const bool differentiated =
      twice || std::any_of(parameters.begin(), parameters.end(), is_tracked);
  const auto e = std::make_shared<Embedded>();
  e->windows = std::move(windows);
  e->stack = snapshot(normalized);
  std::vector<at::Tensor> outputs;
  {
    const at::NoGradGuard guard;
    const ConvStack::Input input = e->windows.input();
    e->plan = e->stack->plan(input, twice);
    const auto count = static_cast<std::int64_t>(input.count);
    e->rows = at::empty({count, static_cast<std::int64_t>(layers_.back().out)}, at::kFloat);
    if (differentiated) {
      e->lengths = at::empty({count}, at::kFloat);
      e->values = buffer(e->plan.saved_size);
    }
    for_blocks(
        *e, [&](const ConvStack::Share& share) { e->stack->forward(input, share, e->output()); });
    outputs = e->outputs();
  }
  if (differentiated) connect(outputs, e, layers_, parameters);
  return outputs;
}

// Windows with gradients of their own must not share rows, and are normalised by LibTorch, for the
// sake of second gradients.
at::Tensor Convolutions::operator()(const at::Tensor& windows, bool normalized) {
  const bool tracked = is_tracked(windows);
  if (!fits(windows.transpose(1, 2)) || (tracked && windows.size(2) != reach() + 1))
    return with_libtorch(layers_, windows, weights_, biases_, normalized);
  const at::Tensor x = embed(PlacedWindows::of(windows, reach()), normalized && !tracked).front();
  return normalized && tracked ? x / x.norm(2, 1, true) : x;
}

std::vector<at::Tensor> Convolutions::operator()(const at::Tensor& series,
                                                 const std::vector<at::Tensor>& starts,
                                                 bool normalized) {
  for (const at::Tensor& set : starts) check_starts(set, series.size(0) - reach() - 1);
  if (starts.empty()) return {};
  if (fits(series) && !is_tracked(series))
    return embed(PlacedWindows::of(series, starts), normalized);
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& set : starts)
    outputs.push_back(
        with_libtorch(layers_, cut(series, set, reach() + 1), weights_, biases_, normalized)
            .squeeze(2));
  return outputs;
}

}  // namespace grevy::models

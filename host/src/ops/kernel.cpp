// Plugins that compute in plain memory: views of contiguous buffers, in DLPack's layout.
#include "ops/arguments.hpp"
#include "ops/boundary.hpp"
#include "ops/functions.hpp"
#include "ops/node.hpp"

#include <algorithm>
#include <tuple>

namespace grevy::host {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr std::tuple<at::ScalarType, std::uint8_t, std::uint8_t> types[] = {
    {at::kFloat, 2, 32}, {at::kDouble, 2, 64}, {at::kLong, 0, 64},
    {at::kInt, 0, 32},   {at::kByte, 1, 8},    {at::kBool, 6, 8},
};

grevy_view view_of(const at::Tensor& tensor) {
  grevy_view view{};
  if (!tensor.defined()) return view;
  view.data = tensor.data_ptr();
  view.device_type = tensor.is_cpu() ? GREVY_CPU : GREVY_CUDA;
  view.device_id = tensor.device().has_index() ? tensor.device().index() : 0;
  view.dims = static_cast<std::int32_t>(tensor.dim());
  view.type_lanes = 1;
  for (const auto& [type, code, bits] : types)
    if (type == tensor.scalar_type()) view.type_code = code, view.type_bits = bits;
  // DLPack has no constant pointers; whoever gets a view does not write to these.
  view.shape = const_cast<std::int64_t*>(tensor.sizes().data());
  view.strides = const_cast<std::int64_t*>(tensor.strides().data());
  return view;
}

std::vector<grevy_view> views_of(const Tensors& tensors) {
  std::vector<grevy_view> views;
  for (const at::Tensor& tensor : tensors) views.push_back(view_of(tensor));
  return views;
}

// A grevy_kernel; the context ends with it. Saved tensors are the inputs, the outputs, the kept.
class PluginKernel : public Backward {
 public:
  PluginKernel(Adopted<grevy_kernel> kernel, std::size_t input_count, std::size_t output_count)
      : Backward(Origin::of(*kernel)),
        kernel_(std::move(kernel)),
        input_count_(input_count),
        output_count_(output_count) {
    if (kernel_->forward == nullptr)
      throw Error(ErrorCode::invalid_value, "a kernel needs a forward");
  }

  void forward(const Tensors& inputs, const Tensors& outputs, const Tensors& kept) const {
    call("forward", kernel_->forward, views_of(inputs), views_of(outputs), views_of(kept), {}, {});
  }

  Tensors run(const Tensors& saved, const Tensors& gradients,
              const std::vector<bool>& wanted) override {
    if (kernel_->backward == nullptr) throw Error(ErrorCode::unimplemented, "has no gradient");
    const auto outputs_at = saved.begin() + static_cast<std::ptrdiff_t>(input_count_);
    const auto kept_at = outputs_at + static_cast<std::ptrdiff_t>(output_count_);
    const Tensors inputs(saved.begin(), outputs_at);
    Tensors given, results;
    for (const at::Tensor& gradient : gradients) given.push_back(gradient.contiguous());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      results.push_back(wanted[i] ? at::empty_like(inputs[i]) : at::Tensor());
    call("backward", kernel_->backward, views_of(inputs), views_of({outputs_at, kept_at}),
         views_of({kept_at, saved.end()}), views_of(given), views_of(results));
    return results;
  }

 private:
  using Slot = std::int32_t (*)(void*, const grevy_kernel_views*, const grevy_error_sink*);
  using Views = std::vector<grevy_view>;

  void call(const std::string& operation, Slot slot, const Views& inputs, const Views& outputs,
            const Views& kept, const Views& output_gradients, const Views& input_gradients) const {
    grevy_kernel_views views{};
    views.struct_size = sizeof(views);
    views.inputs = inputs.data();
    views.input_count = inputs.size();
    views.outputs = outputs.data();
    views.output_count = outputs.size();
    views.kept = kept.data();
    views.kept_count = kept.size();
    views.output_gradients = output_gradients.empty() ? nullptr : output_gradients.data();
    views.input_gradients = input_gradients.empty() ? nullptr : input_gradients.data();
    origin().call(operation, [&](auto* errors) { return slot(kernel_->context, &views, errors); });
  }

  Adopted<grevy_kernel> kernel_;
  std::size_t input_count_, output_count_;
};

Tensors plain_inputs(const Tensors& inputs) {
  if (inputs.empty()) throw Error(ErrorCode::invalid_value, "needs an input");
  Tensors plain;
  for (const at::Tensor& input : inputs) {
    if (input.device() != inputs[0].device() || !(input.is_cpu() || input.is_cuda()))
      throw Error(ErrorCode::invalid_value, "inputs must be on one device, CPU or CUDA; found " +
                                                inputs[0].device().str() + " and " +
                                                input.device().str());
    if (number_of(input.scalar_type()) == GREVY_OTHER_TYPE)
      throw Error(ErrorCode::invalid_type,
                  std::string("found an input of type ") + at::toString(input.scalar_type()));
    plain.push_back(input.detach().contiguous());
  }
  return plain;
}

Tensors make_buffers(const grevy_buffer* buffers, std::uint64_t count, const at::Device& device) {
  if (count > max_tensors || (count > 0 && buffers == nullptr))
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(count) + " buffers");
  Tensors made;
  for (std::uint64_t i = 0; i < count; ++i) {
    const at::IntArrayRef sizes = sizes_of(buffers[i].sizes, buffers[i].dims);
    made.push_back(
        at::empty(sizes, at::TensorOptions().dtype(dtype_of(buffers[i].dtype)).device(device)));
  }
  return made;
}

std::int32_t run(const grevy_kernel* kernel, grevy_tensor* const* inputs, std::uint64_t input_count,
                 const grevy_buffer* outputs, std::uint64_t output_count, const grevy_buffer* kept,
                 std::uint64_t kept_count, grevy_tensor** results, const grevy_error_sink* errors) {
  return answer("run", errors, [&] {
    GREVY_NEEDS(grevy_kernel, kernel, destroy);
    auto plugin =
        std::make_unique<PluginKernel>(Adopted<grevy_kernel>(*kernel), input_count, output_count);
    needed_room(results, "the results", output_count);
    const Tensors given = needed(inputs, input_count, "the inputs");
    const Tensors plain = plain_inputs(given);
    const Tensors made = make_buffers(outputs, output_count, given[0].device());
    const Tensors scratch = make_buffers(kept, kept_count, given[0].device());
    plugin->forward(plain, made, scratch);
    Tensors saved = plain;
    saved.insert(saved.end(), made.begin(), made.end());
    saved.insert(saved.end(), scratch.begin(), scratch.end());
    give_all(attach(std::move(plugin), given, saved, made), results);
  });
}

}  // namespace

const grevy_kernels& ops::kernels() {
  static constexpr grevy_kernels table = {sizeof(grevy_kernels), 0, run};
  return table;
}

}  // namespace grevy::host

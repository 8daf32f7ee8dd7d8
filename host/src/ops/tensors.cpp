// Handles seen from outside: what they are, what they hold, and the generators.
#include "ops/arguments.hpp"
#include "ops/boundary.hpp"
#include "ops/functions.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cstring>

namespace grevy::host {
namespace {

std::uint32_t device_type(const at::Device& device) {
  return device.is_cpu() ? GREVY_CPU : device.is_cuda() ? GREVY_CUDA : GREVY_OTHER_DEVICE;
}

std::int32_t inspect(grevy_tensor* handle, grevy_tensor_info* info,
                     const grevy_error_sink* errors) {
  return answer("inspect", errors, [&] {
    GREVY_NEEDS(grevy_tensor_info, info, requires_grad);
    const at::Tensor tensor = needed(handle, "the tensor");
    info->dtype = number_of(tensor.scalar_type());
    info->dims = static_cast<std::uint64_t>(tensor.dim());
    info->sizes = tensor.sizes().data();
    info->strides = tensor.strides().data();
    info->count = tensor.numel();
    info->device_type = device_type(tensor.device());
    info->device_index = tensor.device().has_index() ? tensor.device().index() : 0;
    info->is_contiguous = tensor.is_contiguous();
    info->requires_grad = tensor.requires_grad();
    say_filled(*info);
  });
}

std::int32_t from_data(std::uint32_t dtype, const std::int64_t* sizes, std::uint64_t dims,
                       const void* data, grevy_tensor** tensor, const grevy_error_sink* errors) {
  return answer("from_data", errors, [&] {
    needed_room(tensor, "the tensor");
    const at::Tensor made = at::empty(sizes_of(sizes, dims), dtype_of(dtype));
    needed_room(data, "the data", static_cast<std::uint64_t>(made.numel()));
    if (made.numel() > 0) std::memcpy(made.data_ptr(), data, made.nbytes());
    *tensor = give(made);
  });
}

std::int32_t to_data(grevy_tensor* handle, std::uint32_t dtype, void* data, std::uint64_t count,
                     const grevy_error_sink* errors) {
  return answer("to_data", errors, [&] {
    const at::Tensor tensor = needed(handle, "the tensor");
    if (static_cast<std::uint64_t>(tensor.numel()) != count)
      throw Error(ErrorCode::invalid_value, "found room for " + std::to_string(count) +
                                                "; the tensor has " +
                                                std::to_string(tensor.numel()) + " elements");
    needed_room(data, "the data", count);
    const at::Tensor plain = tensor.detach().to(at::kCPU, dtype_of(dtype)).contiguous();
    if (count > 0) std::memcpy(data, plain.data_ptr(), plain.nbytes());
  });
}

std::int32_t assign(grevy_tensor* target, grevy_tensor* source, const grevy_error_sink* errors) {
  return answer("assign", errors, [&] {
    const at::NoGradGuard unrecorded;
    needed(target, "the target").copy_(needed(source, "the source"));
  });
}

std::int32_t make_generator(std::uint64_t seed, grevy_generator** generator,
                            const grevy_error_sink* errors) {
  return answer("make_generator", errors, [&] {
    needed_room(generator, "the generator");
    *generator = new grevy_generator{at::make_generator<at::CPUGeneratorImpl>(seed)};
  });
}

}  // namespace

void ops::fill_tensors(grevy_ops& table) {
  table.retain = [](grevy_tensor* tensor) { give(borrow(tensor)); };
  table.release = [](grevy_tensor* tensor) { take(tensor); };
  table.inspect = inspect;
  table.from_data = from_data;
  table.to_data = to_data;
  table.assign = assign;
  table.make_generator = make_generator;
  table.release_generator = [](grevy_generator* generator) { delete generator; };
}

}  // namespace grevy::host

// grevy/kernel.hpp: computing in plain memory, as a step of the graph with a gradient of its own
// ("grevy.kernel/1"). The same in every front.
//
//   class Sine : public grevy::Kernel {
//    public:
//     void forward(const grevy::KernelViews& views) const override {
//       const auto x = views.input(0), y = views.output(0);
//       for (std::int64_t i = 0; i < x.count(); ++i)
//         y.fill<float>()[i] = std::sin(x.read<float>()[i]);
//     }
//     void backward(const grevy::KernelViews& views) const override;
//   };
//
// A component makes its Kernels from the Context in its constructor, and later:
//
//   y = kernels_.run("sine", std::make_unique<Sine>(), {x}, {{at::kFloat, x.sizes().vec()}})[0];
#ifndef GREVY_KERNEL_HPP
#define GREVY_KERNEL_HPP

#include <grevy/component.hpp>
#include <grevy/kernel.h>

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace grevy {

// Memory with a shape: row-major, without gaps. Lent for the call.
class KernelView {
 public:
  // Refers to `view`.
  explicit KernelView(const grevy_view& view) : view_(&view) {}

  // Number of axes.
  std::int64_t dim() const { return view_->dims; }
  // Errors: out_of_range.
  std::int64_t size(std::int64_t axis) const {
    if (axis < 0 || axis >= dim())
      throw Error(ErrorCode::out_of_range,
                  "there is no axis " + std::to_string(axis) + " of " + std::to_string(dim()));
    return view_->shape[axis];
  }
  std::int64_t count() const {
    std::int64_t product = 1;
    for (std::int64_t i = 0; i < dim(); ++i) product *= view_->shape[i];
    return product;
  }
  bool is_cpu() const { return view_->device_type == GREVY_CPU; }
  // A gradient that nobody wants has no memory.
  bool is_wanted() const { return view_->data != nullptr; }

  // Whether the elements are of a type: float, double, int64_t, int32_t, uint8_t or bool.
  template <class T>
  bool holds() const {
    constexpr int code = std::is_same_v<T, bool>       ? 6
                         : std::is_floating_point_v<T> ? 2
                         : std::is_unsigned_v<T>       ? 1
                                                       : 0;
    return view_->type_code == code && view_->type_bits == 8 * sizeof(T);
  }
  // The first element, to read or to write. Errors: invalid_type, also for memory of a GPU.
  template <class T>
  const T* read() const {
    return fill<T>();
  }
  template <class T>
  T* fill() const {
    if (!is_cpu()) throw Error(ErrorCode::invalid_type, "works on the CPU alone");
    if (!holds<T>()) throw Error(ErrorCode::invalid_type, "found elements of another type");
    return static_cast<T*>(view_->data);
  }

 private:
  const grevy_view* view_;
};

// What a kernel works on. Errors of all: out_of_range.
class KernelViews {
 public:
  // Refers to `views`.
  explicit KernelViews(const grevy_kernel_views& views) : views_(views) {}

  // To read, in the order of Kernels::run().
  std::size_t input_count() const { return views_.input_count; }
  KernelView input(std::size_t i) const { return at(views_.inputs, i, views_.input_count); }
  // Forward: to fill; backward: to read.
  KernelView output(std::size_t i) const { return at(views_.outputs, i, views_.output_count); }
  KernelView kept(std::size_t i) const { return at(views_.kept, i, views_.kept_count); }
  // Backward: to read, and to fill where they are wanted.
  KernelView output_gradient(std::size_t i) const {
    return at(views_.output_gradients, i, views_.output_count);
  }
  KernelView input_gradient(std::size_t i) const {
    return at(views_.input_gradients, i, views_.input_count);
  }

 private:
  static KernelView at(const grevy_view* views, std::size_t i, std::size_t count) {
    if (views == nullptr || i >= count)
      throw Error(ErrorCode::out_of_range, "there is no view " + std::to_string(i));
    return KernelView(views[i]);
  }
  const grevy_kernel_views& views_;
};

// A function on plain memory. The graph owns it and may outlive the component: what it needs are
// members of its own.
class Kernel {
 public:
  Kernel() = default;
  virtual ~Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // Fills outputs and kept. Buffers hold anything at first. Errors: throw grevy::Error.
  virtual void forward(const KernelViews& views) const = 0;
  // Fills the input_gradients that are wanted; perhaps on another thread. A second derivative is
  // refused with the kernel's name.
  virtual void backward(const KernelViews&) const {
    throw Error(ErrorCode::unimplemented, "has no gradient");
  }
};

// A buffer to be made, on the inputs' device.
struct KernelBuffer {
  at::ScalarType type;              // of its elements, one that grevy_view knows
  std::vector<std::int64_t> sizes;  // one per axis
};

// Runs kernels of a component.
class Kernels {
 public:
  // Errors: incompatible for a host without kernels.
  explicit Kernels(const Context& context)
      : component_(context.name),
        table_(static_cast<const grevy_kernels*>(context.extension(GREVY_KERNEL_EXTENSION))) {
    if (table_ == nullptr)
      throw Error(ErrorCode::incompatible, "needs a host with " GREVY_KERNEL_EXTENSION);
  }

  // Runs kernel->forward() on contiguous inputs and returns the outputs, with the kernel in their
  // history where an input requires gradients. kept: what backward() needs as well. Errors:
  // PluginError with plugin, component and name.
  std::vector<at::Tensor> run(const std::string& name, std::unique_ptr<Kernel> kernel,
                              const std::vector<at::Tensor>& inputs,
                              const std::vector<KernelBuffer>& outputs,
                              const std::vector<KernelBuffer>& kept = {}) const {
    if (kernel == nullptr) throw Error(ErrorCode::invalid_value, name + ": found no kernel");
    grevy_kernel made{};
    made.struct_size = sizeof(made);
    made.name = detail::text_of(name);
    made.plugin = detail::text_of(detail::plugin_id);
    made.component = detail::text_of(component_);
    made.forward = call<&Kernel::forward>;
    made.backward = call<&Kernel::backward>;
    made.destroy = [](void* self) { delete static_cast<Kernel*>(self); };
    std::vector<grevy_tensor*> given, results(outputs.size(), nullptr);
    for (const at::Tensor& input : inputs) given.push_back(lend(input));
    const auto out = described(outputs), scratch = described(kept);
    made.context = kernel.release();  // the host's from the call on
    detail::ErrorCatcher({detail::plugin_id, component_, "run"}).run([&](auto* errors) {
      return table_->run(&made, given.data(), given.size(), out.data(), out.size(), scratch.data(),
                         scratch.size(), results.data(), errors);
    });
    std::vector<at::Tensor> taken;
    for (grevy_tensor* result : results) taken.push_back(take(result));
    return taken;
  }

 private:
  template <void (Kernel::*slot)(const KernelViews&) const>
  static std::int32_t call(void* self, const grevy_kernel_views* views,
                           const grevy_error_sink* errors) {
    const detail::Place nowhere{};  // the host knows whose kernel it is
    return detail::guarded(errors, nowhere,
                           [&] { (static_cast<const Kernel*>(self)->*slot)(KernelViews(*views)); });
  }

  static std::uint32_t number_of(at::ScalarType type) {
    constexpr std::pair<at::ScalarType, std::uint32_t> types[] = {
        {at::kFloat, GREVY_FLOAT32}, {at::kDouble, GREVY_FLOAT64}, {at::kLong, GREVY_INT64},
        {at::kInt, GREVY_INT32},     {at::kByte, GREVY_UINT8},     {at::kBool, GREVY_BOOL}};
    for (const auto& [known, number] : types)
      if (known == type) return number;
    return GREVY_OTHER_TYPE;  // the host says that it does not make these
  }

  static std::vector<grevy_buffer> described(const std::vector<KernelBuffer>& buffers) {
    std::vector<grevy_buffer> result;
    for (const KernelBuffer& buffer : buffers)
      result.push_back({number_of(buffer.type), 0, buffer.sizes.data(), buffer.sizes.size()});
    return result;
  }

  std::string component_;
  const grevy_kernels* table_;
};

}  // namespace grevy

#endif

// grevy/component.hpp: what every component is given, and what every kind shares.
#ifndef GREVY_COMPONENT_HPP
#define GREVY_COMPONENT_HPP

#include <grevy/calls.hpp>
#include <grevy/options.hpp>

#include <torch/types.h>

#include <string>
#include <string_view>

namespace grevy {

namespace detail {

// Defined by GREVY_PLUGIN.
extern const std::string_view plugin_id __attribute__((visibility("hidden")));

}  // namespace detail

// What the host says when it makes a component. Cheap to copy; valid as long as the host, and so as
// the component: keep a copy to log or to make other components later.
class Context {
 public:
  // Copies the texts.
  explicit Context(const grevy_create_args& args)
      : name(detail::view(args.name)),
        device(std::string(detail::view(args.device))),
        seed(args.seed),
        num_input(args.num_input),
        host_(args.host) {}

  std::string name;        // the name asked for; an alias perhaps
  at::Device device;       // where parameters live and windows arrive
  std::uint64_t seed;      // for everything random in the component
  std::int64_t num_input;  // models: channels, >= 1; solvers: the first model's; criterions: 0

  // A CPU generator of the component's own, seeded with `seed`: draw on the CPU and move, so that
  // numbers are the same on every device. Every call gives a new one at its start, so ask once and
  // keep it. It is no part of a checkpoint.
  at::Generator generator() const;

  // Levels of the log.
  enum class Level : std::uint32_t { debug, info, warning, error };
  // One line for the log, under the component's name. From any thread.
  void log(Level level, std::string_view message) const {
    host_->log(host_, static_cast<std::uint32_t>(level), detail::text_of(name),
               detail::text_of(message));
  }

  // A C table of further services of the host by id ("grevy.kernel/1"), alive as long as the host;
  // null where it has none. From any thread.
  const void* extension(std::string_view id) const {
    return host_->extension(host_, detail::text_of(id));
  }

  // Another component, by the host, as an experiment would make it: Ref is ModelRef, CriterionRef
  // or SolverRef; spec is {"name": ..., options ...}. It gets this component's device and
  // num_input, and a seed of its own derived from this one's and `purpose`. The caller owns it; its
  // tensors are stored and trained only when they are handed on with Component::adopt. On the
  // thread that the host calls the component from. Errors: PluginError, as grevy_host::create.
  template <class Ref>
  Owned<Ref> create(Nested spec, std::string_view purpose = "nested") const;

 private:
  const grevy_host* host_;
};

// Base of the kinds' base classes: named tensors, and the version for the manifest.
//
// A component is made, called and destroyed by one thread at a time; others may run in other
// threads at the same time. What it throws reaches the caller as an error with plugin, component
// and operation.
class Component {
 public:
  // A component may hide this with a version of its own.
  static constexpr std::string_view version = "1.0.0";

  // In order of registration. Tensors share storage with the component's.
  const NamedTensors& tensors() const { return tensors_; }

  // A C table of further services of this component by id, alive as long as the component; null
  // where it has none. Called from any thread.
  virtual const void* extension(std::string_view) const noexcept { return nullptr; }

 protected:
  Component() = default;
  ~Component() = default;
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  // Registers a parameter (trained, stored) or a buffer (stored) and returns it. Names are part of
  // every checkpoint: choose them once. Call it in the constructor, a solver also in attach(), with
  // tensors on Context::device (buffers that are used on the CPU stay there): the host collects
  // them once and from then on writes into their storage, so a tensor must not be replaced by
  // another one. Errors: invalid_value for a name that is taken.
  at::Tensor parameter(const std::string& name, at::Tensor initial) {
    return add({name, initial.detach().requires_grad_(true), true});
  }
  at::Tensor buffer(const std::string& name, at::Tensor initial) {
    return add({name, initial.detach(), false});
  }
  // Takes over the tensors of a nested component under a prefix, such as "module.". Errors: as
  // above.
  void adopt(const std::string& prefix, const NamedTensors& tensors) {
    for (const NamedTensor& t : tensors) add({prefix + t.name, t.tensor, t.trained});
  }

 private:
  at::Tensor add(NamedTensor tensor) {
    for (const NamedTensor& other : tensors_)
      if (other.name == tensor.name)
        throw Error(ErrorCode::invalid_value, "two tensors are called \"" + tensor.name + "\"");
    tensors_.push_back(std::move(tensor));
    return tensors_.back().tensor;
  }
  NamedTensors tensors_;
};

template <class Ref>
Owned<Ref> Context::create(Nested spec, std::string_view purpose) const {
  auto options = nlohmann::json::parse(spec.json);
  const std::string target = options.at("name").get<std::string>();
  options.erase("name");
  const std::string text = options.dump();
  const std::string device_text = device.str();
  grevy_create_args args{};
  args.struct_size = sizeof(args);
  args.options = detail::text_of(text);
  args.device = detail::text_of(device_text);
  args.seed = seed;
  for (char c : purpose) args.seed = (args.seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
  args.num_input = num_input;
  grevy_instance instance{};
  detail::ErrorCatcher({"host", target, "create"}).run([&](auto* errors) {
    return host_->create(host_, Ref::kind, detail::text_of(target), &args, &instance, errors);
  });
  return Owned<Ref>(Ref(instance, target, ""));
}

}  // namespace grevy

#include <ATen/CPUGeneratorImpl.h>

inline at::Generator grevy::Context::generator() const {
  return at::make_generator<at::CPUGeneratorImpl>(seed);
}

#endif

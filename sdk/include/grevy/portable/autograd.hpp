// Functions with a gradient of their own and derivatives of derivatives, named as LibTorch names
// them: torch::autograd::Function and torch::autograd::grad.
//
//   class Cube : public torch::autograd::Function<Cube> {
//    public:
//     static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x);
//     static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
//                                                    torch::autograd::variable_list gradients);
//   };
//   const at::Tensor y = Cube::apply(x);
//
// The node of the graph is the host's. backward() is recorded where a second derivative is asked
// for; one that computes with plain numbers (item(), to_vector()) says
//   static constexpr bool once_differentiable = true;
// and a second derivative is then refused with the class's name.
#ifndef GREVY_PORTABLE_AUTOGRAD_HPP
#define GREVY_PORTABLE_AUTOGRAD_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/portable/functions.hpp>
#include <grevy/portable/value.hpp>

#include <algorithm>
#include <map>

namespace grevy::portable::autograd {

using Variable = Tensor;
using variable_list = std::vector<Tensor>;

// What forward() leaves for backward().
class AutogradContext {
 public:
  AutogradContext() = default;
  AutogradContext(const AutogradContext&) = delete;
  AutogradContext& operator=(const AutogradContext&) = delete;

  // Numbers, texts and the like; tensors of the graph go to save_for_backward().
  std::map<std::string, IValue> saved_data;

  // Inputs, outputs or other tensors; once, in forward().
  void save_for_backward(variable_list tensors) { saved_ = std::move(tensors); }
  // These, in backward().
  variable_list get_saved_variables() const { return saved_; }
  // Outputs that get no gradient.
  void mark_non_differentiable(const variable_list& outputs) { constant_ = outputs; }
  // In backward(): whether the gradient of a tensor among the arguments is used; counted among the
  // tensors.
  bool needs_input_grad(std::size_t tensor) const { return wanted_.at(tensor); }

 private:
  template <class>
  friend class Call;
  variable_list saved_, constant_;
  std::vector<bool> wanted_;
};

// The class's name, for errors.
template <class T>
std::string name_of() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  const auto scope = name.substr(0, name.find('<')).rfind("::");
  return std::string(scope == std::string_view::npos ? name : name.substr(scope + 2));
}

template <class T, class = void>
struct IsOnceDifferentiable : std::false_type {};
template <class T>
struct IsOnceDifferentiable<T, std::void_t<decltype(T::once_differentiable)>>
    : std::bool_constant<T::once_differentiable> {};

// One call of a function: the context of a grevy_function.
template <class T>
class Call {
 public:
  AutogradContext context;

  // The arguments of forward(), in their order.
  void note(const Tensor& tensor) {
    arguments_.push_back(tensor.defined() ? Argument::tensor : Argument::undefined);
    if (tensor.defined()) inputs_.push_back(tensor);
  }
  void note(const std::optional<Tensor>& tensor) {
    if (tensor && tensor->defined()) return note(*tensor);
    arguments_.push_back(Argument::other);
  }
  template <class Other>
  void note(const Other&) {
    static_assert(!std::is_same_v<Other, variable_list>,
                  "apply() takes tensors one by one: those in a list would get no gradient");
    arguments_.push_back(Argument::other);
  }

  // The values of forward() with a history.
  static variable_list attach(std::unique_ptr<Call> call, const variable_list& values) {
    const variable_list inputs = std::exchange(call->inputs_, {});
    const variable_list saved = call->packed();
    const variable_list constant = std::exchange(call->context.constant_, {});
    const std::string name = name_of<T>();
    const Running owner = running;
    call->plugin_ = owner.plugin;
    call->component_ = owner.component;
    grevy_function function{};
    function.struct_size = sizeof(function);
    function.flags = IsOnceDifferentiable<T>::value ? 0 : GREVY_FUNCTION_TWICE;
    function.name = detail::text_of(name);
    function.plugin = detail::text_of(owner.plugin);
    function.component = detail::text_of(owner.component);
    function.backward = backward;
    function.destroy = [](void* self) { delete static_cast<Call*>(self); };
    std::vector<grevy_tensor*> made(values.size(), nullptr);
    checked([&](const grevy_ops& ops, auto* errors) {
      const auto in = handles(inputs), kept = handles(saved), given = handles(values);
      function.context = call.release();
      return ops.attach_function(&function, in.data(), in.size(), kept.data(), kept.size(),
                                 given.data(), made.data(), made.size(), errors);
    });
    variable_list outputs;
    for (std::size_t i = 0; i < made.size(); ++i) {
      outputs.push_back(Tensor::taken(made[i]));
      const auto is_value = [&](const Tensor& other) { return other.is_same(values[i]); };
      if (std::any_of(constant.begin(), constant.end(), is_value)) outputs[i] = values[i].detach();
    }
    return outputs;
  }

 private:
  enum class Argument { tensor, undefined, other };

  static std::vector<grevy_tensor*> handles(const variable_list& tensors) {
    std::vector<grevy_tensor*> result;
    for (const Tensor& tensor : tensors) result.push_back(tensor.handle());
    return result;
  }
  static Tensor borrowed(grevy_tensor* handle) {
    operations()->retain(handle);
    return Tensor::taken(handle);
  }

  // The saved tensors that are there. The context keeps none: an output would keep itself alive.
  variable_list packed() {
    variable_list defined;
    for (const Tensor& tensor : std::exchange(context.saved_, {})) {
      is_saved_.push_back(tensor.defined());
      if (tensor.defined()) defined.push_back(tensor);
    }
    return defined;
  }

  static std::int32_t backward(void* self, grevy_tensor* const* saved, std::uint64_t,
                               grevy_tensor* const* gradients, std::uint64_t gradient_count,
                               const std::uint32_t* wanted, grevy_tensor** results, std::uint64_t,
                               const grevy_error_sink* errors) {
    const detail::Place nowhere{};  // the host knows whose function it is
    return detail::guarded(errors, nowhere, [&] {
      const auto& call = *static_cast<const Call*>(self);
      const RunningScope scope(call.plugin_, call.component_);
      AutogradContext own;
      call.unpack(own, saved, wanted);
      variable_list given;
      for (std::uint64_t i = 0; i < gradient_count; ++i) given.push_back(borrowed(gradients[i]));
      call.hand_out(T::backward(&own, given), wanted, results);
    });
  }

  // Every backward() has a context of its own: there may be several at a time, and one in another.
  void unpack(AutogradContext& shown, grevy_tensor* const* saved,
              const std::uint32_t* wanted) const {
    shown.saved_data = context.saved_data;
    for (const bool is_saved : is_saved_)
      shown.saved_.push_back(is_saved ? borrowed(*saved++) : Tensor());
    for (const Argument argument : arguments_)
      if (argument != Argument::other)
        shown.wanted_.push_back(argument == Argument::tensor && *wanted++ != 0);
  }

  // One gradient per argument of forward(), undefined for what is no tensor.
  void hand_out(variable_list found, const std::uint32_t* wanted, grevy_tensor** results) const {
    while (found.size() > arguments_.size() && !found.back().defined()) found.pop_back();
    if (found.size() != arguments_.size())
      throw Error(ErrorCode::invalid_value,
                  "gave " + std::to_string(found.size()) + " gradients for " +
                      std::to_string(arguments_.size()) + " arguments of forward");
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (arguments_[i] == Argument::other && found[i].defined())
        throw Error(ErrorCode::invalid_value,
                    "gave a gradient for argument " + std::to_string(i) + ", which is no tensor");
      if (arguments_[i] != Argument::tensor) continue;
      if (*wanted++ != 0) *results = found[i].released();
      ++results;
    }
  }

  std::vector<Argument> arguments_;
  variable_list inputs_;  // until attach()
  std::vector<bool> is_saved_;
  std::string plugin_, component_;  // whose function it is
};

// Base of functions with a gradient of their own.
template <class T>
struct Function {
  // Runs T::forward(context, arguments...), unrecorded: a tensor or a list of tensors comes out.
  template <class X = T, class... Arguments>
  static auto apply(Arguments&&... arguments)
      -> decltype(X::forward(nullptr, std::forward<Arguments>(arguments)...)) {
    using Result = decltype(X::forward(nullptr, std::forward<Arguments>(arguments)...));
    auto call = std::make_unique<Call<X>>();
    (call->note(arguments), ...);
    const Result values = [&] {
      const NoGradGuard no_grad;
      return X::forward(&call->context, std::forward<Arguments>(arguments)...);
    }();
    if constexpr (std::is_same_v<Result, variable_list>)
      return Call<X>::attach(std::move(call), values);
    else
      return Call<X>::attach(std::move(call), {values}).front();
  }
};

// d outputs / d inputs. grad_outputs: one per output, or none where all are scalars. The history
// stays whatever retain_graph says. create_graph: the results can be differentiated in their turn.
// Errors: invalid_value for an input that the outputs do not depend on, unless allow_unused says
// that its gradient may be undefined.
inline variable_list grad(const variable_list& outputs, const variable_list& inputs,
                          const variable_list& grad_outputs = {},
                          std::optional<bool> /*retain_graph*/ = {}, bool create_graph = false,
                          bool allow_unused = false) {
  if (!grad_outputs.empty() && grad_outputs.size() != outputs.size())
    throw Error(ErrorCode::invalid_value, "grad: found " + std::to_string(grad_outputs.size()) +
                                              " gradients for " + std::to_string(outputs.size()) +
                                              " outputs");
  const auto handles = [](const variable_list& tensors) {
    std::vector<grevy_tensor*> result;
    for (const Tensor& tensor : tensors) result.push_back(tensor.handle());
    return result;
  };
  std::vector<grevy_tensor*> made(inputs.size(), nullptr);
  checked([&](const grevy_ops& ops, auto* errors) {
    const auto of = handles(outputs), by = handles(inputs), from = handles(grad_outputs);
    return ops.differentiate(of.data(), from.empty() ? nullptr : from.data(), of.size(), by.data(),
                             by.size(), create_graph, made.data(), errors);
  });
  variable_list results;
  for (grevy_tensor* handle : made) results.push_back(Tensor::taken(handle));
  for (std::size_t i = 0; i < results.size() && !allow_unused; ++i)
    if (!results[i].defined())
      throw Error(ErrorCode::invalid_value, "grad: the outputs do not depend on input " +
                                                std::to_string(i) +
                                                "; with allow_unused its gradient is undefined");
  return results;
}

}  // namespace grevy::portable::autograd

#endif

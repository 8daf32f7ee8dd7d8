// Steps of the autograd graph whose gradients come from a plugin. The nodes are the host's.
#ifndef GREVY_HOST_OPS_NODE_HPP
#define GREVY_HOST_OPS_NODE_HPP

#include <grevy/detail/guard.hpp>

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace grevy::host {

// Whose function it is, for errors, which arise long after its component was called.
struct Origin {
  std::string name, plugin, component;  // the function's own; plugin and component may be empty

  // Of a struct of a plugin. Errors: invalid_value for a name that is none.
  template <class Given>
  static Origin of(const Given& given) {
    return checked({clean(given.name), clean(given.plugin), clean(given.component)});
  }
  // The component that errors name, or the function where it is not known.
  const std::string& component_or_name() const { return component.empty() ? name : component; }
  // An error of the function, with plugin, component and name.
  PluginError error(ErrorCode code, const std::string& reason,
                    const std::string& operation = "backward") const;
  // Calls a slot of the function. Errors: as above.
  template <class Call>
  void call(const std::string& operation, Call&& slot) const {
    try {
      detail::ErrorCatcher({plugin, component_or_name(), operation}).run(std::forward<Call>(slot));
    } catch (const PluginError& e) {
      if (e.component() != component_or_name()) throw;
      throw error(e.code(), e.message(), e.operation());
    }
  }

 private:
  static std::string clean(grevy_text text) {
    return detail::repaired(detail::view(text), detail::max_name);
  }
  static Origin checked(Origin origin);
};

// A plugin's function going backward.
class Backward {
 public:
  explicit Backward(Origin origin) : origin_(std::move(origin)) {}
  virtual ~Backward() = default;
  Backward(const Backward&) = delete;
  Backward& operator=(const Backward&) = delete;

  const Origin& origin() const { return origin_; }
  // Whether run() records what it computes, for a second derivative.
  virtual bool is_recorded() const { return false; }
  // Gradients of the inputs, undefined where there is none. `gradients` are all defined. Called by
  // several threads at a time where several differentiate one graph; it may differentiate itself.
  virtual std::vector<at::Tensor> run(const std::vector<at::Tensor>& saved,
                                      const std::vector<at::Tensor>& gradients,
                                      const std::vector<bool>& wanted) = 0;

 private:
  Origin origin_;
};

// Values computed from `inputs`, unrecorded, with a history of one step where an input requires
// gradients. Values that cannot have gradients are without. Saved tensors may be inputs, values or
// others; one that is both is an input.
std::vector<at::Tensor> attach(std::unique_ptr<Backward> backward,
                               const std::vector<at::Tensor>& inputs,
                               const std::vector<at::Tensor>& saved,
                               const std::vector<at::Tensor>& values);

}  // namespace grevy::host

#endif

// Steps of the autograd graph whose gradients come from a plugin. The nodes are the host's.
#ifndef GREVY_HOST_OPS_NODE_HPP
#define GREVY_HOST_OPS_NODE_HPP

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

namespace grevy::host {

// A plugin's function going backward.
class Backward {
 public:
  explicit Backward(std::string name) : name_(std::move(name)) {}
  virtual ~Backward() = default;
  Backward(const Backward&) = delete;
  Backward& operator=(const Backward&) = delete;

  const std::string& name() const { return name_; }
  // Whether run() records what it computes, for a second derivative.
  virtual bool is_recorded() const { return false; }
  // Gradients of the inputs, undefined where there is none. `gradients` are all defined.
  virtual std::vector<at::Tensor> run(const std::vector<at::Tensor>& saved,
                                      const std::vector<at::Tensor>& gradients,
                                      const std::vector<bool>& wanted) = 0;

 private:
  std::string name_;
};

// Values computed from `inputs`, unrecorded, with a history of one step where an input requires
// gradients. Saved tensors may be inputs, values or others.
std::vector<at::Tensor> attach(std::unique_ptr<Backward> backward,
                               const std::vector<at::Tensor>& inputs,
                               const std::vector<at::Tensor>& saved,
                               const std::vector<at::Tensor>& values);

}  // namespace grevy::host

#endif

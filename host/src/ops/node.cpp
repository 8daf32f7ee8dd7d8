#include "ops/node.hpp"

#include <grevy/error.hpp>

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <mutex>
#include <sstream>
#include <utility>

namespace grevy::host {
namespace {

using Tensors = std::vector<at::Tensor>;
namespace autograd = torch::autograd;

struct Shape {
  std::vector<std::int64_t> sizes;
  at::TensorOptions options;
  explicit Shape(const at::Tensor& t)
      : sizes(t.sizes().vec()), options(at::TensorOptions().dtype(t.dtype()).device(t.device())) {}
};

// What a plugin that has no second derivative leaves in the graph of the first.
struct Refusal : autograd::Node {
  explicit Refusal(Origin whose) : origin(std::move(whose)) {}
  autograd::variable_list apply(autograd::variable_list&&) override {
    throw origin.error(ErrorCode::unimplemented, "has no second derivative");
  }
  std::string name() const override { return origin.name; }
  Origin origin;
};

// What the plugin computed with is its own business: the results may depend on whatever went in,
// also where neither gradients nor saved tensors tell.
void refuse_second(Tensors& results, const Tensors& from, const autograd::edge_list& inputs,
                   const Origin& origin) {
  const auto node = std::shared_ptr<Refusal>(new Refusal(origin), autograd::deleteNode);
  autograd::edge_list edges = autograd::collect_next_edges(from);
  edges.insert(edges.end(), inputs.begin(), inputs.end());
  node->set_next_edges(std::move(edges));
  for (at::Tensor& result : results) {
    if (!result.defined()) continue;
    result = result.detach();
    autograd::set_history(result, node);
  }
}

class PluginNode : public autograd::Node {
 public:
  PluginNode(std::unique_ptr<Backward> backward, const Tensors& inputs, const Tensors& values)
      : backward_(std::move(backward)) {
    for (const at::Tensor& value : values) outputs_.emplace_back(value);
    for (const at::Tensor& input : inputs) inputs_.emplace_back(input);
  }

  // After the history of the outputs is set; is_output: a saved tensor that is one of them.
  void save(const at::Tensor& tensor, bool is_output) { saved_.emplace_back(tensor, is_output); }

  std::string name() const override { return backward_->origin().name; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (autograd::SavedVariable& saved : saved_) saved.reset_data();
  }

  autograd::variable_list apply(autograd::variable_list&& given) override {
    const Origin& origin = backward_->origin();
    try {
      return differentiated(std::move(given));
    } catch (const PluginError&) {
      throw;
    } catch (const Error& e) {
      throw origin.error(e.code(), e.what());
    } catch (const c10::Error& e) {
      throw origin.error(ErrorCode::invalid_value, detail::reason(e));
    }
  }

 private:
  // The lock is not held while the plugin computes: it may come back here, as may other threads.
  Tensors unpacked() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Tensors saved;
    for (autograd::SavedVariable& s : saved_) saved.push_back(s.unpack(shared_from_this()));
    return saved;
  }

  Tensors differentiated(Tensors gradients) {
    for (std::size_t i = 0; i < outputs_.size(); ++i)
      if (!gradients[i].defined()) gradients[i] = at::zeros(outputs_[i].sizes, outputs_[i].options);
    const Tensors saved = unpacked();
    std::vector<bool> wanted;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      wanted.push_back(task_should_compute_output(i));
    const bool recorded = at::GradMode::is_enabled() && backward_->is_recorded();
    Tensors results = run(saved, gradients, wanted, recorded);
    check(results, wanted);
    if (at::GradMode::is_enabled() && !recorded) {
      gradients.insert(gradients.end(), saved.begin(), saved.end());
      refuse_second(results, gradients, next_edges(), backward_->origin());
    }
    return results;
  }

  Tensors run(const Tensors& saved, const Tensors& gradients, const std::vector<bool>& wanted,
              bool recorded) const {
    const at::AutoGradMode mode(recorded);
    return backward_->run(saved, gradients, wanted);
  }

  void check(Tensors& results, const std::vector<bool>& wanted) const {
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!wanted[i]) results[i] = at::Tensor();
      if (!results[i].defined()) continue;
      std::ostringstream text;
      text << "the gradient of input " << i << " has the ";
      if (!results[i].is_floating_point()) {
        text << "type " << at::toString(results[i].scalar_type()) << "; must be floating-point";
        throw Error(ErrorCode::invalid_type, text.str());
      }
      if (results[i].sizes() == inputs_[i].sizes) continue;
      text << "shape " << results[i].sizes() << "; must be " << at::IntArrayRef(inputs_[i].sizes);
      throw Error(ErrorCode::invalid_value, text.str());
    }
  }

  std::mutex mutex_;
  std::unique_ptr<Backward> backward_;
  std::vector<Shape> inputs_, outputs_;
  std::vector<autograd::SavedVariable> saved_;
};

// The place of a tensor in a list, or its end.
std::size_t place_of(const at::Tensor& tensor, const Tensors& list) {
  const auto found = std::find_if(list.begin(), list.end(),
                                  [&](const at::Tensor& t) { return t.is_same(tensor); });
  return static_cast<std::size_t>(found - list.begin());
}

// Every output has its number; those that cannot have gradients are left without the node.
void set_histories(Tensors& outputs, const std::shared_ptr<PluginNode>& node) {
  for (at::Tensor& output : outputs) {
    if (autograd::isDifferentiableType(output.scalar_type()))
      autograd::set_history(output, node);
    else
      node->add_input_metadata(autograd::Node::undefined_input{});
  }
}

}  // namespace

Origin Origin::checked(Origin origin) {
  if (!detail::is_name(origin.name))
    throw Error(ErrorCode::invalid_value, "a function needs a name");
  return origin;
}

PluginError Origin::error(ErrorCode code, const std::string& reason,
                          const std::string& operation) const {
  const bool is_named = component_or_name() == name;
  return {code, is_named ? reason : name + ": " + reason, plugin, component_or_name(), operation};
}

std::vector<at::Tensor> attach(std::unique_ptr<Backward> backward,
                               const std::vector<at::Tensor>& inputs,
                               const std::vector<at::Tensor>& saved,
                               const std::vector<at::Tensor>& values) {
  Tensors outputs;
  for (const at::Tensor& value : values) outputs.push_back(value.detach());
  if (!at::GradMode::is_enabled() || !autograd::compute_requires_grad(inputs)) return outputs;
  const auto node = std::shared_ptr<PluginNode>(new PluginNode(std::move(backward), inputs, values),
                                                autograd::deleteNode);
  node->set_next_edges(autograd::collect_next_edges(inputs));
  set_histories(outputs, node);
  for (const at::Tensor& tensor : saved) {
    const std::size_t place = place_of(tensor, values);
    const bool is_output = place < values.size() && place_of(tensor, inputs) == inputs.size();
    node->save(is_output ? outputs[place] : tensor, is_output);
  }
  return outputs;
}

}  // namespace grevy::host

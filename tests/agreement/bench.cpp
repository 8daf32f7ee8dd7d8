#include "bench.hpp"

#include <algorithm>

namespace grevy::agreement {
namespace {

host::CreateOptions create_options(std::int64_t num_input) {
  host::CreateOptions create;
  create.seed = 1;
  create.num_input = num_input;
  return create;
}

const NamedTensor* find(const NamedTensors& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

}  // namespace

void Bench::need(host::Kind kind, const std::string& name) const {
  try {
    host_.find(kind, name);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::not_found && e.code() != ErrorCode::incompatible) throw;
    throw Unsupported("no usable " + std::string(host::to_string(kind)) + " \"" + name + "\"");
  }
}

Owned<ModelRef> Bench::model(const std::string& name, const Json& options,
                             std::int64_t num_input) const {
  need(host::Kind::model, name);
  return host_.create_model(name, options.dump(), create_options(num_input));
}

Owned<CriterionRef> Bench::criterion(const std::string& name, const Json& options) const {
  need(host::Kind::criterion, name);
  return host_.create_criterion(name, options.dump(), create_options(0));
}

Owned<SolverRef> Bench::solver(const std::string& name, const Json& options,
                               std::uint64_t seed) const {
  need(host::Kind::solver, name);
  host::CreateOptions create = create_options(0);
  create.seed = seed;
  return host_.create_solver(name, options.dump(), create);
}

void load_state(const NamedTensors& target, const NamedTensors& state, const Json& shared) {
  const at::NoGradGuard no_grad;
  for (const NamedTensor& t : target)
    if (t.trained && find(state, t.name) == nullptr)
      throw Error(ErrorCode::invalid_value, "the reference has no \"" + t.name + "\"");
  for (const NamedTensor& s : state) {
    if (shared.contains(s.name)) continue;
    const NamedTensor* t = find(target, s.name);
    if (t == nullptr)
      throw Error(ErrorCode::invalid_value, "the component has no \"" + s.name + "\"");
    if (t->tensor.sizes() != s.tensor.sizes())
      throw Error(ErrorCode::invalid_value,
                  c10::str("\"", s.name, "\" has shape ", t->tensor.sizes(), ", in the reference ",
                           s.tensor.sizes()));
    at::Tensor(t->tensor).copy_(s.tensor);
  }
}

Json width_options(const Case& c, const NamedTensors& state) {
  if (state.empty()) throw Error(ErrorCode::not_found, "the case has no parameters");
  return {{"num_units", c.param("num_units", state.front().tensor.size(0))},
          {"num_output", c.param("num_output", state.back().tensor.size(0))}};
}

std::int64_t num_parameters(const NamedTensors& tensors) {
  std::int64_t count = 0;
  for (const NamedTensor& t : tensors) count += t.trained ? t.tensor.numel() : 0;
  return count;
}

}  // namespace grevy::agreement

// The one file that knows TorchScript: its headers are slow to compile.
#include "exchange/exchange_trace.hpp"

#include "exchange/exchange_names.hpp"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/ir.h>

#include <map>
#include <optional>
#include <sstream>

namespace grevy::host {
namespace {

namespace jit = torch::jit;

[[noreturn]] void refuse(const ModelRef& model, const std::string& message) {
  throw Error(ErrorCode::unimplemented,
              "the encoder " + model.component() + " cannot be written as TorchScript: " + message);
}

// Runs what may throw LibTorch's errors, whose texts have many lines.
template <class Body>
auto guarded(const ModelRef& model, const std::string& problem, Body&& body) {
  try {
    return body();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    const std::string text = e.what();
    refuse(model, problem + ": " + text.substr(0, text.find('\n')));
  }
}

// ---- modules ------------------------------------------------------------------------------------

// Names with dots, as modules in modules: "net.0.weight" is "weight" in "0" in "net".
struct Branch {
  std::map<std::string, Branch> children;
  NamedTensors tensors;  // under the last part of their names

  void add(const std::string& path, const NamedTensor& tensor) {
    const std::size_t dot = path.find('.');
    if (dot == std::string::npos)
      tensors.push_back({path, tensor.tensor, tensor.trained});
    else
      children[path.substr(0, dot)].add(path.substr(dot + 1), tensor);
  }

  jit::Module make(const std::shared_ptr<jit::CompilationUnit>& unit, const char* type) const {
    jit::Module module(c10::QualifiedName(std::string("__torch__.grevy.") + type), unit, true);
    module.register_attribute("training", c10::BoolType::get(), false);
    for (const NamedTensor& t : tensors) module.register_parameter(t.name, t.tensor, !t.trained);
    for (const auto& [name, child] : children)
      module.register_module(name, child.make(unit, "Layers"));
    return module;
  }
};

jit::Module make_module(const ModelRef& model) {
  Branch root;
  for (const NamedTensor& t : model.tensors())
    if (!is_own_tensor(t.name)) root.add(t.name, t);
  jit::Module module = root.make(std::make_shared<jit::CompilationUnit>(), "Encoder");
  const Offset offset = model.info().offset;
  module.register_attribute("offset_left", c10::IntType::get(), offset.left);
  module.register_attribute("offset_right", c10::IntType::get(), offset.right);
  return module;
}

// ---- tracing ------------------------------------------------------------------------------------

// Numbers without a pattern, the same each time.
at::Tensor numbers(at::IntArrayRef shape) {
  return at::arange(c10::multiply_integers(shape), at::kDouble)
      .mul_(0.7548776662466927)
      .add_(0.3)
      .sin_()
      .to(at::kFloat)
      .reshape(shape);
}

std::vector<std::int64_t> traced_shape(const ModelInfo& info) {
  return {2, info.num_input, info.offset.length()};
}

void add_forward(const jit::Module& encoder, const ModelRef& model) {
  const auto forward = [&](jit::Stack inputs) -> jit::Stack {
    return {model.forward(inputs.at(0).toTensor())};
  };
  jit::Module module = encoder;
  const auto traced = jit::tracer::trace({numbers(traced_shape(model.info()))}, forward,
                                         [](const at::Tensor&) { return std::string(); }, true,
                                         false, &module, {"windows"});
  const c10::QualifiedName name(*module.type()->name(), "forward");
  module.type()->addMethod(
      module._ivalue()->compilation_unit()->create_function(name, traced.first->graph));
}

// ---- checks -------------------------------------------------------------------------------------

at::Tensor run(jit::Module& encoder, const at::Tensor& input) {
  return encoder.forward({input}).toTensor();
}

bool are_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-4, 1e-5, true);
}

// Nothing where the script cannot take the input.
std::optional<at::Tensor> try_run(jit::Module& encoder, const at::Tensor& input) {
  try {
    return run(encoder, input);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

void check_sizes(jit::Module& encoder, const ModelRef& model) {
  const ModelInfo info = model.info();
  const std::int64_t channels = info.num_input, length = info.offset.length();
  std::vector<std::vector<std::int64_t>> shapes = {{3, channels, length}, {1, channels, length}};
  if (info.convolutional) {
    shapes.push_back({1, channels, 2 * length + 5});
    shapes.push_back({2, channels, 3 * length + 4});
  }
  for (const auto& shape : shapes) {
    const at::Tensor input = numbers(shape);
    const auto found = try_run(encoder, input);
    if (found && are_equal(*found, model.forward(input))) continue;
    refuse(model, "it does something else for windows of " + c10::str(input.sizes()) +
                      " than for those it was traced with, " +
                      c10::str(at::IntArrayRef(traced_shape(info))) +
                      "; sizes that its code reads, as x.size(0), are constants of the script: "
                      "flatten(1), slice(2, 1, -1) need none");
  }
}

void check_embedding(jit::Module& encoder, const ModelRef& model, const Embed& embed) {
  const ModelInfo info = model.info();
  const at::Tensor samples = numbers({2 * info.offset.length() + 5, info.num_input});
  const at::Tensor windows = samples.unfold(0, info.offset.length(), info.resample_factor);
  const at::Tensor found =
      guarded(model, "it fails as a script", [&] { return run(encoder, windows.contiguous()); });
  if (are_equal(found, embed(samples))) return;
  refuse(model, "the solver embeds with something else than this encoder");
}

}  // namespace

std::string trace_encoder(const ModelRef& model, const Embed& embed) {
  const at::NoGradGuard no_grad;
  model.set_training(false);
  jit::Module encoder =
      guarded(model, "its tensors cannot be parts of modules", [&] { return make_module(model); });
  guarded(model, "it cannot be traced", [&] { add_forward(encoder, model); });
  check_sizes(encoder, model);
  check_embedding(encoder, model, embed);
  std::ostringstream bytes;
  guarded(model, "it cannot be stored", [&] { encoder.save(bytes); });
  return bytes.str();
}

}  // namespace grevy::host

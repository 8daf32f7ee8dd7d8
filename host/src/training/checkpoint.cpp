#include "training/checkpoint.hpp"

#include <cstring>
#include <sstream>
#include <utility>

namespace grevy::host {
namespace {

struct Type {
  at::ScalarType torch;
  const char* stored;
};
constexpr Type types[] = {{at::kFloat, "F32"},     {at::kDouble, "F64"}, {at::kHalf, "F16"},
                          {at::kBFloat16, "BF16"}, {at::kLong, "I64"},   {at::kInt, "I32"},
                          {at::kShort, "I16"},     {at::kChar, "I8"},    {at::kByte, "U8"},
                          {at::kBool, "BOOL"}};

std::string stored_type(at::ScalarType type, const std::string& name) {
  for (const Type& t : types)
    if (t.torch == type) return t.stored;
  throw Error(ErrorCode::invalid_type,
              "tensor \"" + name + "\" has a type that checkpoints do not hold");
}

const StoredTensor& find(const StoredTensors& content, const std::string& name,
                         const at::Tensor& target) {
  const auto at = content.tensors.find(name);
  if (at == content.tensors.end())
    throw Error(ErrorCode::invalid_value, "the checkpoint has no tensor \"" + name + "\"");
  const StoredTensor& stored = at->second;
  const std::string needed = stored_type(target.scalar_type(), name);
  if (stored.dtype == needed && target.sizes() == stored.shape) return stored;
  std::ostringstream text;
  text << "the checkpoint's tensor \"" << name << "\" is " << stored.dtype << " "
       << at::IntArrayRef(stored.shape) << "; needed: " << needed << " " << target.sizes();
  throw Error(ErrorCode::invalid_value, text.str());
}

}  // namespace

void store(const NamedTensors& tensors, StoredTensors& content) {
  for (const NamedTensor& t : tensors) {
    const at::Tensor values = t.tensor.detach().cpu().contiguous();
    StoredTensor stored{stored_type(values.scalar_type(), t.name), values.sizes().vec(), {}};
    stored.bytes.resize(values.nbytes());
    if (!stored.bytes.empty())
      std::memcpy(stored.bytes.data(), values.data_ptr(), stored.bytes.size());
    content.tensors[t.name] = std::move(stored);
  }
}

void restore(const NamedTensors& tensors, const StoredTensors& content) {
  for (const NamedTensor& t : tensors) find(content, t.name, t.tensor);
  const at::NoGradGuard no_grad;
  for (const NamedTensor& t : tensors) {
    const StoredTensor& stored = find(content, t.name, t.tensor);
    const at::Tensor values = at::empty(stored.shape, t.tensor.options().device(at::kCPU));
    if (!stored.bytes.empty())
      std::memcpy(values.data_ptr(), stored.bytes.data(), stored.bytes.size());
    t.tensor.detach().copy_(values);
  }
}

}  // namespace grevy::host

#include "exchange/exchange_names.hpp"

#include "plugins/name_pattern.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace grevy::host {
namespace {

using nlohmann::json;

constexpr std::string_view wrapper = "module.";

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The number before the first dot; nothing where there is none of at most 9 digits.
std::optional<std::size_t> leading_number(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot > 9) return std::nullopt;
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + dot, number);
  if (error != std::errc() || end != name.data() + dot) return std::nullopt;
  return number;
}

std::string after_dot(const std::string& name) { return name.substr(name.find('.') + 1); }

using Encoder = std::map<std::string, const StoredTensor*>;

std::vector<Encoder> split_sessions(const StoredTensors& model) {
  std::map<std::size_t, Encoder> found;
  for (const auto& [name, tensor] : model.tensors) {
    const auto number = leading_number(name);
    if (!number)
      throw Error(ErrorCode::invalid_value, "found the tensor \"" + name +
                                                "\" beside tensors whose names begin with a "
                                                "session's number; all must have one, or none");
    found[*number][after_dot(name)] = &tensor;
  }
  if (found.rbegin()->first + 1 != found.size())
    throw Error(ErrorCode::invalid_value,
                "found tensors of session " + std::to_string(found.rbegin()->first) + " and of " +
                    std::to_string(found.size()) + " sessions in all; none may be left out");
  std::vector<Encoder> sessions;
  for (auto& [number, encoder] : found) sessions.push_back(std::move(encoder));
  return sessions;
}

bool all_wrapped(const std::vector<Encoder>& sessions) {
  for (const Encoder& encoder : sessions)
    for (const auto& [name, tensor] : encoder)
      if (!starts_with(name, wrapper)) return false;
  return true;
}

// Encoders of the reference whose middle layer is one layer applied several times.
constexpr const char* tied_models[] = {
    "offset1-model-mse-v2-{n_intermediate_layers}layers",
    "offset1-model-mse-v2-{n_intermediate_layers}layers-tanh",
    "offset1-model-mse-resnet-{n_intermediate_layers}layers",
    "offset1-model-mse-resnet-{n_intermediate_layers}layers-tanh"};
// That layer's place in "net", and how far apart its repetitions are listed.
constexpr std::int64_t first_tied = 3, tied_stride = 2;

// How often the middle layer of such a model is applied; 1 for all others.
std::int64_t repetitions(const json& model) {
  std::string name = model.at("name").get<std::string>();
  name.erase(0, name.find('/') + 1);
  for (const char* pattern : tied_models)
    if (const auto options = match_name(pattern, name))
      return model.value("n_intermediate_layers",
                         options->at("n_intermediate_layers").get<std::int64_t>());
  return 1;
}

}  // namespace

std::string StoredEncoders::full_name(std::size_t session, const std::string& name) const {
  return (numbered ? std::to_string(session) + "." : "") + std::string(wrapped ? wrapper : "") +
         name;
}

StoredEncoders split_encoders(const StoredTensors& model) {
  StoredEncoders result;
  result.numbered = std::any_of(model.tensors.begin(), model.tensors.end(), [](const auto& item) {
    return leading_number(item.first).has_value();
  });
  if (result.numbered) {
    result.sessions = split_sessions(model);
  } else {
    result.sessions.emplace_back();
    for (const auto& [name, tensor] : model.tensors) result.sessions[0][name] = &tensor;
  }
  result.wrapped = !model.tensors.empty() && all_wrapped(result.sessions);
  if (!result.wrapped) return result;
  for (Encoder& encoder : result.sessions) {
    Encoder lone;
    for (const auto& [name, tensor] : encoder) lone[after_dot(name)] = tensor;
    encoder = std::move(lone);
  }
  return result;
}

std::optional<EncoderWidths> widths_of(const Encoder& encoder) {
  std::map<std::size_t, const StoredTensor*> layers;
  for (const auto& [name, tensor] : encoder) {
    const bool is_weight = name.size() > 7 && name.substr(name.size() - 7) == ".weight";
    if (!is_weight || !starts_with(name, "net.") || tensor->shape.size() < 2) continue;
    if (const auto position = leading_number(after_dot(name))) layers[*position] = tensor;
  }
  if (layers.empty()) return std::nullopt;
  const auto& first = layers.begin()->second->shape;
  return EncoderWidths{first[1], first[0], layers.rbegin()->second->shape[0]};
}

std::map<std::string, std::string> tied_names(const json& model,
                                              const std::vector<std::string>& names) {
  const bool nested = model.contains("module") && model["module"].is_object();
  const std::int64_t times = repetitions(nested ? model["module"] : model);
  const std::string layer = "net." + std::to_string(first_tied) + ".";
  std::map<std::string, std::string> tied;
  for (const std::string& name : names) {
    const std::size_t at = starts_with(name, wrapper) ? wrapper.size() : 0;
    if (name.compare(at, layer.size(), layer) != 0) continue;
    for (std::int64_t i = 1; i < times; ++i)
      tied[name.substr(0, at) + "net." + std::to_string(first_tied + i * tied_stride) + "." +
           name.substr(at + layer.size())] = name;
  }
  return tied;
}

bool is_own_tensor(const std::string& name) {
  constexpr std::string_view draws = "dropout_draws";
  return name.size() >= draws.size() && name.substr(name.size() - draws.size()) == draws;
}

}  // namespace grevy::host

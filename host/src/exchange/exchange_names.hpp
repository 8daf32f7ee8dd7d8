// How the reference names an encoder's tensors in its checkpoints.
#ifndef GREVY_HOST_EXCHANGE_NAMES_HPP
#define GREVY_HOST_EXCHANGE_NAMES_HPP

#include <grevy/host/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace grevy::host {

// Encoders, one per session, their tensors under the names of a lone encoder: "net.0.weight".
struct StoredEncoders {
  bool numbered = false;  // in the file of several sessions: "0.net.0.weight"
  bool wrapped = false;   // in the file of a solver with several objectives: "module.net.0.weight"
  std::vector<std::map<std::string, const StoredTensor*>> sessions;  // at least one

  std::string full_name(std::size_t session, const std::string& name) const;
};

// The encoders in a model's tensors, which must stay. Errors: invalid_value where some names have a
// number and others none, or a session is left out.
StoredEncoders split_encoders(const StoredTensors& model);

// Sizes that an encoder's first and last layer show.
struct EncoderWidths {
  std::int64_t num_input = 0, num_units = 0, num_output = 0;
};
// Nothing where the tensors are not those of layers "net.N".
std::optional<EncoderWidths> widths_of(const std::map<std::string, const StoredTensor*>& encoder);

// Layers that the reference applies several times and lists as often: for each of `names` that is
// such a layer's, the other names of the same tensor. `model` is a model's entry in an experiment.
std::map<std::string, std::string> tied_names(const nlohmann::json& model,
                                              const std::vector<std::string>& names);

// Whether the reference's encoders have no tensor of this name, though the built-in ones do.
bool is_own_tensor(const std::string& name);

}  // namespace grevy::host

#endif

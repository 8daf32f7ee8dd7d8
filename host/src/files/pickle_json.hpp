// Values of a pickle as JSON.
#ifndef GREVY_HOST_PICKLE_JSON_HPP
#define GREVY_HOST_PICKLE_JSON_HPP

#include "files/pickle_value.hpp"
#include "files/torch_file.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace grevy::host {

// None is null; lists and tuples are arrays; dicts are objects, whose keys are texts, integers or
// tuples of them (("loss", 0) becomes "loss_0"); a record is {"type", "args", "state"}; a floating
// or integer tensor of one element is its number. NaN and infinity stay: nlohmann-json writes them
// as null. `where` names file and key in messages. Errors: invalid_value for other tensors, bytes
// and other keys.
nlohmann::json to_json(const PickleValue& value, TorchFile& file, const std::string& where);

// How messages begin for a key below `where` (not empty): FILE becomes FILE, "args", and that
// becomes FILE, "args/delta".
std::string key_place(const std::string& where, const std::string& key);

// The elements of a floating or integer tensor as doubles. Errors: invalid_value for F16, BF16 and
// BOOL.
std::vector<double> to_doubles(const StoredTensor& tensor, const std::string& where);

}  // namespace grevy::host

#endif

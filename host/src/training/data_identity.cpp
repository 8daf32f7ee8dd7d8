#include "training/data_identity.hpp"

#include "files/file_hash.hpp"

#include <algorithm>
#include <sstream>
#include <string>

namespace grevy::host {
namespace {

using nlohmann::json;
using Pointer = json::json_pointer;

// A part at a time: what is not contiguous is copied.
std::string sha256_of(const at::Tensor& values) {
  constexpr std::int64_t most_numbers = std::int64_t{1} << 20;
  const std::int64_t rows = values.size(0);
  const std::int64_t at_once = std::max<std::int64_t>(most_numbers * rows / values.numel(), 1);
  Sha256 hash;
  for (std::int64_t row = 0; row < rows; row += at_once) {
    const at::Tensor part = values.slice(0, row, std::min(row + at_once, rows)).contiguous();
    hash.add({static_cast<const char*>(part.data_ptr()), part.nbytes()});
  }
  return hash.digits();
}

std::string describe(const at::Tensor& values) {
  std::ostringstream text;
  text << (values.is_floating_point() ? "float" : "int") << 8 * values.element_size() << " "
       << values.sizes() << " sha256:" << sha256_of(values);
  return text.str();
}

void add(const Recording& recording, const Pointer& place, json& found) {
  found[(place / "neural").to_string()] = describe(recording.neural());
  for (const Label& label : recording.labels())
    found[(place / "labels" / label.name).to_string()] = describe(label.values);
  if (!recording.trials().empty())
    found[(place / "trials").to_string()] = describe(at::tensor(recording.trials(), at::kLong));
}

}  // namespace

json identify(const Experiment& experiment, const std::vector<Recording>& sessions) {
  const bool is_list = !experiment.at("/data/sessions").is_null();
  json found = json::object();
  for (std::size_t s = 0; s < sessions.size(); ++s)
    add(sessions[s], is_list ? Pointer("/data/sessions") / s : Pointer("/data"), found);
  return found;
}

}  // namespace grevy::host

// Safetensors files; what is read and written again must be the same. Some are checkpoints.
#include "support.hpp"
#include "training/checkpoint_info.hpp"

#include <grevy/host/safetensors.hpp>

using grevy::fuzz::expect;
using grevy::host::read_safetensors;
using grevy::host::StoredTensor;
using grevy::host::StoredTensors;

namespace {

bool same(const StoredTensor& a, const StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

void check_again(const StoredTensors& content) {
  grevy::host::write_safetensors(grevy::fuzz::output_file(), content);
  const StoredTensors again = read_safetensors(grevy::fuzz::output_file());
  expect(again.metadata == content.metadata, "the metadata changed");
  expect(again.tensors.size() == content.tensors.size(), "the number of tensors changed");
  for (const auto& [name, tensor] : content.tensors)
    expect(same(tensor, again.tensors.at(name)), "a tensor changed");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string file = grevy::fuzz::write_input(grevy::fuzz::view(data, size));
  StoredTensors content;
  if (!grevy::fuzz::accepts([&] { content = read_safetensors(file); }, file)) return 0;
  check_again(content);
  nlohmann::json info;
  if (!grevy::fuzz::accepts([&] { info = grevy::host::read_info(content); })) return 0;
  StoredTensors again;
  grevy::host::store_info(info, again);
  info["format"] = grevy::host::checkpoint_format;  // older ones are written as the present one
  expect(grevy::host::read_info(again) == info, "the description of a checkpoint changed");
  return 0;
}

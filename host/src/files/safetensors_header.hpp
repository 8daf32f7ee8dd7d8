// The header of a safetensors file: which tensors lie where.
#ifndef GREVY_HOST_SAFETENSORS_HEADER_HPP
#define GREVY_HOST_SAFETENSORS_HEADER_HPP

#include <grevy/host/safetensors.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace grevy::host::safetensors {

inline constexpr const char* metadata_name = "__metadata__";

// A tensor without its bytes, and where they begin and end after the header.
struct Entry {
  StoredTensor tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

using Entries = std::map<std::string, Entry>;

struct Header {
  Entries entries;
  std::map<std::string, std::string> metadata;
};

// Errors, here and below: invalid_value; messages begin with `file`.
Header parse_header(const std::string& text, const std::string& file);

// In the order of the data. The ranges must cover all `data_size` bytes exactly, one after the
// other.
std::vector<Entries::value_type*> ordered_entries(Entries& entries, std::uint64_t data_size,
                                                  const std::string& file);

// The bytes that dtype and shape ask for; `where` names the tensor.
std::uint64_t byte_count(const StoredTensor& tensor, const std::string& file,
                         const std::string& where);

// "tensor \"NAME\"", fit for a person.
std::string tensor_text(const std::string& name);

[[noreturn]] void fail(const std::string& file, const std::string& what);

}  // namespace grevy::host::safetensors

#endif

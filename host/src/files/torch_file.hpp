// Files that PyTorch's torch.save writes, without PyTorch.
//
// Format (PyTorch 1.6 and later, torch/serialization.py): a zip archive of stored members in one
// folder: data.pkl, a pickle in which tensors are views of numbered storages; data/0, data/1, ...,
// the storages' raw bytes; byteorder (absent before PyTorch 2.1: little) and others that reading
// does not need.
#ifndef GREVY_HOST_TORCH_FILE_HPP
#define GREVY_HOST_TORCH_FILE_HPP

#include "files/pickle_value.hpp"
#include "files/zip_archive.hpp"

#include <grevy/host/safetensors.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace grevy::host {

// Threads: one at a time.
class TorchFile {
 public:
  // Reads everything but the storages. Errors: not_found; invalid_value (no such archive, damaged,
  // hostile, big-endian); incompatible (TorchScript, a file of before PyTorch 1.6, a class or
  // function that is not read: see read_pickle); messages name the file.
  static TorchFile open(const std::filesystem::path& file);

  const std::string& name() const { return name_; }
  const PickleValue& root() const { return root_; }

  // A tensor's elements in C order. Tensors may share a storage, but a tensor may not repeat
  // elements beyond its storage's number of them. All tensors read from one file take at most 16
  // times its bytes. `where` begins messages: file and key. Errors: not_found (storage missing);
  // invalid_value (outside its storage, storage of another length, too much).
  StoredTensor read(const TensorReference& tensor, const std::string& where);

 private:
  TorchFile(const std::filesystem::path& file, std::uint64_t file_bytes);

  const std::vector<unsigned char>& storage(const TensorReference& tensor);

  std::string name_;
  std::uint64_t file_bytes_;
  ZipArchive archive_;
  std::string folder_;  // with its slash
  PickleValue root_;
  std::map<std::string, std::vector<unsigned char>> storages_;  // those used so far
  std::uint64_t storage_bytes_ = 0;
  std::uint64_t tensor_bytes_ = 0;
};

}  // namespace grevy::host

#endif

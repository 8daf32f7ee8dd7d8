// Files of torch.save: the pickle and every tensor that it names.
#include "files/torch_file.hpp"

#include "archive.hpp"
#include "support.hpp"

using grevy::fuzz::accepts;
using grevy::fuzz::expect;
using namespace grevy::host;

namespace {

// Goes through a tree of values and reads its tensors.
struct Reader {
  TorchFile& file;
  std::uint64_t bytes = 0;

  void operator()(const PickleList& list) { all(list.items); }
  void operator()(const PickleTuple& tuple) { all(tuple.items); }
  void operator()(const PickleDict& dict) {
    for (const PickleItem& item : dict.items) {
      one(item.key);
      one(item.value);
    }
  }
  void operator()(const RecordPointer& record) {
    all(record->args);
    one(record->state);
  }
  void operator()(const TensorPointer& tensor) {
    accepts([&] { take(file.read(*tensor, "here")); });
  }
  template <typename Leaf>
  void operator()(const Leaf&) {}

  void one(const PickleValue& value) { std::visit(*this, value.value); }
  void all(const std::vector<PickleValue>& values) {
    for (const PickleValue& value : values) one(value);
  }

  void take(const StoredTensor& tensor) {
    std::uint64_t size = element_size(tensor.dtype);
    for (const std::int64_t length : tensor.shape) size *= static_cast<std::uint64_t>(length);
    expect(size == tensor.bytes.size(), "a tensor's bytes do not fit its shape");
    bytes += size;
  }
};

void read_all(const std::string& path, std::uint64_t file_bytes) {
  TorchFile file = TorchFile::open(path);
  Reader reader{file};
  reader.one(file.root());
  expect(reader.bytes <= 16 * file_bytes, "the tensors are larger than the file allows");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string archive = grevy::fuzz::torch_archive(grevy::fuzz::view(data, size));
  const std::string file = grevy::fuzz::write_input(archive);
  accepts([&] { read_all(file, archive.size()); }, file);
  return 0;
}

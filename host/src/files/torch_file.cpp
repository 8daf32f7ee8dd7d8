#include "files/torch_file.hpp"

#include "files/input_file.hpp"
#include "files/npy_header.hpp"
#include "files/npz.hpp"
#include "files/pickle.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace grevy::host {

namespace {

using namespace std::string_view_literals;

constexpr const char* kWanted = "a file of torch.save";
constexpr std::string_view kPickle = "/data.pkl";
// Tied layers are stored once and listed up to eleven times.
constexpr std::uint64_t kTensorFactor = 16;
constexpr std::uint64_t kByteOrderLimit = 16;
// The pickle of the number that older versions put first.
constexpr std::string_view kLegacyMagic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;

[[noreturn]] void fail_file(const std::string& file, const std::string& what,
                            ErrorCode code = ErrorCode::invalid_value) {
  throw Error(code, file + ": " + what);
}

// Returns the file's length.
std::uint64_t check_magic(const std::filesystem::path& file) {
  InputFile input(file, ErrorCode::invalid_value, kWanted);
  const std::string start = input.read(0, std::min<std::uint64_t>(input.size(), 16));
  if (has_zip_magic(start)) return input.size();
  if (start.substr(0, kLegacyMagic.size()) == kLegacyMagic) {
    input.fail(ErrorCode::incompatible,
               "was written by PyTorch before 1.6, or in its old format; load it with PyTorch and "
               "save it again");
  }
  input.fail(ErrorCode::invalid_value, std::string("is not ") + kWanted + ": it is no zip archive");
}

// The one folder with a data.pkl, with its slash.
std::string find_folder(const ZipArchive& archive, const std::string& file) {
  std::string folder;
  for (const std::string& name : archive.names()) {
    const std::size_t slash = name.find('/');
    if (slash == name.npos || name.substr(slash) != kPickle) continue;
    if (!folder.empty()) fail_file(file, "holds several data.pkl; must be 1");
    folder = name.substr(0, slash + 1);
  }
  if (folder.empty()) {
    fail_file(file, std::string("is not ") + kWanted + ": the archive has no FOLDER/data.pkl");
  }
  return folder;
}

void refuse_script(const ZipArchive& archive, const std::string& folder, const std::string& file) {
  const std::string code = folder + "code/";
  const std::vector<std::string> names = archive.names();
  const bool has_code = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.substr(0, code.size()) == code;
  });
  if (!has_code && !archive.has(folder + "constants.pkl")) return;
  fail_file(file,
            "is a TorchScript archive, which holds a program; only files of torch.save are read",
            ErrorCode::incompatible);
}

void check_byte_order(const ZipArchive& archive, const std::string& folder,
                      const std::string& file) {
  const std::string name = folder + "byteorder";
  if (!archive.has(name)) return;
  const std::vector<unsigned char> bytes = archive.read(name, kByteOrderLimit);
  const std::string order(bytes.begin(), bytes.end());
  if (order != "little") {
    fail_file(file, "byteorder: found \"" + printable(order) + "\"; must be little");
  }
}

std::int64_t count_elements(const TensorReference& tensor, const std::string& where) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  std::int64_t product = 1;  // of the lengths above 0, so that no partial product overflows
  bool empty = false;
  for (const std::int64_t length : tensor.shape) {
    if (length < 0) fail_file(where, "the shape has the negative length " + std::to_string(length));
    empty = empty || length == 0;
    if (length > 1 && product > most / length) fail_file(where, "the shape is too large");
    product *= std::max<std::int64_t>(length, 1);
  }
  return empty ? 0 : product;
}

[[noreturn]] void fail_beyond(const TensorReference& tensor, const std::string& where) {
  fail_file(where, "offset, shape and stride reach beyond the storage's " +
                       std::to_string(tensor.storage_elements) + " elements");
}

// Every element lies in the storage. Not for empty tensors.
void check_reach(const TensorReference& tensor, const std::string& where) {
  if (tensor.offset >= tensor.storage_elements) fail_beyond(tensor, where);
  std::int64_t room = tensor.storage_elements - 1 - tensor.offset;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const std::int64_t steps = tensor.shape[i] - 1;
    const std::int64_t stride = tensor.stride[i];
    if (steps > 0 && stride > 0 && steps > room / stride) fail_beyond(tensor, where);
    room -= steps * stride;
  }
}

// Returns the number of elements.
std::int64_t check_layout(const TensorReference& tensor, const std::string& where) {
  if (tensor.shape.size() != tensor.stride.size()) {
    fail_file(where, "the shape has " + std::to_string(tensor.shape.size()) +
                         " dimensions, the stride " + std::to_string(tensor.stride.size()));
  }
  const std::int64_t count = count_elements(tensor, where);
  const auto negative = std::find_if(tensor.stride.begin(), tensor.stride.end(),
                                     [](std::int64_t stride) { return stride < 0; });
  if (negative != tensor.stride.end()) {
    fail_file(where, "the stride " + std::to_string(*negative) + " is negative");
  }
  if (tensor.offset < 0)
    fail_file(where, "the offset " + std::to_string(tensor.offset) + " is negative");
  if (count == 0) return 0;
  check_reach(tensor, where);
  if (count > tensor.storage_elements) {
    fail_file(where, "repeats elements: it has " + std::to_string(count) + ", its storage " +
                         std::to_string(tensor.storage_elements));
  }
  return count;
}

void check_storage(const TensorReference& tensor, std::uint64_t bytes, const std::string& where) {
  const std::size_t size = element_size(tensor.dtype);
  const auto elements = static_cast<std::uint64_t>(tensor.storage_elements);
  if (bytes % size == 0 && bytes / size == elements) return;
  fail_file(where, "the storage has " + std::to_string(bytes) + " bytes; must have " +
                       std::to_string(tensor.storage_elements) + " elements of " + tensor.dtype);
}

// Counts through the shape in C order and keeps the element's place in the storage.
class Walk {
 public:
  explicit Walk(const TensorReference& tensor)
      : tensor_(tensor), index_(tensor.shape.size()), place_(tensor.offset) {}

  std::int64_t place() const { return place_; }

  void next() {
    for (std::size_t i = index_.size(); i-- > 0;) {
      if (index_[i] + 1 < tensor_.shape[i]) {
        ++index_[i];
        place_ += tensor_.stride[i];
        return;
      }
      place_ -= index_[i] * tensor_.stride[i];
      index_[i] = 0;
    }
  }

 private:
  const TensorReference& tensor_;
  std::vector<std::int64_t> index_;
  std::int64_t place_;
};

std::vector<unsigned char> gather(const TensorReference& tensor, std::size_t count,
                                  const std::vector<unsigned char>& storage) {
  const std::size_t size = element_size(tensor.dtype);
  std::vector<unsigned char> bytes(count * size);
  Walk walk(tensor);
  for (std::size_t i = 0; i < count; ++i, walk.next()) {
    const std::size_t from = static_cast<std::size_t>(walk.place()) * size;
    std::memcpy(bytes.data() + i * size, storage.data() + from, size);
  }
  return bytes;
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& file, std::uint64_t file_bytes)
    : name_(file.string()), file_bytes_(file_bytes), archive_(file, file_bytes) {
  folder_ = find_folder(archive_, name_);
  refuse_script(archive_, folder_, name_);
  check_byte_order(archive_, folder_, name_);
  const std::string member = folder_ + "data.pkl";
  const std::vector<unsigned char> bytes = archive_.read(member, pickle_bytes_limit);
  root_ = read_pickle({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                      name_ + ", member \"" + printable(member) + "\"");
}

TorchFile TorchFile::open(const std::filesystem::path& file) { return {file, check_magic(file)}; }

const std::vector<unsigned char>& TorchFile::storage(const TensorReference& tensor) {
  const auto known = storages_.find(tensor.storage_key);
  if (known != storages_.end()) return known->second;
  const std::string member = folder_ + "data/" + tensor.storage_key;
  // Members of a hostile archive may lie over one another.
  std::vector<unsigned char> bytes = archive_.read(member, file_bytes_ - storage_bytes_);
  storage_bytes_ += bytes.size();
  return storages_.emplace(tensor.storage_key, std::move(bytes)).first->second;
}

StoredTensor TorchFile::read(const TensorReference& tensor, const std::string& where) {
  const auto count = static_cast<std::uint64_t>(check_layout(tensor, where));
  const std::vector<unsigned char>& bytes = storage(tensor);
  check_storage(tensor, bytes.size(), where);
  tensor_bytes_ += count * element_size(tensor.dtype);
  if (tensor_bytes_ > kTensorFactor * file_bytes_) {
    fail_file(where, "the tensors up to this one take more than " + std::to_string(kTensorFactor) +
                         " times the bytes of the file");
  }
  return {tensor.dtype, tensor.shape, gather(tensor, count, bytes)};
}

}  // namespace grevy::host

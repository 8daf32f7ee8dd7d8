#include "files/array_convert.hpp"
#include "files/array_text.hpp"
#include "files/npy_header.hpp"
#include "files/npz.hpp"

#include <grevy/error.hpp>
#include <grevy/host/array.hpp>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace grevy::host {
namespace {

using Bytes = std::shared_ptr<const unsigned char>;
using Shape = std::vector<std::int64_t>;

[[noreturn]] void fail(ErrorCode code, const std::string& where, const std::string& what) {
  throw Error(code, where + ": " + what);
}

std::string system_reason(int number) { return std::generic_category().message(number); }

class NumpyFile {
 public:
  // O_NONBLOCK: a named pipe without a writer must not hang us before it is refused.
  explicit NumpyFile(const std::filesystem::path& file)
      : name_(file.string()), descriptor_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) refuse_open(errno);
  }
  ~NumpyFile() { ::close(descriptor_); }
  NumpyFile(const NumpyFile&) = delete;
  NumpyFile& operator=(const NumpyFile&) = delete;

  std::uint64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) fail(ErrorCode::io, name_, system_reason(errno));
    if (!S_ISREG(status.st_mode)) {
      fail(ErrorCode::invalid_type, name_, "not a regular file; allowed: .npy and .npz files");
    }
    return static_cast<std::uint64_t>(status.st_size);
  }

  std::string start() const {
    std::array<char, npy_prefix_bytes> buffer{};
    const ssize_t got = ::pread(descriptor_, buffer.data(), buffer.size(), 0);
    if (got < 0) fail(ErrorCode::io, name_, "cannot be read: " + system_reason(errno));
    return std::string(buffer.data(), static_cast<std::size_t>(got));
  }

  Bytes map(std::size_t bytes) const {
    void* address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (address == MAP_FAILED) {
      fail(ErrorCode::io, name_, "cannot be memory-mapped: " + system_reason(errno));
    }
    return Bytes(static_cast<const unsigned char*>(address),
                 [address, bytes](const unsigned char*) { ::munmap(address, bytes); });
  }

 private:
  [[noreturn]] void refuse_open(int number) const {
    const bool missing = number == ENOENT || number == ENOTDIR;
    if (missing) fail(ErrorCode::not_found, name_, "no such file");
    fail(ErrorCode::io, name_, "cannot be opened: " + system_reason(number));
  }

  std::string name_;
  int descriptor_;
};

struct MappedNpy {
  NpyHeader header;
  Bytes bytes;
  std::string where;
};

MappedNpy map_npy(const NumpyFile& input, std::uint64_t size, const std::string& where) {
  const Bytes map = input.map(size);
  const std::string_view text(reinterpret_cast<const char*>(map.get()), size);
  const std::size_t header_bytes = npy_header_bytes(text.substr(0, npy_prefix_bytes), where);
  if (header_bytes > size) {
    fail(ErrorCode::invalid_value, where,
         "truncated: the .npy header needs " + std::to_string(header_bytes) + " bytes, has " +
             std::to_string(size));
  }
  NpyHeader header = parse_npy_header(text.substr(0, header_bytes), where);
  if (header.file_bytes() > size) {
    fail(ErrorCode::invalid_value, where,
         "truncated: needs " + std::to_string(header.file_bytes()) + " bytes, has " +
             std::to_string(size));
  }
  Bytes elements(map, map.get() + header.data_offset);
  return {std::move(header), std::move(elements), where};
}

template <typename T>
Bytes own(const Shape& shape, ElementType type, std::vector<T> values) {
  if (array_bytes(shape, type, "from_values") != values.size() * sizeof(T)) {
    fail(ErrorCode::invalid_value, "from_values",
         "the shape does not match: there are " + std::to_string(values.size()) + " values");
  }
  const auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return Bytes(owner, reinterpret_cast<const unsigned char*>(owner->data()));
}

bool is_aligned(const void* pointer, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(pointer) % alignment == 0;
}

}  // namespace

Array Array::open(const std::filesystem::path& file, const std::string& key) {
  const NumpyFile input(file);
  const std::uint64_t size = input.size();
  const std::string start = input.start();
  Array array;
  const auto adopt = [&array](auto source) {
    array.bytes_ = std::move(source.bytes);
    array.shape_ = std::move(source.header.shape);
    array.type_ = source.header.type;
    array.element_bytes_ = source.header.element_bytes;
    array.source_ = std::move(source.where);
    array.fortran_ = source.header.fortran;
    array.swapped_ = source.header.swapped;
  };
  if (has_zip_magic(start)) {
    adopt(read_npz(file, key, size));
    return array;
  }
  if (!has_npy_magic(start)) {
    fail(ErrorCode::invalid_type, file.string(), "not a NumPy file; allowed: .npy and .npz files");
  }
  if (!key.empty()) {
    fail(ErrorCode::not_found, file.string(),
         "no array \"" + printable(key) + "\": a .npy file holds one array without a name");
  }
  adopt(map_npy(input, size, file.string()));
  array.mapped_ = true;
  return array;
}

Array Array::from_values(Shape shape, std::vector<float> values) {
  Array array;
  array.type_ = ElementType::float32;
  array.element_bytes_ = sizeof(float);
  array.bytes_ = own(shape, array.type_, std::move(values));
  array.shape_ = std::move(shape);
  return array;
}

Array Array::from_values(Shape shape, std::vector<std::int64_t> values) {
  Array array;
  array.type_ = ElementType::int64;
  array.element_bytes_ = sizeof(std::int64_t);
  array.bytes_ = own(shape, array.type_, std::move(values));
  array.shape_ = std::move(shape);
  return array;
}

std::int64_t Array::size() const { return count_elements(shape_); }

bool Array::is_integer() const { return type_ <= ElementType::uint64; }

bool Array::is_text() const { return type_ >= ElementType::utf32_text; }

StoredArray Array::stored() const {
  if (!bytes_ && size() > 0)
    fail(ErrorCode::invalid_state, "this Array",
         "holds nothing; it was moved from or never opened");
  return {bytes_.get(), shape_, type_, element_bytes_, fortran_, swapped_, source_};
}

void Array::refuse_conversion(const char* allowed) const {
  fail(ErrorCode::invalid_type, source_,
       std::string(is_text() ? "holds text (" : "holds numbers (") + to_string(type_) +
           "); allowed: " + allowed);
}

std::shared_ptr<const float> Array::to_float32() const {
  if (is_text()) refuse_conversion("numbers");
  const bool as_stored = type_ == ElementType::float32 && !swapped_ && !fortran_;
  if (as_stored && bytes_ && is_aligned(bytes_.get(), alignof(float))) {
    return {bytes_, reinterpret_cast<const float*>(bytes_.get())};
  }
  const std::int64_t count = size();
  std::unique_ptr<float[]> values(new float[static_cast<std::size_t>(count)]);
  copy_as(stored(), values.get());
  return {values.release(), std::default_delete<float[]>()};
}

std::vector<std::int64_t> Array::to_int64() const {
  if (!is_integer()) refuse_conversion("integers or booleans");
  std::vector<std::int64_t> values(static_cast<std::size_t>(size()));
  copy_as(stored(), values.data());
  return values;
}

std::vector<std::string> Array::to_text() const {
  if (!is_text()) refuse_conversion("text (str or bytes)");
  return read_text(stored());
}

}  // namespace grevy::host

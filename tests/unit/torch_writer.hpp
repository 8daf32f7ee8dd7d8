// Pickles and archives as torch.save writes them, and others that it never would.
#ifndef GREVY_TESTS_TORCH_WRITER_HPP
#define GREVY_TESTS_TORCH_WRITER_HPP

#include <doctest/doctest.h>
#include <zip.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grevy::tests {

using Pickles = std::vector<std::string>;

inline std::string little_endian(std::uint64_t value, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

// Pieces of a pickle, each one value; pickle() makes it whole.
inline std::string pickle(const std::string& value) { return "\x80\x02" + value + "."; }
inline std::string pickle_integer(std::int64_t value) {
  return "\x8a\x08" + little_endian(static_cast<std::uint64_t>(value), 8);
}
inline std::string pickle_text(std::string_view text) {
  return "X" + little_endian(text.size(), 4) + std::string(text);
}
inline std::string pickle_all(const Pickles& values) {
  std::string all;
  for (const std::string& value : values) all += value;
  return all;
}
inline std::string pickle_list(const Pickles& values) { return "](" + pickle_all(values) + "e"; }
inline std::string pickle_tuple(const Pickles& values) { return "(" + pickle_all(values) + "t"; }
inline std::string pickle_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string all;
  for (const auto& [key, value] : items) all += pickle_text(key) + value;
  return "}(" + all + "u";
}
inline std::string pickle_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string pickle_call(const std::string& callee, const Pickles& args) {
  return callee + pickle_tuple(args) + "R";
}

struct TensorText {
  std::string key = "0";
  std::int64_t elements = 6;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape{2, 3};
  std::vector<std::int64_t> stride{3, 1};
  std::string storage = "FloatStorage";
};

inline std::string pickle_integers(const std::vector<std::int64_t>& numbers) {
  Pickles values;
  for (const std::int64_t number : numbers) values.push_back(pickle_integer(number));
  return pickle_tuple(values);
}
inline std::string pickle_storage(const TensorText& tensor) {
  return pickle_tuple({pickle_text("storage"), pickle_global("torch", tensor.storage),
                       pickle_text(tensor.key), pickle_text("cpu"),
                       pickle_integer(tensor.elements)}) +
         "Q";
}
inline std::string pickle_tensor(const TensorText& tensor) {
  return pickle_call(pickle_global("torch._utils", "_rebuild_tensor_v2"),
                     {pickle_storage(tensor), pickle_integer(tensor.offset),
                      pickle_integers(tensor.shape), pickle_integers(tensor.stride), "\x89", "}"});
}

struct ZipMember {
  std::string name;
  std::string bytes;
  zip_int32_t method = ZIP_CM_STORE;
};

inline std::filesystem::path write_zip(const std::filesystem::path& file,
                                       const std::vector<ZipMember>& members) {
  int code = 0;
  zip_t* archive = zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  REQUIRE(archive != nullptr);
  for (const ZipMember& member : members) {
    zip_source_t* source = zip_source_buffer(archive, member.bytes.data(), member.bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, member.name.c_str(), source, 0);
    REQUIRE(index >= 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), member.method, 9);
  }
  REQUIRE(zip_close(archive) == 0);
  return file;
}

// Six floats, 0 to 5, in storage "0".
inline ZipMember six_floats() {
  std::string bytes;
  for (const std::uint32_t bits :
       {0u, 0x3f800000u, 0x40000000u, 0x40400000u, 0x40800000u, 0x40a00000u}) {
    bytes += little_endian(bits, 4);
  }
  return {"archive/data/0", bytes};
}

}  // namespace grevy::tests

#endif

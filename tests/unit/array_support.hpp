// NumPy files, right and wrong, made byte by byte.
#ifndef GREVY_TESTS_ARRAY_SUPPORT_HPP
#define GREVY_TESTS_ARRAY_SUPPORT_HPP

#include "temporary_folder.hpp"

#include <grevy/error.hpp>
#include <grevy/host/array.hpp>

#include <doctest/doctest.h>
#include <zip.h>

#include <cstring>
#include <string>
#include <vector>

namespace grevy::tests {

inline std::string number_bytes(std::size_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// Any dictionary, right or wrong.
inline std::string npy_raw(const std::string& dictionary, const std::string& data = "",
                           char major = 1) {
  const std::size_t width = major == 1 ? 2 : 4;
  return std::string("\x93NUMPY") + major + '\0' + number_bytes(dictionary.size(), width) +
         dictionary + data;
}

inline std::string npy_dict(const std::string& descr, const std::string& shape,
                            bool fortran = false) {
  const std::string order = fortran ? "True" : "False";
  std::string text =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  text.append((64 - (10 + text.size() + 1) % 64) % 64, ' ');
  return text + "\n";
}

inline std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                       bool fortran = false) {
  return npy_raw(npy_dict(descr, shape, fortran), data);
}

template <typename T>
std::string raw(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

inline std::string utf32(std::initializer_list<std::uint32_t> points) { return raw(points); }

inline const std::string two_floats = npy("<f4", "(2,)", raw({1.5F, -2.0F}));

struct Failure {
  ErrorCode code = ErrorCode::internal;
  std::string message;
  bool says(const std::string& piece) const { return message.find(piece) != message.npos; }
};

template <typename Action>
Failure failure_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::internal, "nothing was thrown"};
}

inline void check_refused(const std::string& bytes, ErrorCode code, const std::string& piece) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.write("bad.npy", bytes);
  const Failure failure = failure_of([&] { host::Array::open(file); });
  CAPTURE(failure.message);
  CHECK(failure.code == code);
  CHECK(failure.says(piece));
  CHECK(failure.says("bad.npy"));
}

inline std::vector<float> floats(const host::Array& array) {
  const auto values = array.to_float32();
  return {values.get(), values.get() + array.size()};
}

inline host::Array open_bytes(const std::string& bytes) {
  const TemporaryFolder folder;  // the mapping outlives the name
  return host::Array::open(folder.write("a.npy", bytes));
}

struct Member {
  std::string name;
  std::string bytes;
  bool deflated = false;
};

inline std::filesystem::path make_zip(const std::filesystem::path& file,
                                      const std::vector<Member>& members) {
  int code = 0;
  zip_t* archive = zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  REQUIRE(archive != nullptr);
  for (const Member& member : members) {
    zip_source_t* source = zip_source_buffer(archive, member.bytes.data(), member.bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, member.name.c_str(), source, 0);
    REQUIRE(index >= 0);
    const auto method = member.deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 9);
  }
  REQUIRE(zip_close(archive) == 0);
  return file;
}

}  // namespace grevy::tests

#endif

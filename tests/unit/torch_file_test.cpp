#include "files/torch_file.hpp"

#include "files/pickle.hpp"
#include "temporary_folder.hpp"
#include "torch_writer.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

namespace fs = std::filesystem;

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::PickleDict;
using grevy::host::read_pickle;
using grevy::host::StoredTensor;
using grevy::host::TensorPointer;
using grevy::host::TorchFile;
using grevy::host::ZipArchive;
using namespace grevy::tests;
using namespace std::string_literals;

namespace {

fs::path data_file(const std::string& name) { return fs::path(GREVY_TEST_DATA) / "torch" / name; }

StoredTensor tensor_of(TorchFile& file, const std::string& name) {
  const auto* value = std::get<PickleDict>(file.root().value).find(name);
  REQUIRE(value != nullptr);
  return file.read(*std::get<TensorPointer>(value->value), file.name());
}

template <typename T>
std::vector<T> elements(const StoredTensor& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

template <typename Run>
void check_fails(const Run& run, const std::string& piece, ErrorCode code) {
  try {
    run();
    FAIL("nothing was thrown for: " << piece);
  } catch (const Error& error) {
    const std::string message = error.what();
    CAPTURE(message);
    CAPTURE(piece);
    CHECK(error.code() == code);
    CHECK(message.find("a.pt") != std::string::npos);
    CHECK(message.find(piece) != std::string::npos);
    CHECK(message.size() < 600);
  }
}

void check_bytes_refused(const std::string& bytes, const std::string& piece,
                         ErrorCode code = ErrorCode::invalid_value) {
  const TemporaryFolder folder;
  const fs::path file = folder.write("a.pt", bytes);
  check_fails([&] { TorchFile::open(file); }, piece, code);
}

void check_archive_refused(const std::vector<ZipMember>& members, const std::string& piece,
                           ErrorCode code = ErrorCode::invalid_value) {
  const TemporaryFolder folder;
  const fs::path file = write_zip(folder / "a.pt", members);
  check_fails([&] { TorchFile::open(file); }, piece, code);
}

ZipMember pickle_member(const std::string& value) { return {"archive/data.pkl", pickle(value)}; }

// Opens; fails when the tensor "t" is read.
void check_tensor_refused(const TensorText& text, const std::string& piece,
                          ErrorCode code = ErrorCode::invalid_value,
                          const ZipMember& storage = six_floats()) {
  const TemporaryFolder folder;
  TorchFile file = TorchFile::open(write_zip(
      folder / "a.pt", {pickle_member(pickle_dict({{"t", pickle_tensor(text)}})), storage}));
  check_fails([&] { tensor_of(file, "t"); }, piece, code);
}

std::vector<float> read_floats(const TensorText& text) {
  const TemporaryFolder folder;
  TorchFile file = TorchFile::open(write_zip(
      folder / "a.pt", {pickle_member(pickle_dict({{"t", pickle_tensor(text)}})), six_floats()}));
  return elements<float>(tensor_of(file, "t"));
}

}  // namespace

TEST_CASE("torch file: views of one storage and other dtypes") {
  TorchFile file = TorchFile::open(data_file("views.pt"));
  const StoredTensor rows = tensor_of(file, "rows");
  CHECK(rows.dtype == "F64");
  CHECK(rows.shape == std::vector<std::int64_t>{3, 4});
  CHECK(elements<double>(rows) == std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const StoredTensor columns = tensor_of(file, "columns");
  CHECK(columns.shape == std::vector<std::int64_t>{4, 3});
  CHECK(elements<double>(columns) == std::vector<double>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(elements<double>(tensor_of(file, "corner")) == std::vector<double>{6, 7, 10, 11});
  const StoredTensor scalar = tensor_of(file, "scalar");
  CHECK(scalar.shape.empty());
  CHECK(elements<double>(scalar) == std::vector<double>{11});
  const StoredTensor parameter = tensor_of(file, "parameter");
  CHECK(parameter.dtype == "F16");
  CHECK(elements<std::uint16_t>(parameter) == std::vector<std::uint16_t>{0x3c00, 0xc000});
  CHECK(elements<std::int64_t>(tensor_of(file, "long")) ==
        std::vector<std::int64_t>{-1, std::int64_t{1} << 40});
  CHECK(elements<unsigned char>(tensor_of(file, "bytes")) == std::vector<unsigned char>{0, 255, 7});
  const StoredTensor empty = tensor_of(file, "empty");
  CHECK(empty.shape == std::vector<std::int64_t>{0, 3});
  CHECK(empty.bytes.empty());
}

TEST_CASE("torch file: the folder may have any name, the byte order may be absent") {
  const TemporaryFolder folder;
  CHECK_NOTHROW(TorchFile::open(write_zip(folder / "a.pt", {{"x y/data.pkl", pickle("N")}})));
  CHECK_NOTHROW(TorchFile::open(write_zip(
      folder / "b.pt", {{"a/data.pkl", pickle("N")}, {"a/byteorder", "little"}, {"other", "x"}})));
}

TEST_CASE("torch file: no archive, or another kind") {
  const TemporaryFolder folder;
  check_fails([&] { TorchFile::open(folder / "a.pt"); }, "no such file", ErrorCode::not_found);
  CHECK_THROWS_WITH_AS(TorchFile::open(folder.path()),
                       doctest::Contains("is not a file of torch.save: it is a folder"), Error);
  check_bytes_refused("", "is not a file of torch.save: it is no zip archive");
  check_bytes_refused("\x80\2N.", "is not a file of torch.save: it is no zip archive");
  check_bytes_refused("PK\3\4", "damaged or truncated zip archive: ");
  check_bytes_refused("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3."s,
                      "was written by PyTorch before 1.6, or in its old format; load it with",
                      ErrorCode::incompatible);
  check_archive_refused({{"a/other", "x"}}, "the archive has no FOLDER/data.pkl");
  check_archive_refused({{"data.pkl", pickle("N")}}, "the archive has no FOLDER/data.pkl");
  check_archive_refused({{"a/data.pkl", pickle("N")}, {"b/data.pkl", pickle("N")}},
                        "holds several data.pkl; must be 1");
  const std::string script = "is a TorchScript archive, which holds a program";
  check_archive_refused({{"a/data.pkl", pickle("N")}, {"a/constants.pkl", pickle(")")}}, script,
                        ErrorCode::incompatible);
  check_archive_refused({{"a/data.pkl", pickle("N")}, {"a/code/__torch__.py", ""}}, script,
                        ErrorCode::incompatible);
}

TEST_CASE("torch file: byte orders") {
  check_archive_refused({pickle_member("N"), {"archive/byteorder", "big"}},
                        "byteorder: found \"big\"; must be little");
  check_archive_refused({pickle_member("N"), {"archive/byteorder", "\xff\n"}},
                        "byteorder: found \"? \"; must be little");
  check_archive_refused({pickle_member("N"), {"archive/byteorder", std::string(17, 'x')}},
                        "\"archive/byteorder\": claims 17 bytes; at most 16 are allowed");
}

TEST_CASE("torch file: compressed members") {
  check_archive_refused(
      {{"archive/data.pkl", pickle("]" + std::string(1000, 'N')), ZIP_CM_DEFLATE}},
      "member \"archive/data.pkl\": is compressed (method 8)");
}

TEST_CASE("torch file: files that would run something") {
  CHECK_THROWS_WITH_AS(TorchFile::open(data_file("command.pt")),
                       doctest::Contains("\"command/data.pkl\", byte "), Error);
  const auto named = [](const char* name) {
    try {
      TorchFile::open(data_file(name));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::incompatible);
      return std::string(error.what());
    }
    return ""s;
  };
  // Python's os.system is that of the platform.
  CHECK(named("command.pt").find("names \"posix.system\", which is no known class") !=
        std::string::npos);
  CHECK(named("object.pt")
            .find("names \"cebra.integrations.sklearn.cebra.CEBRA\", which is no "
                  "known class or function (a whole CEBRA object; save it with "
                  "backend=\"sklearn\"") != std::string::npos);
}

TEST_CASE("torch file: layouts inside a storage") {
  CHECK(read_floats({}) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(read_floats({"0", 6, 1, {2, 2}, {2, 1}}) == std::vector<float>{1, 2, 3, 4});
  CHECK(read_floats({"0", 6, 5, {1, 1}, {INT64_MAX, INT64_MAX}}) == std::vector<float>{5});
  CHECK(read_floats({"0", 6, 2, {4}, {0}}) == std::vector<float>{2, 2, 2, 2});
  CHECK(read_floats({"0", 6, 0, {2, 3}, {1, 1}}) == std::vector<float>{0, 1, 2, 1, 2, 3});
  CHECK(read_floats({"0", 6, 99, {0, 5}, {9, 9}}).empty());
}

TEST_CASE("torch file: layouts beyond a storage") {
  const std::string beyond = "offset, shape and stride reach beyond the storage's 6 elements";
  check_tensor_refused({"0", 6, 1, {2, 3}, {3, 1}}, beyond);
  check_tensor_refused({"0", 6, 6, {}, {}}, beyond);
  check_tensor_refused({"0", 6, INT64_MAX, {}, {}}, beyond);
  check_tensor_refused({"0", 6, 0, {2, 3}, {4, 1}}, beyond);
  check_tensor_refused({"0", 6, 0, {2}, {INT64_MAX}}, beyond);
  check_tensor_refused({"0", 6, 0, {3, 3}, {INT64_MAX / 2, INT64_MAX / 2}}, beyond);
  check_tensor_refused({"0", 6, 0, {INT64_MAX}, {1}}, beyond);
  check_tensor_refused({"0", 0, 0, {}, {}},
                       "offset, shape and stride reach beyond the storage's 0 elements");
  check_tensor_refused({"0", -1, 0, {}, {}}, "beyond the storage's -1 elements");
  check_tensor_refused({"0", 6, 0, {7}, {0}}, "repeats elements: it has 7, its storage 6");
  check_tensor_refused({"0", 6, 0, {1LL << 31, 1LL << 31}, {0, 0}}, "repeats elements: it has 46");
}

TEST_CASE("torch file: layouts that are none") {
  check_tensor_refused({"0", 6, 0, {-2, 3}, {3, 1}}, "the shape has the negative length -2");
  check_tensor_refused({"0", 6, 0, {INT64_MIN}, {1}}, "the shape has the negative length -92");
  check_tensor_refused({"0", 6, 5, {2, 3}, {-3, 1}}, "the stride -3 is negative");
  check_tensor_refused({"0", 6, -1, {2, 3}, {3, 1}}, "the offset -1 is negative");
  check_tensor_refused({"0", 6, 0, {2, 3}, {1}}, "the shape has 2 dimensions, the stride 1");
  check_tensor_refused({"0", 6, 0, {INT64_MAX, INT64_MAX}, {0, 0}}, "the shape is too large");
  check_tensor_refused({"0", 6, 0, {INT64_MAX, 2, 0}, {0, 0, 0}}, "the shape is too large");
}

TEST_CASE("torch file: storages that are missing or of another length") {
  check_tensor_refused({"1", 6, 0, {2, 3}, {3, 1}}, "\"archive/data/1\": is not in the archive",
                       ErrorCode::not_found);
  check_tensor_refused({"../data.pkl", 6, 0, {2, 3}, {3, 1}}, "is not in the archive",
                       ErrorCode::not_found);
  check_tensor_refused({"0", 7, 0, {2, 3}, {3, 1}},
                       "the storage has 24 bytes; must have 7 elements of F32");
  check_tensor_refused({"0", 5, 0, {2}, {1}}, "must have 5 elements of F32");
  check_tensor_refused({"0", 6, 0, {2, 3}, {3, 1}, "DoubleStorage"},
                       "the storage has 24 bytes; must have 6 elements of F64");
  check_tensor_refused({"0", INT64_MAX, 0, {2}, {1}}, "the storage has 24 bytes");
  check_tensor_refused({"0", -1, 0, {0}, {1}}, "must have -1 elements of F32");
  check_tensor_refused({"0", 6, 0, {2, 3}, {3, 1}}, "\"archive/data/0\": is compressed",
                       ErrorCode::invalid_value,
                       {"archive/data/0", std::string(24, '\0'), ZIP_CM_DEFLATE});
}

TEST_CASE("torch file: a storage with a wrong checksum") {
  const TemporaryFolder folder;
  const fs::path file = write_zip(
      folder / "a.pt", {pickle_member(pickle_dict({{"t", pickle_tensor({})}})), six_floats()});
  std::string bytes = file_bytes(file);
  const std::size_t at = bytes.find(six_floats().bytes);
  REQUIRE(at != std::string::npos);
  bytes[at] = '\1';
  folder.write("a.pt", bytes);
  TorchFile opened = TorchFile::open(file);
  check_fails([&] { tensor_of(opened, "t"); }, "\"archive/data/0\": damaged: CRC error",
              ErrorCode::invalid_value);
}

TEST_CASE("torch file: all tensors together are bounded by the file") {
  const TemporaryFolder folder;
  TorchFile file = TorchFile::open(write_zip(
      folder / "a.pt", {pickle_member(pickle_dict({{"t", pickle_tensor({})}})), six_floats()}));
  const auto read_many = [&] {
    for (int i = 0; i < 1000; ++i) tensor_of(file, "t");
  };
  check_fails(read_many, "the tensors up to this one take more than 16 times the bytes of the file",
              ErrorCode::invalid_value);
}

TEST_CASE("torch file: the pickle is truncated at every byte") {
  const fs::path file = data_file("solver.pt");
  const ZipArchive archive(file, fs::file_size(file));
  const std::vector<unsigned char> bytes = archive.read("solver/data.pkl", 1 << 20);
  const std::string good(bytes.begin(), bytes.end());
  CHECK_NOTHROW(read_pickle(good, "a.pt"));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(read_pickle(good.substr(0, size), "a.pt"), Error);
  }
}

TEST_CASE("torch file: the archive is truncated at every byte") {
  const TemporaryFolder folder;
  const std::string good = file_bytes(data_file("views.pt"));
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK_THROWS_AS(TorchFile::open(folder.write("a.pt", good.substr(0, size))), Error);
  }
}

TEST_CASE("torch file: the archive is damaged at every byte") {
  const TemporaryFolder folder;
  const std::string good = file_bytes(data_file("views.pt"));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const char value : {'\0', '\xff'}) {
      CAPTURE(at);
      std::string bad = good;
      bad[at] = value;
      const fs::path file = folder.write("a.pt", bad);
      try {
        TorchFile opened = TorchFile::open(file);
        for (const auto& item : std::get<PickleDict>(opened.root().value).items) {
          opened.read(*std::get<TensorPointer>(item.value.value), "a.pt");
        }
      } catch (const Error& error) {
        CHECK(std::string(error.what()).find("a.pt") != std::string::npos);
      }
    }
  }
}

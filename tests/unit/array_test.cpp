#include <grevy/error.hpp>
#include <grevy/host/array.hpp>

#include <doctest/doctest.h>
#include <zip.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::Array;
using grevy::host::ElementType;
using grevy::host::NpyWriter;
using grevy::host::write_npy;

namespace fs = std::filesystem;
using namespace std::string_literals;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "grevy-array-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(const std::string& name) const { return path_ / name; }
  fs::path put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  bool is_empty() const { return fs::is_empty(path_); }

 private:
  fs::path path_;
};

std::string slurp(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string number_bytes(std::size_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// Any dictionary, right or wrong.
std::string npy_raw(const std::string& dictionary, const std::string& data = "", char major = 1) {
  const std::size_t width = major == 1 ? 2 : 4;
  return "\x93NUMPY"s + major + '\0' + number_bytes(dictionary.size(), width) + dictionary + data;
}

std::string npy_dict(const std::string& descr, const std::string& shape, bool fortran = false) {
  const std::string order = fortran ? "True" : "False";
  std::string text =
      "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  text.append((64 - (10 + text.size() + 1) % 64) % 64, ' ');
  return text + "\n";
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                bool fortran = false) {
  return npy_raw(npy_dict(descr, shape, fortran), data);
}

template <typename T>
std::string raw(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

std::string utf32(std::initializer_list<std::uint32_t> points) { return raw(points); }

const std::string two_floats = npy("<f4", "(2,)", raw({1.5F, -2.0F}));

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

void check_refused(const std::string& bytes, ErrorCode code, const std::string& piece) {
  const Folder folder;
  const fs::path file = folder.put("bad.npy", bytes);
  const Failure failure = failure_of([&] { Array::open(file); });
  CAPTURE(failure.message);
  CHECK(failure.code == code);
  CHECK(failure.says(piece));
  CHECK(failure.says("bad.npy"));
}

void check_dictionary(const std::string& dictionary, const std::string& piece) {
  check_refused(npy_raw(dictionary + "\n", std::string(64, '\0')), ErrorCode::invalid_value, piece);
}

std::vector<float> floats(const Array& array) {
  const auto values = array.to_float32();
  return {values.get(), values.get() + array.size()};
}

Array open_bytes(const std::string& bytes) {
  const Folder folder;  // the mapping outlives the name
  return Array::open(folder.put("a.npy", bytes));
}

struct Member {
  std::string name;
  std::string bytes;
  bool deflated = false;
};

fs::path make_zip(const fs::path& file, const std::vector<Member>& members) {
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

// Overwrites a field of the first record in the central directory.
void patch_directory(const fs::path& file, std::size_t offset, const std::string& field) {
  std::string bytes = slurp(file);
  const std::size_t record = bytes.find("PK\x01\x02");
  REQUIRE(record != bytes.npos);
  bytes.replace(record + offset, field.size(), field);
  std::ofstream(file, std::ios::binary) << bytes;
}

Failure open_zip_failure(const fs::path& file, const std::string& key = "") {
  const Failure failure = failure_of([&] { Array::open(file, key); });
  INFO(failure.message);
  CHECK(failure.says(file.filename().string()));
  return failure;
}

struct Kind {
  const char* code;
  ElementType type;
  const char* name;
  std::size_t bytes;
};

const std::vector<Kind> kinds{
    {"b1", ElementType::boolean, "bool", 1},    {"i1", ElementType::int8, "int8", 1},
    {"i2", ElementType::int16, "int16", 2},     {"i4", ElementType::int32, "int32", 4},
    {"i8", ElementType::int64, "int64", 8},     {"u1", ElementType::uint8, "uint8", 1},
    {"u2", ElementType::uint16, "uint16", 2},   {"u4", ElementType::uint32, "uint32", 4},
    {"u8", ElementType::uint64, "uint64", 8},   {"f2", ElementType::float16, "float16", 2},
    {"f4", ElementType::float32, "float32", 4}, {"f8", ElementType::float64, "float64", 8}};

// Bytes of a small number 0 to 5, least significant first.
std::string element(const Kind& kind, int value) {
  static const std::vector<std::uint16_t> halves{0x0000, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500};
  if (kind.type == ElementType::boolean) return number_bytes(value != 0, 1);
  if (kind.type == ElementType::float16) return number_bytes(halves.at(value), 2);
  if (kind.type == ElementType::float32) return raw({static_cast<float>(value)});
  if (kind.type == ElementType::float64) return raw({static_cast<double>(value)});
  return number_bytes(static_cast<std::size_t>(value), kind.bytes);
}

// The 2 x 3 array 0 1 2 / 3 4 5.
std::string matrix_data(const Kind& kind, bool big, bool fortran) {
  const std::vector<int> order =
      fortran ? std::vector{0, 3, 1, 4, 2, 5} : std::vector{0, 1, 2, 3, 4, 5};
  std::string data;
  for (const int value : order) {
    std::string one = element(kind, value);
    if (big) std::reverse(one.begin(), one.end());
    data += one;
  }
  return data;
}

void check_matrix(const Kind& kind, char order, bool big, bool fortran) {
  CAPTURE(kind.name);
  CAPTURE(order);
  CAPTURE(fortran);
  const Array array = open_bytes(
      npy(order + std::string(kind.code), "(2, 3)", matrix_data(kind, big, fortran), fortran));
  const bool boolean = kind.type == ElementType::boolean;
  CHECK(array.type() == kind.type);
  CHECK(to_string(array.type()) == std::string(kind.name));
  CHECK(array.shape() == std::vector<std::int64_t>{2, 3});
  CHECK(array.is_mapped());
  CHECK(array.is_integer() == (kind.code[0] != 'f'));
  CHECK(floats(array) ==
        (boolean ? std::vector<float>{0, 1, 1, 1, 1, 1} : std::vector<float>{0, 1, 2, 3, 4, 5}));
  if (!array.is_integer()) return;
  CHECK(array.to_int64() == (boolean ? std::vector<std::int64_t>{0, 1, 1, 1, 1, 1}
                                     : std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
}

// Limits the length of written files, which makes write() fail as a full disk would.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("array: every dtype, byte order and memory order (little-endian machine)") {
  for (const Kind& kind : kinds) {
    for (const bool fortran : {false, true}) {
      check_matrix(kind, '<', false, fortran);
      check_matrix(kind, '>', true, fortran);
      check_matrix(kind, '=', false, fortran);
      check_matrix(kind, '|', false, fortran);
    }
  }
  CHECK(open_bytes(npy("?", "(2,)", "\1\0"s)).to_int64() == std::vector<std::int64_t>{1, 0});
  CHECK(open_bytes(npy("|b1", "(2,)", "\xff\0"s)).to_int64() == std::vector<std::int64_t>{1, 0});
}

TEST_CASE("array: signs, extremes and special floats") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(open_bytes(npy("|i1", "(1,)", "\xff")).to_int64().at(0) == -1);
  CHECK(open_bytes(npy("|u1", "(1,)", "\xff")).to_int64().at(0) == 255);
  CHECK(open_bytes(npy(">i2", "(1,)", "\xff\xfe")).to_int64().at(0) == -2);
  CHECK(open_bytes(npy("<i8", "(1,)", raw({INT64_MIN}))).to_int64().at(0) == INT64_MIN);
  CHECK(open_bytes(npy("<u8", "(1,)", raw({INT64_MAX}))).to_int64().at(0) == INT64_MAX);
  CHECK(floats(open_bytes(npy("<u8", "(1,)", raw({UINT64_MAX})))).at(0) == 0x1p64F);
  const std::string doubles = raw({1e300, -1e300, 0.1});
  CHECK(floats(open_bytes(npy("<f8", "(3,)", doubles))) == std::vector{infinity, -infinity, 0.1F});
  const std::string halves = raw<std::uint16_t>({0x7c00, 0xfc00, 0x0001, 0x83ff, 0x7bff, 0x3555});
  CHECK(floats(open_bytes(npy("<f2", "(6,)", halves))) ==
        std::vector{infinity, -infinity, 0x1p-24F, -1023 * 0x1p-24F, 65504.0F, 0x1.554p-2F});
  CHECK(std::isnan(floats(open_bytes(npy("<f2", "(1,)", raw<std::uint16_t>({0x7e01})))).at(0)));
  CHECK(std::signbit(floats(open_bytes(npy("<f2", "(1,)", raw<std::uint16_t>({0x8000})))).at(0)));
}

TEST_CASE("array: to_int64 refuses floats and too large numbers") {
  const Failure real = failure_of([] { open_bytes(two_floats).to_int64(); });
  CHECK(real.code == ErrorCode::invalid_type);
  CHECK(real.says("float32"));
  const Array large = open_bytes(npy("<u8", "(1,)", raw({std::uint64_t{1} << 63U})));
  const Failure huge = failure_of([&] { large.to_int64(); });
  CHECK(huge.code == ErrorCode::invalid_value);
  CHECK(huge.says("9223372036854775808"));
}

TEST_CASE("array: a conversion that fails names the file and the member") {
  const Folder folder;
  const Array mapped = Array::open(folder.put("a.npy", two_floats));
  CHECK(
      failure_of([&] { mapped.to_int64(); }).says("a.npy: holds numbers (float32); allowed: int"));
  const std::string large = npy("<u8", "(1,)", raw({UINT64_MAX}));
  const Array packed = Array::open(make_zip(folder / "b.npz", {{"x.npy", large}}));
  CHECK(failure_of([&] {
          packed.to_int64();
        }).says("b.npz, array \"x\": holds the uint64 18446744073709551615; allowed: at most"));
  const Array made = Array::from_values({1}, std::vector<float>{1});
  CHECK(failure_of([&] { made.to_int64(); }).says("array in memory: holds numbers (float32)"));
}

TEST_CASE("array: text of every form, without its padding") {
  using Texts = std::vector<std::string>;
  const Array array = open_bytes(npy("<U3", "(3,)", utf32({'a', 'b', 'c', 'd', 0, 0, 0, 0, 0})));
  CHECK(array.is_text());
  CHECK_FALSE(array.is_integer());
  CHECK(array.type() == ElementType::utf32_text);
  CHECK(to_string(array.type()) == "str"s);
  CHECK(array.shape() == std::vector<std::int64_t>{3});
  CHECK(array.to_text() == Texts{"abc", "d", ""});
  CHECK_FALSE(open_bytes(two_floats).is_text());
  for (const char* descr : {"|U1", "=U1", "U1"})
    CHECK(open_bytes(npy(descr, "(2,)", utf32({'x', 'y'}))).to_text() == Texts{"x", "y"});
  CHECK(open_bytes(npy(">U2", "(1,)", "\0\0\0w\0\1\xf4\0"s)).to_text() ==
        Texts{"w\xf0\x9f\x90\x80"});
  const Array bytes = open_bytes(npy("|S3", "(2,)", "abcd\0\0"s));
  CHECK(bytes.type() == ElementType::byte_text);
  CHECK(to_string(bytes.type()) == "bytes"s);
  CHECK(bytes.to_text() == Texts{"abc", "d"});
  CHECK(open_bytes(npy("|S2", "(2,)", "\0\0e\0"s)).to_text() == Texts{"", "e"});
  CHECK(open_bytes(npy("S4", "(1,)", "\0a\0\0"s)).to_text() == Texts{"\0a"s});  // not padding
  CHECK(open_bytes(npy("<U2", "(1,)", utf32({0, 'a'}))).to_text() == Texts{"\0a"s});
}

TEST_CASE("array: text is row-major UTF-8 whatever its shape and order") {
  using Texts = std::vector<std::string>;
  const std::string columns = utf32({'a', 'd', 'b', 'e', 'c', 'f'});
  CHECK(open_bytes(npy("<U1", "(2, 3)", columns, true)).to_text() ==
        Texts{"a", "b", "c", "d", "e", "f"});
  CHECK(open_bytes(npy("|S2", "(2, 2)", "aAcCbBdD", true)).to_text() ==
        Texts{"aA", "bB", "cC", "dD"});
  CHECK(open_bytes(npy("<U2", "()", utf32({'o', 'k'}))).to_text() == Texts{"ok"});
  CHECK(open_bytes(npy("<U2", "(0, 4)", "")).to_text().empty());
  const Folder folder;
  const std::string names = npy("|S2", "(2,)", "hipa");
  const fs::path file = make_zip(folder / "a.npz", {{"names.npy", names, true}});
  CHECK(Array::open(file, "names").to_text() == Texts{"hi", "pa"});
}

TEST_CASE("array: the first and last code point of every length of UTF-8") {
  const std::vector<std::pair<std::uint32_t, std::string>> points{{0x1, "\x01"},
                                                                  {0x7f, "\x7f"},
                                                                  {0x80, "\xc2\x80"},
                                                                  {0x7ff, "\xdf\xbf"},
                                                                  {0x800, "\xe0\xa0\x80"},
                                                                  {0xd7ff, "\xed\x9f\xbf"},
                                                                  {0xe000, "\xee\x80\x80"},
                                                                  {0xffff, "\xef\xbf\xbf"},
                                                                  {0x10000, "\xf0\x90\x80\x80"},
                                                                  {0x10ffff, "\xf4\x8f\xbf\xbf"}};
  for (const auto& one : points) {
    const std::string& text = one.second;
    CAPTURE(one.first);
    CHECK(open_bytes(npy("<U1", "(1,)", utf32({one.first}))).to_text().at(0) == text);
    const std::string descr = "|S" + std::to_string(text.size());
    CHECK(open_bytes(npy(descr, "(1,)", text)).to_text().at(0) == text);
  }
}

TEST_CASE("array: what is no text is refused with its row") {
  for (const std::uint32_t point : {0xd800U, 0xdfffU, 0x110000U, 0xffffffffU}) {
    CAPTURE(point);
    const Array array = open_bytes(npy("<U1", "(2, 2)", utf32({'a', 'b', 'c', point})));
    const Failure failure = failure_of([&] { array.to_text(); });
    CHECK(failure.code == ErrorCode::invalid_value);
    CHECK(failure.says("a.npy: row 1 (counted from 0): found the code point U+"));
  }
  const Array swapped = open_bytes(npy(">U2", "(1,)", "\0\0\0a\0\x11\0\0"s));
  CHECK(failure_of([&] { swapped.to_text(); })
            .says("row 0 (counted from 0): found the code point U+110000 at character 1; allowed: "
                  "U+0000 to U+D7FF and U+E000 to U+10FFFF"));
  const Array columns = open_bytes(npy("|S1", "(3, 2)", "abcde\xff", true));
  CHECK(failure_of([&] { columns.to_text(); }).says("row 2 (counted from 0): found the byte 0xFF"));
  // A lone continuation, overlong forms, a surrogate, beyond U+10FFFF, cut short, a wrong follower.
  for (const std::string& text :
       {"a\x80"s, "a\xc0\x80"s, "a\xc1\xbf"s, "a\xe0\x9f\xbf"s, "a\xf0\x8f\xbf\xbf"s,
        "a\xed\xa0\x80"s, "a\xf4\x90\x80\x80"s, "a\xf5\x80\x80\x80"s, "a\xe2\x82"s, "a\xc3z"s,
        "a\xf0\x9f\x90z"s}) {
    CAPTURE(text);
    const Array array = open_bytes(npy("|S" + std::to_string(text.size()), "(1,)", text));
    const Failure failure = failure_of([&] { array.to_text(); });
    CHECK(failure.code == ErrorCode::invalid_value);
    CHECK(failure.says(" at 1, which begins no UTF-8 character; allowed: UTF-8"));
  }
}

TEST_CASE("array: text is no number and numbers are no text") {
  const Array text = open_bytes(npy("<U1", "(1,)", utf32({'1'})));
  const Failure real = failure_of([&] { text.to_float32(); });
  CHECK(real.code == ErrorCode::invalid_type);
  CHECK(real.says("a.npy: holds text (str); allowed: numbers"));
  const Failure whole = failure_of([&] { text.to_int64(); });
  CHECK(whole.code == ErrorCode::invalid_type);
  CHECK(whole.says("holds text (str); allowed: integers or booleans"));
  const Failure bytes = failure_of([] { open_bytes(npy("|S1", "(1,)", "1")).to_float32(); });
  CHECK(bytes.says("holds text (bytes); allowed: numbers"));
  const Failure number = failure_of([] { open_bytes(two_floats).to_text(); });
  CHECK(number.code == ErrorCode::invalid_type);
  CHECK(number.says("holds numbers (float32); allowed: text (str or bytes)"));
}

TEST_CASE("array: the size of text is checked against the file before it is read") {
  check_refused(npy("<U1000000", "(1000,)", "abcd"), ErrorCode::invalid_value,
                "truncated: needs 4000000128 bytes, has 132");
  check_refused(npy("<U3", "(2,)", std::string(23, '\0')), ErrorCode::invalid_value, "truncated");
  check_refused(npy("<U536870911", "(4294967296,)", ""), ErrorCode::invalid_value, "overflows");
}

TEST_CASE("array: shapes from scalar to eight dimensions, and empty ones") {
  const Array scalar = open_bytes(npy("<f4", "()", raw({7.0F})));
  CHECK(scalar.shape().empty());
  CHECK(floats(scalar) == std::vector{7.0F});
  const Array deep = open_bytes(npy("<f4", "(1, 1, 1, 2, 1, 1, 1, 1)", raw({1.0F, 2.0F}), true));
  CHECK(deep.shape().size() == 8);
  CHECK(floats(deep) == std::vector{1.0F, 2.0F});
  for (const char* shape : {"(0,)", "(0, 3)", "(3, 0)", "(2, 0, 4)"}) {
    for (const char* descr : {"<f4", ">f4", "<i2"}) {
      const Array empty = open_bytes(npy(descr, shape, "", true));
      CHECK(empty.size() == 0);
      CHECK(floats(empty).empty());
    }
  }
  CHECK(open_bytes(npy("<i4", "(0,)", "")).to_int64().empty());
}

TEST_CASE("array: three-dimensional Fortran order") {
  std::string data;
  for (int k = 0; k < 4; ++k) {
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 2; ++i)
        data += number_bytes(static_cast<std::size_t>(12 * i + 4 * j + k), 4);
    }
  }
  std::vector<std::int64_t> expected(24);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<std::int64_t>(i);
  CHECK(open_bytes(npy("<i4", "(2, 3, 4)", data, true)).to_int64() == expected);
}

TEST_CASE("array: shares the file's pages where it can") {
  const Array array = open_bytes(two_floats);
  CHECK(array.to_float32().get() == array.to_float32().get());
  const Array copy = array;
  CHECK(copy.to_float32() == array.to_float32());
  const auto shares = [](const std::string& bytes) {
    const Array one = open_bytes(bytes);
    return one.to_float32() == one.to_float32();
  };
  const std::string data = raw({1.0F, 2.0F, 3.0F, 4.0F});
  CHECK(shares(npy("<f4", "(4,)", data, true)));
  CHECK(shares(npy("<f4", "(1, 4, 1)", data, true)));
  CHECK_FALSE(shares(npy("<f4", "(2, 2)", data, true)));
  CHECK_FALSE(shares(npy(">f4", "(4,)", data)));
  CHECK_FALSE(shares(npy("<i4", "(4,)", data)));
}

TEST_CASE("array: the pointer outlives the Array, the file's name and its Array copies") {
  const auto values = open_bytes(two_floats).to_float32();
  CHECK(values.get()[0] == 1.5F);
  CHECK(values.get()[1] == -2.0F);
}

TEST_CASE("array: misaligned elements are copied") {
  std::string dictionary = npy_dict("<f4", "(2,)");
  dictionary.insert(1, " ");
  const Array array = open_bytes(npy_raw(dictionary, raw({1.5F, -2.0F})));
  CHECK(floats(array) == std::vector{1.5F, -2.0F});
  CHECK(array.to_float32() != array.to_float32());
}

TEST_CASE("array: format versions, key order, quotes, spaces, trailing bytes") {
  const std::string dictionary = npy_dict("<f4", "(2,)");
  const std::string data = raw({1.5F, -2.0F});
  const std::vector<float> expected{1.5F, -2.0F};
  for (const char major : {'\1', '\2', '\3'})
    CHECK(floats(open_bytes(npy_raw(dictionary, data, major))) == expected);
  CHECK(floats(open_bytes(two_floats + "more")) == expected);
  for (const char* text :
       {"{'shape':(2,),'descr':'<f4','fortran_order':False}",
        "  { \"shape\" : ( 2 , ) , \"fortran_order\":False,\"descr\":\"<f4\" , } \n ",
        "{'descr': 'f4',\n'shape': (2,\t),\r\n'fortran_order': True,}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, )}"}) {
    CHECK(floats(open_bytes(npy_raw(text, data))) == expected);
  }
}

TEST_CASE("array: refused dtypes") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"|O", "pickle"},
      {"O", "pickle"},
      {"<U", "text"},
      {"|S", "text"},
      {"<U0", "text"},
      {"|S0", "text"},
      {"<U-1", "text"},
      {"<U3 ", "text"},
      {"<U536870912", "1 to 536870911 characters"},
      {"|S99999999999999999999", "1 to 536870911 characters"},
      {"<c8", "complex"},
      {"<M8[ns]", "dates"},
      {"|V8", "raw"},
      {"<f16", "float64"},
      {"<i3", "allowed"},
      {"", "allowed"},
      {"<", "allowed"},
      {"<f4 ", "allowed"},
      {"<<f4", "<<f4"},
      {"f44", "f44"}};
  for (const auto& one : cases) {
    const std::string& descr = one.first;
    CAPTURE(descr);
    check_refused(npy(descr, "(1,)", std::string(64, '\0')), ErrorCode::invalid_type, one.second);
    check_refused(npy(descr, "(1,)", std::string(64, '\0')), ErrorCode::invalid_type,
                  "'" + descr + "'");
  }
  const std::string structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}";
  check_refused(npy_raw(structured), ErrorCode::invalid_type, "structured");
  check_refused(npy_raw(structured), ErrorCode::invalid_type, "float32, float64, str, bytes");
}

TEST_CASE("array: malformed dictionaries") {
  const std::string descr = "'descr': '<f4', ";
  const std::string order = "'fortran_order': False, ";
  check_dictionary("   ", "expected '{'");
  check_dictionary("[]", "expected '{'");
  check_dictionary("{}", "'descr' is missing");
  check_dictionary("{" + descr + "}", "'fortran_order' is missing");
  check_dictionary("{" + descr + order + "}", "'shape' is missing");
  check_dictionary("{,}", "quoted string");
  check_dictionary("{" + descr + descr + "}", "'descr' appears twice");
  check_dictionary("{'extra': 1}", "unknown key 'extra'");
  check_dictionary("{'descr' '<f4'}", "expected ':'");
  check_dictionary("{'descr': '<f4' " + order + "}", "expected ','");
  check_dictionary("{'descr': '<f4", "without an end");
  check_dictionary("{'descr': '\\x3cf4'}", "escape");
  check_dictionary("{'descr': 4}", "quoted string");
  check_dictionary("{'fortran_order': 0}", "True or False");
  check_dictionary("{'shape': 3}", "expected '('");
  check_dictionary("{'shape': (3)}", "expected ','");
  check_dictionary("{'shape': (,)}", "expected a dimension");
  check_dictionary("{'shape': (3,,)}", "expected a dimension");
  check_dictionary("{'shape': (3.0,)}", "expected ','");
  check_dictionary("{'shape': (1_0,)}", "expected ','");
  check_dictionary("{'shape': (-1,)}", "negative dimension -1");
  check_dictionary("{'shape': (99999999999999999999,)}", "beyond 64 bits");
  check_dictionary("{'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8 dimensions");
  check_dictionary("{" + descr + order + "'shape': (1,)} os", "after the dictionary");
  check_dictionary("{" + descr + order + "'shape': (1,)}\0x"s, "after the dictionary");
  check_dictionary("{" + descr + order + "'shape': (4294967296, 4294967296)}", "overflows");
  check_dictionary("{" + descr + order + "'shape': (9223372036854775807, 0, 9)}", "overflows");
  check_dictionary("{" + descr + order + "'shape': (4611686018427387904,)}", "overflows");
}

TEST_CASE("array: malformed preambles") {
  check_refused("", ErrorCode::invalid_type, "not a NumPy file");
  check_refused("hello, world", ErrorCode::invalid_type, "allowed: .npy and .npz");
  check_refused("\x93NUMPY"s, ErrorCode::invalid_value, "at least 12 bytes, has 6");
  check_refused("\x93NUMPY\4\0\0\0\0\0"s, ErrorCode::invalid_value, "version 4.0");
  check_refused("\x93NUMPY\1\1\0\0\0\0"s, ErrorCode::invalid_value, "version 1.1");
  check_refused("\x93NUMPY\0\0\0\0\0\0"s, ErrorCode::invalid_value, "version 0.0");
  check_refused("\x93NUMPY\1\0\0\0{}"s, ErrorCode::invalid_value, "dictionary is empty");
  check_refused("\x93NUMPY\1\0\xff\xff{}"s, ErrorCode::invalid_value, "needs 65545 bytes, has 12");
  check_refused("\x93NUMPY\2\0\xff\xff\xff\xff"s, ErrorCode::invalid_value, "4294967295");
  check_refused("\x93NUMPY\2\0\1\0\1\0"s, ErrorCode::invalid_value, "at most 65536");
}

TEST_CASE("array: truncation at every byte is refused") {
  const Folder folder;
  for (std::size_t length = 0; length < two_floats.size(); ++length) {
    CAPTURE(length);
    const fs::path file = folder.put("cut.npy", two_floats.substr(0, length));
    CHECK_THROWS_AS(Array::open(file), Error);
  }
  check_refused(two_floats.substr(0, two_floats.size() - 1), ErrorCode::invalid_value,
                "truncated: needs " + std::to_string(two_floats.size()) + " bytes, has " +
                    std::to_string(two_floats.size() - 1));
  check_refused(npy("<f8", "(1000000000000,)", ""), ErrorCode::invalid_value,
                "truncated: needs 8000000000128 bytes, has 128");
}

TEST_CASE("array: a header with any byte changed is parsed or refused") {
  const Folder folder;
  for (std::size_t at = 0; at < 128; ++at) {
    for (const char value : {'\0', '\x7f', '\xff', '\'', '(', '9', ','}) {
      std::string bytes = two_floats;
      bytes.at(at % bytes.size()) = value;
      const fs::path file = folder.put("changed.npy", bytes);
      const Failure failure = failure_of([&] { floats(Array::open(file)); });
      CHECK(failure.code != ErrorCode::io);
    }
  }
}

TEST_CASE("array: things that are no files") {
  const Folder folder;
  const Failure missing = failure_of([&] { Array::open(folder / "none.npy"); });
  CHECK(missing.code == ErrorCode::not_found);
  CHECK(missing.says("none.npy: no such file"));
  const Failure directory = failure_of([&] { Array::open(folder / ""); });
  CHECK(directory.code == ErrorCode::invalid_type);
  CHECK(directory.says("not a regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(failure_of([&] { Array::open(folder / "pipe"); }).says("not a regular file"));
  const fs::path loop = folder / "loop";
  fs::create_symlink(loop, loop);
  CHECK(failure_of([&] { Array::open(loop); }).code == ErrorCode::io);
}

TEST_CASE("array: a key for a .npy file is refused") {
  const Folder folder;
  const fs::path file = folder.put("a.npy", two_floats);
  const Failure failure = failure_of([&] { Array::open(file, "x"); });
  CHECK(failure.code == ErrorCode::not_found);
  CHECK(failure.says("no array \"x\""));
}

TEST_CASE("array: .npz members, stored and deflated, chosen by key") {
  const Folder folder;
  const std::string zeros = npy("<f4", "(1000000,)", std::string(4000000, '\0'));
  const fs::path file = make_zip(folder / "a.data",
                                 {{"neural.npy", two_floats},
                                  {"labels.npy", npy(">i2", "(1, 2)", "\0\3\xff\xff"s, true), true},
                                  {"zeros.npy", zeros, true},
                                  {"empty.npy", npy("<f4", "(0, 2)", ""), true},
                                  {"folder/x.npy", two_floats, true},
                                  {"readme.txt", "hello"}});
  CHECK(floats(Array::open(file, "neural")) == std::vector{1.5F, -2.0F});
  CHECK_FALSE(Array::open(file, "neural").is_mapped());
  CHECK(Array::open(file, "labels").to_int64() == std::vector<std::int64_t>{3, -1});
  CHECK(Array::open(file, "labels").shape() == std::vector<std::int64_t>{1, 2});
  CHECK(Array::open(file, "zeros").size() == 1000000);
  CHECK(Array::open(file, "empty").size() == 0);
  CHECK(floats(Array::open(file, "folder/x")).size() == 2);
  const Array shared = Array::open(file, "neural");
  CHECK(shared.to_float32() == shared.to_float32());
}

TEST_CASE("array: .npz keys missing, ambiguous or absent") {
  const Folder folder;
  const fs::path one = make_zip(folder / "one.npz", {{"a.npy", two_floats}, {"note", "x"}});
  CHECK(floats(Array::open(one)).size() == 2);
  const Failure missing = open_zip_failure(one, "b");
  CHECK(missing.code == ErrorCode::not_found);
  CHECK(missing.says("no array \"b\"; allowed: \"a\""));
  const fs::path two = make_zip(folder / "two.npz", {{"a.npy", two_floats}, {"b.npy", two_floats}});
  const Failure ambiguous = open_zip_failure(two);
  CHECK(ambiguous.code == ErrorCode::invalid_value);
  CHECK(ambiguous.says("holds 2 arrays"));
  CHECK(ambiguous.says("\"a\", \"b\""));
  const fs::path none = make_zip(folder / "none.npz", {{"note", "x"}, {".npy", "x"}});
  CHECK(open_zip_failure(none).code == ErrorCode::not_found);
  CHECK(open_zip_failure(none).says("no arrays"));
  patch_directory(two, 46, "b");
  CHECK(open_zip_failure(two, "b").says("several arrays called \"b\""));
  std::vector<Member> many;
  for (int i = 0; i < 30; ++i) many.push_back({"k" + std::to_string(i) + ".npy", two_floats});
  CHECK(open_zip_failure(make_zip(folder / "many.npz", many)).says("\"k19\", ..."));
}

TEST_CASE("array: an empty .npz") {
  const Folder folder;
  const fs::path file = folder.put("void.npz", "PK\5\6"s + std::string(18, '\0'));
  CHECK(open_zip_failure(file).says("void.npz"));
}

TEST_CASE("array: .npz members that lie about their size") {
  const Folder folder;
  for (const bool deflated : {false, true}) {
    const fs::path file = make_zip(folder / "lie.npz", {{"a.npy", two_floats, deflated}});
    patch_directory(file, 24, number_bytes(1U << 30U, 4));
    const Failure bomb = open_zip_failure(file);
    CHECK(bomb.code == ErrorCode::invalid_value);
    CHECK(bomb.says("claims 1073741824 bytes"));
    patch_directory(file, 20, number_bytes(1U << 30U, 4));
    CHECK(open_zip_failure(file).code == ErrorCode::invalid_value);
    const std::string large = npy("<f4", "(250000000,)", raw({1.0F}));
    make_zip(folder / "lie.npz", {{"a.npy", large, deflated}});
    CHECK(open_zip_failure(file).says("truncated: needs 1000000128 bytes, has 132"));
    make_zip(folder / "lie.npz", {{"a.npy", two_floats + "x", deflated}});
    CHECK(open_zip_failure(file).says("too long: needs 136 bytes, has 137"));
    make_zip(folder / "lie.npz", {{"a.npy", two_floats, deflated}});
    patch_directory(file, 24, number_bytes(two_floats.size() + 8, 4));
    CHECK(open_zip_failure(file).code == ErrorCode::invalid_value);
    make_zip(folder / "lie.npz", {{"a.npy", "\x93NUMPY\1\0\xff\0{}"s, deflated}});
    CHECK(open_zip_failure(file).says("header needs 265 bytes, has 12"));
    make_zip(folder / "lie.npz", {{"a.npy", "", deflated}});
    CHECK(open_zip_failure(file).says("at least 12 bytes, has 0"));
    make_zip(folder / "lie.npz", {{"a.npy", "no array at all", deflated}});
    CHECK(open_zip_failure(file).code == ErrorCode::invalid_type);
    make_zip(folder / "lie.npz", {{"a.npy", npy("|O", "(1,)", "12345678"), deflated}});
    CHECK(open_zip_failure(file).says("array \"a\": dtype '|O'"));
  }
}

TEST_CASE("array: .npz with a wrong checksum, method or encryption") {
  const Folder folder;
  const fs::path file = make_zip(folder / "bad.npz", {{"a.npy", two_floats}});
  const std::string good = slurp(file);
  std::string bytes = good;
  bytes.at(bytes.find("\x93NUMPY") + two_floats.size() - 1) ^= 1;
  folder.put("bad.npz", bytes);
  CHECK(open_zip_failure(file).says("damaged .npz member"));
  folder.put("bad.npz", good);
  patch_directory(file, 10, number_bytes(99, 2));
  CHECK(open_zip_failure(file).code == ErrorCode::invalid_value);
  folder.put("bad.npz", good);
  patch_directory(file, 10, number_bytes(12, 2));
  CHECK(open_zip_failure(file).says("allowed: stored, deflated"));
  folder.put("bad.npz", good);
  patch_directory(file, 8, number_bytes(1, 2));
  CHECK(open_zip_failure(file).says("encrypted"));
}

TEST_CASE("array: .npz truncated or changed at every byte never crashes") {
  const Folder folder;
  for (const bool deflated : {false, true}) {
    const std::string good = slurp(make_zip(folder / "a.npz", {{"a.npy", two_floats, deflated}}));
    for (std::size_t at = 0; at < good.size(); ++at) {
      CAPTURE(at);
      const fs::path file = folder.put("cut.npz", good.substr(0, at));
      CHECK_THROWS_AS(Array::open(file), Error);
      for (const char flip : {'\1', '\x80', '\xff'}) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ flip);
        const fs::path changed = folder.put("changed.npz", bytes);
        CHECK(failure_of([&] { floats(Array::open(changed)); }).code != ErrorCode::io);
      }
    }
  }
}

TEST_CASE("array: from_values") {
  const Array real = Array::from_values({2, 2}, std::vector<float>{1, 2, 3, 4});
  CHECK(real.type() == ElementType::float32);
  CHECK_FALSE(real.is_integer());
  CHECK_FALSE(real.is_mapped());
  CHECK(real.size() == 4);
  CHECK(floats(real) == std::vector<float>{1, 2, 3, 4});
  const Array whole = Array::from_values({3}, std::vector<std::int64_t>{-1, 0, 1});
  CHECK(whole.type() == ElementType::int64);
  CHECK(whole.to_int64() == std::vector<std::int64_t>{-1, 0, 1});
  CHECK(floats(whole) == std::vector<float>{-1, 0, 1});
  CHECK(floats(Array::from_values({0, 2}, std::vector<float>{})).empty());
  CHECK(Array::from_values({0}, std::vector<std::int64_t>{}).to_int64().empty());
  const auto refused = [](std::vector<std::int64_t> shape, const char* piece) {
    const Failure failure = failure_of([&] { Array::from_values(shape, std::vector<float>{1}); });
    CAPTURE(failure.message);
    CHECK(failure.code == ErrorCode::invalid_value);
    CHECK(failure.says(piece));
  };
  refused({2}, "there are 1 values");
  refused({-1}, "negative dimension");
  refused({1, 1, 1, 1, 1, 1, 1, 1, 1}, "9 dimensions; allowed: at most 8");
  refused({INT64_MAX, INT64_MAX}, "overflows");
}

TEST_CASE("array: one that was never opened, or was moved from") {
  const std::string held = "this Array: holds nothing; it was moved from or never opened";
  CHECK(failure_of([] { Array().to_float32(); }).message == held);
  Array taken = Array::from_values({1}, std::vector<std::int64_t>{1});
  const Array whole = std::move(taken);
  const Failure failure = failure_of([&] { taken.to_float32(); });
  CHECK(failure.code == ErrorCode::invalid_state);
  CHECK(failure.message == held);
  Array texts = open_bytes(npy("|S1", "(1,)", "a"));
  const Array kept = std::move(texts);
  CHECK(failure_of([&] { texts.to_text(); }).message == held);
  CHECK(kept.to_text().at(0) == "a");
}

TEST_CASE("npy writer: pieces give the same file as a whole, as NumPy writes it") {
  const Folder folder;
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  NpyWriter writer(folder / "a.npy", 3, 2);
  writer.append(values.data(), 1);
  writer.append(nullptr, 0);
  writer.append(values.data() + 2, 2);
  CHECK_FALSE(fs::exists(folder / "a.npy"));
  writer.finish();
  write_npy(folder / "b.npy", {3, 2}, values.data());
  const std::string expected = npy("<f4", "(3, 2)", raw<float>({1, 2, 3, 4, 5, 6}));
  CHECK(slurp(folder / "a.npy") == expected);
  CHECK(slurp(folder / "b.npy") == expected);
  CHECK(std::distance(fs::directory_iterator(folder / ""), {}) == 2);
}

TEST_CASE("npy writer: shapes and types of whole arrays") {
  const Folder folder;
  const fs::path file = folder / "a.npy";
  const std::vector<std::int64_t> values{5, -6};
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{2}, {2, 1}, {1, 1, 2, 1, 1, 1, 1, 1}}) {
    write_npy(file, shape, values.data());  // replaces the one before
    CHECK(Array::open(file).shape() == shape);
    CHECK(Array::open(file).to_int64() == values);
  }
  const float one = 1;
  write_npy(file, {}, &one);
  CHECK(slurp(file) == npy("<f4", "()", raw({1.0F})));
  write_npy(file, {0, 4}, static_cast<const float*>(nullptr));
  CHECK(Array::open(file).shape() == std::vector<std::int64_t>{0, 4});
  const Failure failure = failure_of([&] { write_npy(file, {-1}, &one); });
  CHECK(failure.code == ErrorCode::invalid_value);
  CHECK(failure.says("a.npy: negative dimension"));
}

TEST_CASE("npy writer: too many, too few, too late") {
  const Folder folder;
  const std::vector<float> values(8);
  NpyWriter writer(folder / "a.npy", 3, 2);
  const Failure many = failure_of([&] { writer.append(values.data(), 4); });
  CHECK(many.code == ErrorCode::invalid_state);
  CHECK(many.says("4 rows; allowed: 0 to 3"));
  CHECK(failure_of([&] { writer.append(values.data(), -1); }).says("append() of -1 rows"));
  writer.append(values.data(), 2);
  const Failure few = failure_of([&] { writer.finish(); });
  CHECK(few.code == ErrorCode::invalid_state);
  CHECK(few.says("finish() after 2 rows; 3 were announced"));
  writer.append(values.data(), 1);
  writer.finish();
  const Failure late = failure_of([&] { writer.append(values.data(), 0); });
  CHECK(late.code == ErrorCode::invalid_state);
  CHECK(late.says("a.npy: the writer has finished"));
  CHECK(failure_of([&] { writer.finish(); }).code == ErrorCode::invalid_state);
  CHECK(floats(Array::open(folder / "a.npy")).size() == 6);
}

TEST_CASE("npy writer: an unfinished one leaves nothing behind, nor touches the file before") {
  const Folder folder;
  const float value = 1;
  { NpyWriter(folder / "a.npy", 1, 1).append(&value, 1); }
  CHECK(folder.is_empty());
  const fs::path old = folder.put("old.npy", two_floats);
  { NpyWriter writer(old, 1, 1); }
  CHECK(slurp(old) == two_floats);
}

TEST_CASE("npy writer: places that cannot be written") {
  const Folder folder;
  const float value = 1;
  const Failure missing = failure_of([&] { NpyWriter(folder / "no/a.npy", 1, 1); });
  CHECK(missing.code == ErrorCode::io);
  CHECK(missing.says("no/a.npy: cannot be created: No such file"));
  CHECK(failure_of([&] { write_npy(folder / "no/a.npy", {1}, &value); }).code == ErrorCode::io);
  const Failure device = failure_of([] { NpyWriter("/dev/null", 1, 1); });
  CHECK(device.code == ErrorCode::io);
  CHECK(device.says("not a regular file"));
  CHECK(failure_of([&] { NpyWriter(folder / "", 1, 1); }).code == ErrorCode::io);
  CHECK(failure_of([&] { NpyWriter(folder / "a", -1, 1); }).code == ErrorCode::invalid_value);
  CHECK(failure_of([&] { NpyWriter(folder / "a", INT64_MAX, 9); }).says("overflows"));
  CHECK(folder.is_empty());
  NpyWriter blocked(folder / "b.npy", 1, 1);
  blocked.append(&value, 1);
  fs::create_directory(folder / "b.npy");  // in the way of the rename
  const Failure rename = failure_of([&] { blocked.finish(); });
  CHECK(rename.code == ErrorCode::io);
  CHECK(rename.says("b.npy: cannot be put in place"));
  fs::remove(folder / "b.npy");
  CHECK(folder.is_empty());
}

TEST_CASE("npy writer: a failed write names the reason and removes the file") {
  const Folder folder;
  const std::vector<float> values(1000);
  const Failure whole = failure_of([&] {
    const FileLimit limit(1024);
    write_npy(folder / "a.npy", {1000}, values.data());
  });
  CHECK(whole.code == ErrorCode::io);
  CHECK(whole.says("File too large"));
  const Failure start = failure_of([&] {
    const FileLimit limit(0);
    NpyWriter(folder / "a.npy", 1000, 1);
  });
  CHECK(start.code == ErrorCode::io);
  CHECK(folder.is_empty());
  NpyWriter writer(folder / "a.npy", 1000, 1);
  const Failure piece = failure_of([&] {
    const FileLimit limit(1024);
    writer.append(values.data(), 1000);
  });
  CHECK(piece.code == ErrorCode::io);
  CHECK(piece.says("a.npy: cannot be written: File too large"));
  CHECK(folder.is_empty());
  CHECK(failure_of([&] { writer.append(values.data(), 1); }).says("has failed before"));
}

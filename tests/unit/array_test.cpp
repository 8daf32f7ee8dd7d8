#include "array_support.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using namespace std::string_literals;

namespace {

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
  const TemporaryFolder folder;
  const Array mapped = Array::open(folder.write("a.npy", two_floats));
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

#include "array_support.hpp"

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using namespace std::string_literals;

namespace {

// Overwrites a field of the first record in the central directory.
void patch_directory(const fs::path& file, std::size_t offset, const std::string& field) {
  std::string bytes = file_bytes(file);
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

}  // namespace

TEST_CASE("array: .npz members, stored and deflated, chosen by key") {
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
  const fs::path file = folder.write("void.npz", "PK\5\6"s + std::string(18, '\0'));
  CHECK(open_zip_failure(file).says("void.npz"));
}

TEST_CASE("array: .npz members that lie about their size") {
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
  const fs::path file = make_zip(folder / "bad.npz", {{"a.npy", two_floats}});
  const std::string good = file_bytes(file);
  std::string bytes = good;
  bytes.at(bytes.find("\x93NUMPY") + two_floats.size() - 1) ^= 1;
  folder.write("bad.npz", bytes);
  CHECK(open_zip_failure(file).says("damaged .npz member"));
  folder.write("bad.npz", good);
  patch_directory(file, 10, number_bytes(99, 2));
  CHECK(open_zip_failure(file).code == ErrorCode::invalid_value);
  folder.write("bad.npz", good);
  patch_directory(file, 10, number_bytes(12, 2));
  CHECK(open_zip_failure(file).says("allowed: stored, deflated"));
  folder.write("bad.npz", good);
  patch_directory(file, 8, number_bytes(1, 2));
  CHECK(open_zip_failure(file).says("encrypted"));
}

TEST_CASE("array: .npz truncated or changed at every byte never crashes") {
  const TemporaryFolder folder;
  for (const bool deflated : {false, true}) {
    const std::string good =
        file_bytes(make_zip(folder / "a.npz", {{"a.npy", two_floats, deflated}}));
    for (std::size_t at = 0; at < good.size(); ++at) {
      CAPTURE(at);
      const fs::path file = folder.write("cut.npz", good.substr(0, at));
      CHECK_THROWS_AS(Array::open(file), Error);
      for (const char flip : {'\1', '\x80', '\xff'}) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ flip);
        const fs::path changed = folder.write("changed.npz", bytes);
        CHECK(failure_of([&] { floats(Array::open(changed)); }).code != ErrorCode::io);
      }
    }
  }
}

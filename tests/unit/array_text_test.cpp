#include "array_support.hpp"

#include <utility>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using namespace std::string_literals;

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
  const TemporaryFolder folder;
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

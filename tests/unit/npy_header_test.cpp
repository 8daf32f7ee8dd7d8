#include "array_support.hpp"

#include <sys/stat.h>
#include <utility>

namespace fs = std::filesystem;

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using namespace std::string_literals;

namespace {

void check_dictionary(const std::string& dictionary, const std::string& piece) {
  check_refused(npy_raw(dictionary + "\n", std::string(64, '\0')), ErrorCode::invalid_value, piece);
}

}  // namespace

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
  const TemporaryFolder folder;
  for (std::size_t length = 0; length < two_floats.size(); ++length) {
    CAPTURE(length);
    const fs::path file = folder.write("cut.npy", two_floats.substr(0, length));
    CHECK_THROWS_AS(Array::open(file), Error);
  }
  check_refused(two_floats.substr(0, two_floats.size() - 1), ErrorCode::invalid_value,
                "truncated: needs " + std::to_string(two_floats.size()) + " bytes, has " +
                    std::to_string(two_floats.size() - 1));
  check_refused(npy("<f8", "(1000000000000,)", ""), ErrorCode::invalid_value,
                "truncated: needs 8000000000128 bytes, has 128");
}

TEST_CASE("array: a header with any byte changed is parsed or refused") {
  const TemporaryFolder folder;
  for (std::size_t at = 0; at < 128; ++at) {
    for (const char value : {'\0', '\x7f', '\xff', '\'', '(', '9', ','}) {
      std::string bytes = two_floats;
      bytes.at(at % bytes.size()) = value;
      const fs::path file = folder.write("changed.npy", bytes);
      const Failure failure = failure_of([&] { floats(Array::open(file)); });
      CHECK(failure.code != ErrorCode::io);
    }
  }
}

TEST_CASE("array: things that are no files") {
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
  const fs::path file = folder.write("a.npy", two_floats);
  const Failure failure = failure_of([&] { Array::open(file, "x"); });
  CHECK(failure.code == ErrorCode::not_found);
  CHECK(failure.says("no array \"x\""));
}

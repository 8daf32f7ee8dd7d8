#include "files/utf8_text.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::host;

TEST_CASE("bytes that are no text are shown by their numbers") {
  CHECK(escaped("runs/a \xc3\xa9 \\") == "runs/a \xc3\xa9 \\");
  CHECK(escaped("a\xff/\xc3") == "a\\xff/\\xc3");
  CHECK(escaped("a\n\x7f") == "a\\x0a\\x7f");
  CHECK(escaped("").empty());
}

TEST_CASE("what is stored as JSON text is UTF-8") {
  for (const std::string text : {"", "a\n", "\xe2\x82\xac"})
    CHECK(require_utf8(text, "x: ") == text);
  try {
    require_utf8("a\xe2\x82", "x: ");
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::invalid_value);
    CHECK(std::string(e.what()) ==
          "x: found \"a\\xe2\\x82\"; must be UTF-8, since it is stored as JSON text");
  }
}

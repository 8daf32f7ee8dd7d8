#include "experiment/document.hpp"

#include "temporary_folder.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>

#include <string>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::apply_change;
using grevy::host::read_document;
using grevy::tests::TemporaryFolder;
using nlohmann::json;

namespace {

json changed(const char* document, const std::string& change) {
  json result = json::parse(document);
  apply_change(result, change);
  return result;
}

std::string refusal(const char* document, const std::string& change) {
  try {
    changed(document, change);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_value);
    return error.what();
  }
  return "accepted";
}

std::string repeated(const std::string& text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("document: a file with comments; none; no JSON") {
  const TemporaryFolder folder;
  CHECK(read_document(folder.write("a.json", "{\"seed\": 2} // why")) == json{{"seed", 2}});
  CHECK_THROWS_WITH_AS(read_document(folder / "none.json"),
                       ((folder / "none.json").string() + ": no such file").c_str(), Error);
  CHECK_THROWS_WITH_AS(read_document(folder.path()),
                       (folder.path().string() + ": no such file").c_str(), Error);
  CHECK_THROWS_WITH_AS(read_document(folder.write("deep.json", std::string(70, '['))),
                       ((folder / "deep.json").string() + ": nested deeper than 64 levels").c_str(),
                       Error);
}

TEST_CASE("document: changes") {
  CHECK(changed("{}", "seed=3") == json{{"seed", 3}});
  CHECK(changed("{\"a\": {\"b\": 1}}", "a.b=[1, {}]") == json{{"a", {{"b", {1, json::object()}}}}});
  CHECK(changed("null", "a.b=two words") == json{{"a", {{"b", "two words"}}}});
  CHECK(changed("{}", "a=") == json{{"a", ""}});
  CHECK(changed("{}", "a=x=y") == json{{"a", "x=y"}});
  CHECK(changed("{}", "a.b/c~d=1") == json{{"a", {{"b/c~d", 1}}}});
  CHECK(changed("{}", "a.7=1") == json{{"a", {{"7", 1}}}});
}

TEST_CASE("document: an array grows by one element") {
  CHECK(changed("[1, 2]", "1=3") == json{1, 3});
  CHECK(changed("[1, 2]", "2=3") == json{1, 2, 3});
  CHECK(changed("[1, 2]", "-=3") == json{1, 2, 3});
  CHECK(changed("{}", "a.0.b=1") == json::parse(R"({"a": [{"b": 1}]})"));
  CHECK(changed("{}", "a.-=1") == json::parse(R"({"a": [1]})"));
  for (const char* far :
       {"3", "4000000000", "18446744073709551615", "99999999999999999999", "x", "1x", ""})
    CHECK(refusal("{\"a\": [1, 2]}", std::string("a.") + far + ".b=1") ==
          std::string("--set a.") + far + ".b=1: there is nothing to set at /a/" + far);
}

TEST_CASE("document: refused changes") {
  CHECK(refusal("{}", "seed") == "--set seed: must be of the form a.b=value");
  CHECK(refusal("{}", "=1") == "--set =1: must be of the form a.b=value");
  CHECK(refusal("{}", "") == "--set : must be of the form a.b=value");
  CHECK(refusal("{\"a\": 1}", "a.b.c=1") == "--set a.b.c=1: there is nothing to set at /a/b");
  CHECK(refusal("{}", "a=\xff") == "--set a=\xef\xbf\xbd: is not UTF-8");
  CHECK(refusal("{}", "a\x7f") == "--set a\\u007f: must be of the form a.b=value");
  CHECK(refusal("{}", "a=" + repeated("[", 65) + repeated("]", 65))
            .find("nested deeper than 64 levels") != std::string::npos);
  CHECK(refusal("{}", repeated("a.", 63) + "a=1") == "accepted");
  const std::string long_path = refusal("{}", repeated("a.", 64) + "a=1");
  CHECK(long_path.find("...: there is nothing to set at /a/a/") != std::string::npos);
}

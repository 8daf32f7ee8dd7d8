// The JSON of the portable front against nlohmann's, for which it stands.
#include "temporary_folder.hpp"

#include <grevy/portable/json.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <clocale>
#include <cstdlib>
#include <limits>
#include <random>

using grevy::portable::Json;
using grevy::tests::TemporaryFolder;

namespace {

const std::string refused = "refused";

std::string found(const std::string& text) {
  try {
    return Json::parse(text).dump();
  } catch (const std::invalid_argument&) {
    CHECK(Json::parse(text, nullptr, false).is_null());
    return refused;
  }
}

std::string wanted(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  return json.is_discarded() ? refused : json.dump();
}

void check_same(const std::string& text) {
  CAPTURE(text);
  CHECK(found(text) == wanted(text));
}

// The decimal sign of a locale is a comma for its life.
class CommaLocale {
 public:
  CommaLocale() {
    const std::string name = "de_DE.UTF-8";
    is_set_ = std::setlocale(LC_ALL, name.c_str()) != nullptr || made(name);
  }
  ~CommaLocale() {
    std::setlocale(LC_ALL, "C");
    ::unsetenv("LOCPATH");
  }
  CommaLocale(const CommaLocale&) = delete;
  CommaLocale& operator=(const CommaLocale&) = delete;
  bool is_set() const { return is_set_ && std::localeconv()->decimal_point == std::string(","); }

 private:
  bool made(const std::string& name) {
    const std::string command =
        "localedef -i de_DE -f UTF-8 '" + (folder_.path() / name).string() + "' >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) return false;
    ::setenv("LOCPATH", folder_.path().c_str(), 1);
    return std::setlocale(LC_ALL, name.c_str()) != nullptr;
  }
  TemporaryFolder folder_;
  bool is_set_ = false;
};

}  // namespace

TEST_CASE("JSON is read, refused and written as by nlohmann") {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.0",
                           "1",
                           "-1.5",
                           "1e5",
                           "2E-3",
                           "1e+2",
                           "0.1",
                           "0.0001",
                           "0.00001",
                           "1e15",
                           "1e16",
                           "123456789012345678",
                           "1.7976931348623157e308",
                           "4.9e-324",
                           "1e-400",
                           "-1e-400",
                           "0e999",
                           "9223372036854775807",
                           "9223372036854775808",
                           "-9223372036854775808",
                           "-9223372036854775809",
                           "18446744073709551615",
                           "18446744073709551616",
                           "1e400",
                           "-1e400",
                           "1e+400",
                           "1e99999999999999999999",
                           "1e-99999999999999999999",
                           "00",
                           "01",
                           "-",
                           "--1",
                           "+1",
                           ".5",
                           "5.",
                           "1.e5",
                           "1e",
                           "1e+",
                           "0x1",
                           "1,5",
                           "nan",
                           "inf",
                           "Infinity",
                           "true",
                           "false",
                           "null",
                           "nul",
                           "true1",
                           "\"\"",
                           "\"a",
                           "\"\\u00e9\\ud83d\\ude00\"",
                           "\"\\u20ac\\u00E9\\uFFFD\\ue000\"",
                           "\"\\ud83d\"",
                           "\"\\ud83d\\u0041\"",
                           "\"\\ud83d\\ue000\"",
                           "\"\\ude00\"",
                           "\"\\",
                           "\"\\u12\"",
                           "\"\\x\"",
                           "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                           "\"\\u0001\\u001f\\u007f\"",
                           "\"\xc3\xa9\"",
                           "\"\xff\"",
                           "\"\xc3\"",
                           "\"\xe2\x82",
                           "\"\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
                           "\"\xe0\x9f\xbf\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xf0\x8f\xbf\xbf\"",
                           "\"\xf4\x90\x80\x80\"",
                           "\"\x01\"",
                           "[]",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "[[],{}]",
                           "{}",
                           "{\"a\":1,\"a\":2}",
                           "{\"b\":1,\"a\":[2,{\"c\":null}]}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{a:1}",
                           "{\"a\":1,}",
                           " [ 1 , 2 ] ",
                           "1 2",
                           "",
                           " ",
                           "// 1"})
    check_same(text);
  check_same(std::string(310, '9'));
  check_same("0." + std::string(400, '0') + "1");
  check_same("0." + std::string(400, '0') + "1e+410");
  check_same("1" + std::string(400, '0') + "e-400");
  check_same(std::string("\"a\0b\"", 5));
}

TEST_CASE("a number that is written is read as the same number") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> mantissa(-10, 10);
  std::uniform_int_distribution<int> exponent(-320, 307);
  for (int i = 0; i < 20000; ++i) {
    const double number =
        mantissa(random) * std::pow(10.0, i % 4 == 0 ? exponent(random) : i % 25 - 12);
    const std::string text = Json(number).dump();
    CAPTURE(text);
    CHECK(Json::parse(text).get<double>() == number);
    CHECK(nlohmann::json::parse(text).get<double>() == number);
    CHECK(text.size() <= nlohmann::json(number).dump().size());
  }
  CHECK(Json(std::numeric_limits<double>::infinity()).dump() == "null");
}

TEST_CASE("whole numbers keep all their digits") {
  const Json large = Json::parse("18446744073709551615");
  CHECK(large.is_number_integer());
  CHECK(large.get<double>() == 18446744073709551616.0);
  CHECK(Json::parse("9223372036854775807").get<std::int64_t>() == INT64_MAX);
  CHECK(Json::parse("-9223372036854775808").get<std::int64_t>() == INT64_MIN);
  CHECK_FALSE(Json::parse("1e3").is_number_integer());
}

TEST_CASE("of two members with one key the last one counts") {
  CHECK(Json::parse(R"({"a":1,"b":2,"a":[3]})").dump() == R"({"a":[3],"b":2})");
}

TEST_CASE("members are found, read and taken away") {
  Json json = Json::parse(R"({"a":1,"b":{"c":"d"}})");
  CHECK(json.contains("a"));
  CHECK(json.at("b").at("c").get<std::string>() == "d");
  CHECK(json.find("b")->is_object());
  json.erase("a");
  CHECK_FALSE(json.contains("a"));
  CHECK(json.dump() == R"({"b":{"c":"d"}})");
}

TEST_CASE("JSON beyond 32 levels is refused, however deep") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(found(nested(32)) == nested(32));
  CHECK(found(nested(34)) == refused);
  CHECK(found(nested(1000000)) == refused);
  CHECK(found(std::string(1000000, '[')) == refused);
}

TEST_CASE("a locale has no say in numbers") {
  const CommaLocale comma;
  if (!comma.is_set()) {
    MESSAGE("no locale with a decimal comma, and none can be made: skipped");
    return;
  }
  char text[8];
  std::snprintf(text, sizeof(text), "%.1f", 0.5);
  REQUIRE(std::string(text) == "0,5");
  CHECK(Json::parse("0.5").get<double>() == 0.5);
  CHECK(Json::parse("[0.25,1.5e3]").dump() == "[0.25,1500.0]");
  CHECK(Json(0.1).dump() == "0.1");
  CHECK(Json(1e-7).dump() == "1e-07");
  CHECK(found("0,5") == refused);
}

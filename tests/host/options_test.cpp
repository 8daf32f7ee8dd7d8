#include <grevy/options.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <random>

using namespace grevy;

namespace {

struct Everything {
  bool flag = true;
  std::int64_t count = -3;
  double rate = 0.1;
  std::string_view mode = "fast";
  std::string_view label = "a \"b\"\n";
  std::optional<std::int64_t> limit;
  std::optional<double> start = 1e-6;
  std::optional<std::string_view> choice;
  Nested inner{};

  static constexpr auto fields() {
    using E = Everything;
    return grevy::fields(field("flag", &E::flag, "A flag."),
                         field("count", &E::count, "A count.").at_least(-10).at_most(1 << 20),
                         field("rate", &E::rate, "A rate.").above(0).at_most(2.5),
                         field("mode", &E::mode, "A mode.").one_of("fast", "slow"),
                         field("label", &E::label, "Any \\ text."),
                         field("limit", &E::limit, "").at_least(1), field("start", &E::start, ""),
                         field("choice", &E::choice, "").one_of("x"),
                         field("inner", &E::inner, "A component."));
  }
};

constexpr std::string_view everything_schema =
    R"({"type":"object","additionalProperties":false,"properties":{)"
    R"("flag":{"description":"A flag.","type":"boolean","default":true},)"
    R"("count":{"description":"A count.","type":"integer","minimum":-10,"maximum":1048576,"default":-3},)"
    R"("rate":{"description":"A rate.","type":"number","maximum":2.5,"exclusiveMinimum":0,"default":0.1},)"
    R"("mode":{"description":"A mode.","type":"string","enum":["fast","slow"],"default":"fast"},)"
    R"("label":{"description":"Any \\ text.","type":"string","default":"a \"b\"\u000a"},)"
    R"("limit":{"description":"","type":["integer","null"],"minimum":1,"default":null},)"
    R"("start":{"description":"","type":["number","null"],"default":0.000001},)"
    R"("choice":{"description":"","type":["string","null"],"enum":["x",null],"default":null},)"
    R"("inner":{"description":"A component.","type":"object","required":["name"],"properties":{"name":{"type":"string"}}})"
    R"(},"required":["inner"]})";
static_assert(options_schema<Everything>() == everything_schema);
static_assert(options_schema<NoOptions>() ==
              R"({"type":"object","additionalProperties":false,"properties":{},"required":[]})");

Everything parse(nlohmann::json changes = nlohmann::json::object()) {
  if (!changes.contains("inner")) changes["inner"] = {{"name", "x"}};
  return parse_options<Everything>(changes.dump());
}

std::string refusal(std::string_view json) {
  try {
    parse_options<Everything>(json);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::invalid_value);
    return e.what();
  }
  return "nothing was thrown";
}

template <class Number>
std::string written(Number number) {
  grevy::detail::Buffer<64> out;
  if constexpr (std::is_same_v<Number, double>)
    grevy::detail::write_number(out, number);
  else
    grevy::detail::write_integer(out, number);
  return std::string(out.view());
}

// The writer as a constant, which is how manifests use it.
template <class Writer>
constexpr std::string_view constant = grevy::detail::text<Writer>.view();

struct WritesTenth {
  template <class Out>
  static constexpr void write(Out& out) {
    grevy::detail::write_number(out, 0.1);
  }
};
static_assert(constant<WritesTenth> == "0.1");
struct WritesLeast {
  template <class Out>
  static constexpr void write(Out& out) {
    grevy::detail::write_number(out, 1e-22);
  }
};
static_assert(constant<WritesLeast> == "0.0000000000000000000001");

}  // namespace

TEST_CASE("a schema is JSON with the table's defaults") {
  const auto schema = nlohmann::json::parse(options_schema<Everything>());
  const auto& properties = schema.at("properties");
  CHECK(properties.size() == 9);
  CHECK(properties["label"]["default"] == "a \"b\"\n");
  CHECK(properties["start"]["default"] == 1e-6);
  CHECK_FALSE(properties["inner"].contains("default"));
}

TEST_CASE("options that are not given keep their defaults") {
  const Everything options = parse();
  CHECK(options.flag);
  CHECK(options.count == -3);
  CHECK(options.rate == 0.1);
  CHECK(options.mode == "fast");
  CHECK(options.label == "a \"b\"\n");
  CHECK_FALSE(options.limit.has_value());
  CHECK(options.start == 1e-6);
  CHECK_FALSE(options.choice.has_value());
  CHECK(options.inner.json == R"({"name":"x"})");
}

TEST_CASE("every type of option is read") {
  const Everything options = parse({{"flag", false},
                                    {"count", 1 << 20},
                                    {"rate", 2},
                                    {"mode", "slow"},
                                    {"label", "\u00e4\n"},
                                    {"limit", 1},
                                    {"start", nullptr},
                                    {"choice", "x"},
                                    {"inner", {{"name", "y"}, {"deep", {1, 2}}}}});
  CHECK_FALSE(options.flag);
  CHECK(options.count == 1 << 20);
  CHECK(options.rate == 2);
  CHECK(options.mode == "slow");
  CHECK(options.label == "\u00e4\n");
  CHECK(options.limit == 1);
  CHECK_FALSE(options.start.has_value());
  CHECK(options.choice == "x");
  CHECK(options.inner.json == R"({"deep":[1,2],"name":"y"})");
}

TEST_CASE("texts outlive the JSON that they came from") {
  std::string_view label;
  {
    const std::string json = R"({"inner": {"name": "x"}, "label": "a text of some length, kept"})";
    label = parse_options<Everything>(json).label;
  }
  CHECK(label == "a text of some length, kept");
}

TEST_CASE("what is not allowed is refused with name, value and rule") {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"flag": 1})", R"(option "flag": found 1; must be true or false)"},
      {R"({"flag": null})", R"(option "flag": found null; must be true or false)"},
      {R"({"count": 1.5})",
       R"(option "count": found 1.5; must be an integer of at least -10 of at most 1048576)"},
      {R"({"count": -11})",
       R"(option "count": found -11; must be an integer of at least -10 of at most 1048576)"},
      {R"({"count": "3"})",
       R"(option "count": found "3"; must be an integer of at least -10 of at most 1048576)"},
      {R"({"count": true})",
       R"(option "count": found true; must be an integer of at least -10 of at most 1048576)"},
      {R"({"rate": 0})",
       R"(option "rate": found 0; must be a finite number above 0 of at most 2.5)"},
      {R"({"rate": 2.6})",
       R"(option "rate": found 2.6; must be a finite number above 0 of at most 2.5)"},
      {R"({"mode": "medium"})", R"(option "mode": found "medium"; must be one of "fast", "slow")"},
      {R"({"mode": 1})", R"(option "mode": found 1; must be a text)"},
      {R"({"label": []})", R"(option "label": found []; must be a text)"},
      {R"({"limit": 0})", R"(option "limit": found 0; must be an integer of at least 1)"},
      {R"({"limit": 18446744073709551615})",
       R"(option "limit": found 18446744073709551615; must be an integer of at least 1)"},
      {R"({"choice": "y"})", R"(option "choice": found "y"; must be one of "x")"},
      {R"({"inner": "x"})", R"(option "inner": found "x"; must be an object with a "name")"},
      {R"({"inner": {}})", R"(option "inner": found {}; must be an object with a "name")"},
      {R"({})", R"(option "inner" is missing)"},
  };
  for (const auto& [json, message] : cases) CHECK(refusal(json) == message);
}

TEST_CASE("numbers without end are refused") {
  struct Free {
    double value = 0;
    static constexpr auto fields() { return grevy::fields(field("value", &Free::value, "")); }
  };
  CHECK(parse_options<Free>(R"({"value": -1e300})").value == -1e300);
  CHECK_THROWS_AS(parse_options<Free>(R"({"value": 1e999})"), Error);
  CHECK_THROWS_AS(parse_options<Free>(R"({"value": NaN})"), Error);
}

TEST_CASE("bounds are said as they are written") {
  struct Bounded {
    double share = 0.5, far = 0;
    static constexpr auto fields() {
      return grevy::fields(field("share", &Bounded::share, "").at_least(0.25).below(1),
                           field("far", &Bounded::far, "").at_most(2e16));
    }
  };
  const auto parse_bounded = [](const char* json) { parse_options<Bounded>(json); };
  CHECK_THROWS_WITH_AS(
      parse_bounded(R"({"share": 1})"),
      R"(option "share": found 1; must be a finite number of at least 0.25 below 1)", Error);
  CHECK_THROWS_WITH_AS(parse_bounded(R"({"far": 1e17})"),
                       R"(option "far": found 1e+17; must be a finite number of at most 2e+16)",
                       Error);
}

TEST_CASE("an unknown option lists the known ones") {
  CHECK(
      refusal(R"({"inner": {"name": "x"}, "rat": 1})") ==
      R"(unknown option "rat"; known: flag, count, rate, mode, label, limit, start, choice, inner)");
  const auto parse_nothing = [] { parse_options<NoOptions>(R"({"a": 1})"); };
  CHECK_THROWS_WITH_AS(parse_nothing(), R"(unknown option "a"; known: none)", Error);
}

TEST_CASE("options that are no JSON object are refused") {
  for (const char* text : {"", "[]", "null", "{", "{}x", "7", "{\"a\":\"\xff\"}"}) {
    CAPTURE(text);
    try {
      parse_options<NoOptions>(text);
      FAIL("nothing was thrown");
    } catch (const Error& e) {
      CHECK(e.code() == ErrorCode::invalid_type);
    }
  }
}

TEST_CASE("numbers are written shortly and exactly") {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},
      {-0.0, "0"},
      {1, "1"},
      {-2.5, "-2.5"},
      {0.1, "0.1"},
      {0.3, "0.3"},
      {1e-8, "0.00000001"},
      {0.9999999, "0.9999999"},
      {123456.789, "123456.789"},
      {9007199254740991.0, "9007199254740991"},
      {1e-22, "0.0000000000000000000001"},
      {1e15, "1000000000000000"},
      {1e22, "1000000000000000e7"},
  };
  for (const auto& [number, text] : cases) {
    const std::string found = written(number);
    CHECK(found == text);
    CHECK(std::strtod(found.c_str(), nullptr) == number);
  }
}

TEST_CASE("every short decimal is written so that it reads back as itself") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto digits = static_cast<int>(random() % 15) + 1;
    const auto mantissa = random() % static_cast<std::uint64_t>(std::pow(10.0, digits));
    const auto exponent = static_cast<int>(random() % 45) - 22;
    const std::string literal = std::to_string(mantissa) + "e" + std::to_string(exponent);
    const double number = std::strtod(literal.c_str(), nullptr);
    const std::string found = written(number);
    CAPTURE(literal);
    REQUIRE(std::strtod(found.c_str(), nullptr) == number);
    REQUIRE(nlohmann::json::parse(found).get<double>() == number);
  }
}

TEST_CASE("numbers without a short form do not compile, and throw at run time") {
  for (const double number : {1.0 / 3 * 1e-10, 1e300, 5e-324, HUGE_VAL})
    CHECK_THROWS_AS(written(number), const char*);
}

TEST_CASE("integers are written to their limits") {
  CHECK(written(std::int64_t{0}) == "0");
  CHECK(written(std::numeric_limits<std::int64_t>::max()) == "9223372036854775807");
  CHECK(written(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
}

TEST_CASE("texts are escaped for JSON") {
  grevy::detail::Buffer<64> out;
  grevy::detail::write_string(out, std::string_view("\"\\\n\x1f\0z\u00e4", 8));
  CHECK(std::string(out.view()) == "\"\\\"\\\\\\u000a\\u001f\\u0000z\u00e4\"");
}

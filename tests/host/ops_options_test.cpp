// The options of components in C: numbers alone, and any value by its pointer.
#include "host/ops_support.hpp"

#include <grevy/options.h>

#include <cmath>
#include <limits>

using namespace grevy;
using namespace grevy::tests;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

const grevy_options& table() {
  const grevy_host& host = plugin_host();
  static const void* found = host.extension(&host, grevy::detail::text_of(GREVY_OPTIONS_EXTENSION));
  return *static_cast<const grevy_options*>(found);
}

grevy_text text_of(std::string_view text) { return grevy::detail::text_of(text); }
std::string string_of(grevy_text text) { return std::string(grevy::detail::view(text)); }

// Options that are open for a test.
class Opened {
 public:
  explicit Opened(std::string_view options) {
    checked([&](auto* errors) { return table().open(text_of(options), &reader_, errors); });
  }
  ~Opened() { table().close(reader_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  operator grevy_options_reader*() const { return reader_; }

  double number(const char* pointer, double lowest = -inf, double highest = inf,
                std::uint32_t flags = 0) const {
    double value = 0.25;
    checked([&](auto* e) {
      return table().number(reader_, text_of(pointer), lowest, highest, flags, &value, e);
    });
    return value;
  }
  std::int64_t integer(const char* pointer, std::int64_t lowest = INT64_MIN,
                       std::int64_t highest = INT64_MAX, std::uint32_t flags = 0) const {
    std::int64_t value = -7;
    checked([&](auto* e) {
      return table().integer(reader_, text_of(pointer), lowest, highest, flags, &value, e);
    });
    return value;
  }
  std::uint32_t boolean(const char* pointer, std::uint32_t flags = 0) const {
    std::uint32_t value = 9;
    checked([&](auto* e) { return table().boolean(reader_, text_of(pointer), flags, &value, e); });
    return value;
  }
  std::string text(const char* pointer, std::vector<grevy_text> choices = {},
                   std::uint32_t flags = 0) const {
    grevy_text value = default_text;
    checked([&](auto* e) {
      return table().text(reader_, text_of(pointer), choices.data(), choices.size(), flags, &value,
                          e);
    });
    return string_of(value);
  }
  std::string json(const char* pointer, std::uint32_t flags = 0) const {
    grevy_text value = default_text;
    checked([&](auto* e) { return table().json(reader_, text_of(pointer), flags, &value, e); });
    return string_of(value);
  }
  std::uint64_t count(const char* pointer, std::uint32_t flags = 0) const {
    std::uint64_t value = 99;
    checked([&](auto* e) { return table().count(reader_, text_of(pointer), flags, &value, e); });
    return value;
  }
  std::string key(const char* pointer, std::uint64_t index) const {
    grevy_text value = default_text;
    checked([&](auto* e) { return table().key(reader_, text_of(pointer), index, &value, e); });
    return string_of(value);
  }
  std::vector<double> numbers(const char* pointer, std::uint64_t capacity, double lowest = -inf,
                              std::uint32_t flags = 0) const {
    std::vector<double> values(capacity, 0.5);
    std::uint64_t count = capacity;
    checked([&](auto* e) {
      return table().numbers(reader_, text_of(pointer), lowest, inf, flags, values.data(), capacity,
                             &count, e);
    });
    values.resize(count);
    return values;
  }
  std::uint32_t kind(const char* pointer) const { return table().kind(reader_, text_of(pointer)); }
  void finish() const {
    checked([&](auto* e) { return table().finish(reader_, e); });
  }

 private:
  static inline const grevy_text default_text = {"default", 7};
  grevy_options_reader* reader_ = nullptr;
};

template <class Body>
void check_refused(Body&& body, const std::string& part) {
  const Caught error = catch_error(body);
  CHECK(error.code == ErrorCode::invalid_value);
  CHECK_MESSAGE(error.says(part), error.text);
}

}  // namespace

TEST_CASE("values of every kind are read by their pointers, and stay as they are where none is") {
  const Opened options(R"({"rate":0.5,"count":7,"on":true,"name":"l\u00f6ss","none":null,
    "widths":[8,16.5,32],"inner":{"b":{"c":-1},"a":[]},"a/b~c":3,"":4})");
  CHECK(options.number("/rate") == 0.5);
  CHECK(options.number("/count") == 7);
  CHECK(options.number("/missing") == 0.25);
  CHECK(options.number("/widths/1") == 16.5);
  CHECK(options.number("/a~1b~0c") == 3);
  CHECK(options.number("/") == 4);
  CHECK(options.integer("/count") == 7);
  CHECK(options.integer("/missing") == -7);
  CHECK(options.integer("/inner/b/c") == -1);
  CHECK(options.integer("/rate/deeper") == -7);
  CHECK(options.boolean("/on") == 1);
  CHECK(options.boolean("/missing") == 9);
  CHECK(options.text("/name") == "l\u00f6ss");
  CHECK(options.text("/missing") == "default");
  CHECK(options.json("/inner") == R"({"a":[],"b":{"c":-1}})");
  CHECK(options.json("/missing") == "default");
  CHECK(options.count("/widths") == 3);
  CHECK(options.count("/inner") == 2);
  CHECK(options.count("/missing") == 99);
  CHECK(options.count("") == 9);
  CHECK(options.key("/inner", 0) == "a");
  CHECK(options.key("/inner", 1) == "b");
  CHECK(options.numbers("/widths", 4) == std::vector<double>{8, 16.5, 32});
  CHECK(options.numbers("/missing", 2) == std::vector<double>{0.5, 0.5});
  CHECK(options.numbers("/inner/a", 0).empty());
  const std::pair<const char*, std::uint32_t> kinds[] = {
      {"/missing", GREVY_VALUE_MISSING},  {"/none", GREVY_VALUE_NULL},
      {"/on", GREVY_VALUE_BOOLEAN},       {"/count", GREVY_VALUE_INTEGER},
      {"/rate", GREVY_VALUE_NUMBER},      {"/name", GREVY_VALUE_TEXT},
      {"/widths", GREVY_VALUE_LIST},      {"", GREVY_VALUE_OBJECT},
      {"/widths/3", GREVY_VALUE_MISSING}, {"/widths/01", GREVY_VALUE_MISSING},
      {"/widths/-", GREVY_VALUE_MISSING}, {"/widths/99999999999999999999", GREVY_VALUE_MISSING},
      {"none", GREVY_VALUE_MISSING}};
  for (const auto& entry : kinds) {
    CAPTURE(entry.first);
    CHECK(options.kind(entry.first) == entry.second);
  }
  options.finish();
}

TEST_CASE("values that are not allowed are errors with their pointers") {
  const Opened options(
      R"({"rate":0.5,"count":7,"name":"loss","none":null,"big":18446744073709551615,
    "widths":[8,-1,"x"],"inner":{"a":1}})");
  check_refused([&] { options.number("/rate", 0.5, 1, GREVY_OPTION_ABOVE); },
                "option \"/rate\": found 0.5; must be a finite number above 0.5 of at most 1");
  check_refused([&] { options.number("/rate", 0, 0.5, GREVY_OPTION_BELOW); },
                "must be a finite number of at least 0 below 0.5");
  check_refused([&] { options.number("/name"); }, "found \"loss\"; must be a finite number");
  check_refused([&] { options.number("/none"); }, "found null; must be a finite number");
  check_refused([&] { options.number("/rate", -inf, inf, GREVY_OPTION_INTEGER); },
                "must be an integer");
  check_refused([&] { options.number("/missing", 0, 1, GREVY_OPTION_REQUIRED); },
                "option \"/missing\" is missing");
  check_refused([&] { options.integer("/rate"); },
                "option \"/rate\": found 0.5; must be an integer");
  check_refused([&] { options.integer("/big"); }, "found 18446744073709551615; must be an integer");
  check_refused([&] { options.integer("/count", 8); }, "must be an integer of at least 8");
  check_refused([&] { options.integer("/count", 0, 7, GREVY_OPTION_BELOW); },
                "must be an integer of at least 0 below 7");
  check_refused([&] { options.integer("/widths/1", 1); },
                "option \"/widths/1\": found -1; must be an integer of at least 1");
  check_refused([&] { options.boolean("/count"); }, "found 7; must be true or false");
  check_refused([&] { options.text("/count"); }, "found 7; must be a text");
  check_refused(
      [&] {
        options.text("/name", {text_of("a"), text_of("b")});
      },
      "found \"loss\"; must be one of \"a\", \"b\"");
  check_refused([&] { options.text("/missing", {}, GREVY_OPTION_REQUIRED); }, "is missing");
  check_refused([&] { options.json("/missing", GREVY_OPTION_REQUIRED); }, "is missing");
  check_refused([&] { options.count("/count"); }, "found 7; must be a list or an object");
  check_refused([&] { options.key("/widths", 0); }, "must be an object");
  check_refused([&] { options.key("/missing", 0); }, "is missing");
  CHECK(catch_error([&] { options.key("/inner", 1); }).code == ErrorCode::out_of_range);
  check_refused([&] { options.numbers("/widths", 3, 0); },
                "option \"/widths/1\": found -1; must be a finite number of at least 0");
  check_refused([&] { options.numbers("/widths", 2); }, "must be a list of at most 2; it has 3");
  check_refused([&] { options.numbers("/inner", 2); }, "must be a list of numbers");
  for (const char* pointer : {"rate", "/a~", "/a~2", "rate/"})
    check_refused([&] { options.number(pointer); }, "is no JSON pointer; must be as \"/name\"");
  CHECK(options.text("/name", {text_of("x"), text_of("loss")}) == "loss");
}

TEST_CASE("pointers that lead nowhere, values that are false, bounds that are no short numbers") {
  const Opened options(R"({"on":false,"widths":[8],"rate":0.1})");
  CHECK(options.boolean("/on") == 0);
  CHECK(options.integer("/missing/still/deeper") == -7);
  for (const char* pointer : {"/widths/x", "/widths/", "/widths/00", "/widths/10"})
    CHECK(options.kind(pointer) == GREVY_VALUE_MISSING);
  check_refused([&] { options.number("/rate", 0.25, 1e16); },
                "must be a finite number of at least 0.25 of at most 1e+16");
  const auto unknown = [](const char* text) {
    const Opened given(text);
    given.kind("/a");
    return catch_error([&] { given.finish(); });
  };
  CHECK(unknown(R"({"z":{}})").says("unknown option \"/z\"; known: /a"));
  CHECK(unknown(R"({"z":[]})").says("unknown option \"/z\"; known: /a"));
}

TEST_CASE("what nobody has asked for is an error with its pointer") {
  const auto finished = [](const char* text, std::vector<const char*> numbers,
                           std::vector<const char*> wholes = {}) {
    const Opened options(text);
    for (const char* pointer : numbers) options.kind(pointer);
    for (const char* pointer : wholes) options.json(pointer);
    return catch_error([&] { options.finish(); });
  };
  CHECK(finished("{}", {}).code == ErrorCode{});
  CHECK(finished("", {}).code == ErrorCode{});
  CHECK(finished(R"({"a":1})", {"/b", "/c"}).says("unknown option \"/a\"; known: /b, /c"));
  CHECK(finished(R"({"a":1})", {}).says("unknown option \"/a\"; known: none"));
  CHECK(finished(R"({"a":{"b":[0,1]}})", {"/a", "/a/b", "/a/b/0"}).says("\"/a/b/1\""));
  CHECK(finished(R"({"a":{"b":[0,1]}})", {"/a/b/0", "/a/b/1"}).code == ErrorCode{});
  CHECK(finished(R"({"a":{"b":[0,1]}})", {}, {"/a"}).code == ErrorCode{});
  CHECK(finished(R"({"a":{"b":[0,1]},"c":2})", {}, {""}).code == ErrorCode{});
  CHECK(finished(R"({"a":{}})", {"/a/b"}).code == ErrorCode{});
  CHECK(finished(R"({"a":{}})", {"/ab"}).says("unknown option \"/a\""));
  CHECK(finished(R"({"a~/b":1})", {}).says("unknown option \"/a~0~1b\""));
}

TEST_CASE("options that are none") {
  grevy_options_reader* reader = nullptr;
  for (const char* text : {"[]", "1", "{", "{\"a\":1,}"}) {
    CAPTURE(text);
    const Caught error = catch_error(
        [&] { checked([&](auto* e) { return table().open(text_of(text), &reader, e); }); });
    CHECK(error.code == ErrorCode::invalid_type);
    CHECK(reader == nullptr);
  }
  const std::string deep = "{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}";
  CHECK(catch_error([&] {
          checked([&](auto* e) { return table().open(text_of(deep), &reader, e); });
        }).says("nested too deeply"));
}

TEST_CASE("NULL in the place of a reader, of room or of a list") {
  constexpr std::int32_t refused = GREVY_ERROR_INVALID_VALUE;
  const grevy_options& t = table();
  const grevy_text a = text_of("/a");
  double number = 0;
  std::int64_t integer = 0;
  std::uint32_t boolean = 0;
  std::uint64_t count = 0;
  grevy_text text{};
  CHECK(t.open(text_of("{}"), nullptr, nullptr) == refused);
  t.close(nullptr);
  CHECK(t.kind(nullptr, a) == GREVY_VALUE_MISSING);
  CHECK(t.number(nullptr, a, 0, 1, 0, &number, nullptr) == refused);
  CHECK(t.integer(nullptr, a, 0, 1, 0, &integer, nullptr) == refused);
  CHECK(t.boolean(nullptr, a, 0, &boolean, nullptr) == refused);
  CHECK(t.text(nullptr, a, nullptr, 0, 0, &text, nullptr) == refused);
  CHECK(t.json(nullptr, a, 0, &text, nullptr) == refused);
  CHECK(t.count(nullptr, a, 0, &count, nullptr) == refused);
  CHECK(t.key(nullptr, a, 0, &text, nullptr) == refused);
  CHECK(t.numbers(nullptr, a, 0, 1, 0, &number, 1, &count, nullptr) == refused);
  CHECK(t.finish(nullptr, nullptr) == refused);

  const Opened options(R"({"a":1,"t":"x","l":[1]})");
  CHECK(t.number(options, a, 0, 1, 0, nullptr, nullptr) == refused);
  CHECK(t.integer(options, a, 0, 1, 0, nullptr, nullptr) == refused);
  CHECK(t.boolean(options, a, 0, nullptr, nullptr) == refused);
  CHECK(t.text(options, text_of("/t"), nullptr, 0, 0, nullptr, nullptr) == refused);
  CHECK(t.text(options, text_of("/t"), nullptr, 2, 0, &text, nullptr) == refused);
  CHECK(t.text(options, text_of("/t"), &text, UINT64_MAX, 0, &text, nullptr) == refused);
  CHECK(t.json(options, a, 0, nullptr, nullptr) == refused);
  CHECK(t.count(options, a, 0, nullptr, nullptr) == refused);
  CHECK(t.key(options, text_of(""), 0, nullptr, nullptr) == refused);
  CHECK(t.numbers(options, text_of("/l"), 0, 1, 0, nullptr, 1, &count, nullptr) == refused);
  CHECK(t.numbers(options, text_of("/l"), 0, 1, 0, &number, 1, nullptr, nullptr) == refused);
  CHECK(t.number(options, {nullptr, UINT64_MAX}, 0, 1, 0, &number, nullptr) == refused);

  grevy_number_option row = {text_of("a"), nullptr, 0, 1, 0, 0};
  CHECK(t.read_numbers(text_of("{}"), &row, 1, nullptr) == refused);
  CHECK(t.read_numbers(text_of("{}"), nullptr, 1, nullptr) == refused);
  CHECK(t.read_numbers(text_of("{}"), &row, UINT64_MAX, nullptr) == refused);
  row.value = &number;
  row.flags = GREVY_OPTION_REQUIRED;
  CHECK(t.read_numbers(text_of("{}"), &row, 1, nullptr) == refused);
  CHECK(t.read_numbers(text_of(R"({"a":1})"), &row, 1, nullptr) == GREVY_OK);
  CHECK(number == 1);
}

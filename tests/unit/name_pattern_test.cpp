#include "plugins/name_pattern.hpp"

#include <doctest/doctest.h>

#include <regex>

using grevy::host::match_name;
using grevy::host::name_regex;

TEST_CASE("a plain name matches itself alone") {
  CHECK(match_name("offset1-model", "offset1-model")->empty());
  CHECK_FALSE(match_name("offset1-model", "offset1-model-mse"));
  CHECK_FALSE(match_name("offset1-model-mse", "offset1-model"));
}

TEST_CASE("placeholders take numbers") {
  const auto values = match_name("clip-{low}-{high}", "clip-7-0.25");
  REQUIRE(values);
  CHECK(values->dump() == R"({"high":0.25,"low":7})");
  CHECK(match_name("v2-{m}layers", "v2-007layers")->at("m") == 7);
  for (const char* name : {"clip--3", "clip-3-", "clip-3", "clip-a-3", "clip-3-3x", "clip-3.-3",
                           "clip-", "", "clip-1234567890123456-3"})
    CHECK_FALSE(match_name("clip-{low}-{high}", name));
  CHECK_FALSE(match_name("v2-{m}layers", "v2-3layers-tanh"));
}

TEST_CASE("the regular expression matches the same names") {
  const std::string pattern = "a.b-{low}-{high}x";
  const std::regex regex(name_regex(pattern));
  for (const char* name :
       {"a.b-1-2x", "a.b-1.5-20x", "aab-1-2x", "a.b-1-2", "a.b-x-2x", "a.b-1-2xx"})
    CHECK(std::regex_search(name, regex) == match_name(pattern, name).has_value());
}

TEST_CASE("braces that are no placeholder are text") {
  CHECK(match_name("a}b{c", "a}b{c"));
  CHECK_FALSE(match_name("a{b", "a1"));
}

// Helpers of the tests of short forms.
#ifndef GREVY_TESTS_SHORT_FORM_SUPPORT_HPP
#define GREVY_TESTS_SHORT_FORM_SUPPORT_HPP

#include "experiment/short_form.hpp"

#include <grevy/error.hpp>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace grevy::test {

using nlohmann::json;

inline constexpr auto kType = ErrorCode::invalid_type;
inline constexpr auto kValue = ErrorCode::invalid_value;

inline json expanded(const std::string& document) {
  return host::expand_short_forms(json::parse(document));
}

struct Refusal {
  std::string text = "accepted";
  ErrorCode code = ErrorCode::internal;
};

inline Refusal refusal(const std::string& document) {
  try {
    expanded(document);
  } catch (const Error& error) {
    return {error.what(), error.code()};
  }
  return {};
}

inline void check_refused(const std::string& document, const std::string& text,
                          ErrorCode code = kValue) {
  CAPTURE(document);
  const Refusal result = refusal(document);
  CHECK(result.text == text);
  CHECK(result.code == code);
}

// For long messages: how they begin.
inline void check_refused_with(const std::string& document, const std::string& begin,
                               ErrorCode code = kValue) {
  CAPTURE(document);
  const Refusal result = refusal(document);
  CHECK(result.text.substr(0, begin.size()) == begin);
  CHECK(result.code == code);
}

}  // namespace grevy::test

#endif

// Options that a component in C reads one by one, by JSON pointer.
#ifndef GREVY_HOST_OPS_OPTIONS_READER_HPP
#define GREVY_HOST_OPS_OPTIONS_READER_HPP

#include <grevy/options.h>

#include <nlohmann/json.hpp>

#include <deque>
#include <map>
#include <string>
#include <string_view>

struct grevy_options_reader {
  using Json = nlohmann::json;

  explicit grevy_options_reader(Json options) : options_(std::move(options)) {}

  // The value at a pointer, or null where nothing is; `whole`: with all that it holds, for
  // check_known(). Errors: invalid_value for a pointer that is none.
  const Json* find(std::string_view pointer, bool whole);
  // A text that lives as long as the reader.
  grevy_text keep(std::string text);
  // Errors: invalid_value for a value that nobody has asked for.
  void check_known() const;

 private:
  void check_known(const Json& value, const std::string& pointer) const;
  bool is_asked_for(const Json& value, const std::string& pointer) const;

  Json options_;
  std::map<std::string, bool> asked_;  // pointers, and whether as a whole
  std::deque<std::string> kept_;
};

#endif

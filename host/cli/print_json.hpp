// What --json prints.
#ifndef GREVY_CLI_PRINT_JSON_HPP
#define GREVY_CLI_PRINT_JSON_HPP

#include <nlohmann/json.hpp>

#include <iostream>

namespace grevy::cli {

// A document of several lines on stdout. Names of files may be any bytes: what is no UTF-8 is shown
// as U+FFFD.
inline void print_json(const nlohmann::json& document) {
  std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace grevy::cli

#endif

// Hosts that see the plugins of a test alone, and the errors that they give.
#ifndef GREVY_TESTS_PLUGIN_SUPPORT_HPP
#define GREVY_TESTS_PLUGIN_SUPPORT_HPP

#include <grevy/host/host.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace grevy::tests {

inline const std::filesystem::path test_plugins = GREVY_TEST_PLUGINS;

inline host::HostOptions only(std::vector<std::filesystem::path> plugin_path) {
  host::HostOptions options;
  options.plugin_path = std::move(plugin_path);
  options.search_default_folders = false;
  return options;
}

// The same with the lines that plugins log, each "component: message".
inline host::HostOptions logging(std::vector<std::filesystem::path> plugin_path,
                                 std::vector<std::string>& lines) {
  host::HostOptions options = only(std::move(plugin_path));
  options.log = [&lines](host::LogLevel, std::string_view component, std::string_view message) {
    lines.push_back(std::string(component) + ": " + std::string(message));
  };
  return options;
}

// What an error says; code 0 and no text if there was none.
struct Caught {
  ErrorCode code{};
  std::string text, plugin, component, operation;

  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

template <class Body>
Caught catch_error(Body&& body) {
  try {
    body();
  } catch (const PluginError& e) {
    return {e.code(), e.what(), e.plugin(), e.component(), e.operation()};
  } catch (const Error& e) {
    return {e.code(), e.what(), "", "", ""};
  }
  return {};
}

inline void check_place(const Caught& error, const char* plugin, const char* component,
                        const char* operation) {
  INFO(error.text);
  CHECK(error.plugin == plugin);
  CHECK(error.component == component);
  CHECK(error.operation == operation);
}

inline host::CreateOptions channels(std::int64_t num_input) {
  host::CreateOptions create;
  create.num_input = num_input;
  create.seed = 5;
  return create;
}

inline Owned<CriterionRef> criterion(host::Host& host, const std::string& name,
                                     const std::string& options = "{}") {
  return host.create_criterion(name, options, {});
}

// An environment variable for one test.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Setting() { ::unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

}  // namespace grevy::tests

#endif

// What a person, or a program, is told about the checks.
#ifndef GREVY_CLI_VALIDATE_REPORT_HPP
#define GREVY_CLI_VALIDATE_REPORT_HPP

#include "child.hpp"

namespace grevy::cli {

// A line per check, printed as it comes; as JSON one document at the end.
class Report {
 public:
  enum class Style { lines, failures, json };
  Report(std::filesystem::path file, const Limits& limits, Style style)
      : file_(std::move(file)), limits_(limits), style_(style) {}

  void add(const Target& target, const Result& result);
  // Checks that were not made: "all" of a component, "others" than those before.
  void skip(const Target& target, const char* which, const std::string& reason);
  // The last line, or the document. Returns whether no check failed.
  bool finish(std::uint64_t seed);

 private:
  struct Counts {
    std::size_t ok = 0, failed = 0, skipped = 0;
  };
  void count(Status status);
  void print(const Target& target, const Result& result, const std::string& repeat) const;

  std::filesystem::path file_;
  Limits limits_;
  Style style_;
  Counts counts_;
  nlohmann::json checks_ = nlohmann::json::array();
};

// The command that makes the checks of a component again, for a shell.
std::string repeat_command(const std::filesystem::path& file, const Target& target,
                           const Limits& limits);

}  // namespace grevy::cli

#endif

#include "report.hpp"

#include "print_json.hpp"

#include <iomanip>
#include <iostream>

namespace grevy::cli {
namespace {

using nlohmann::json;

std::string quoted(const std::string& word) {
  const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./+:=@%,";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string title(const Target& target) {
  return target.name.empty() ? target.kind : target.kind + " " + target.name;
}

}  // namespace

std::string repeat_command(const std::filesystem::path& file, const Target& target,
                           const Limits& limits) {
  std::string command = "grevy validate " + quoted(file.string());
  if (!target.name.empty()) command += " --only " + quoted(target.name);
  if (!target.options.empty()) command += " --options " + quoted(target.options.dump());
  for (const auto& path : target.plugin_path) command += " --plugin-path " + quoted(path.string());
  if (target.allow_writable_plugins) command += " --allow-writable-plugins";
  const Limits usual;
  if (limits.seconds != usual.seconds) command += " --time-limit " + std::to_string(limits.seconds);
  if (limits.gibibytes != usual.gibibytes)
    command += " --memory-limit " + std::to_string(limits.gibibytes);
  return command + " --seed " + std::to_string(target.seed);
}

void Report::count(Status status) {
  switch (status) {
    case Status::ok:
      ++counts_.ok;
      break;
    case Status::failed:
      ++counts_.failed;
      break;
    case Status::skipped:
      ++counts_.skipped;
      break;
  }
}

void Report::print(const Target& target, const Result& result, const std::string& repeat) const {
  std::cout << std::left << std::setw(9) << to_string(result.status) << title(target) << "  "
            << result.check.name;
  if (!result.reason.empty()) std::cout << ": " << result.reason;
  std::cout << "\n";
  if (result.status == Status::failed)
    std::cout << "         wanted: " << result.check.meaning
              << "\n         hint: " << result.check.hint << "\n         again: " << repeat << "\n";
  std::cout << std::flush;
}

void Report::add(const Target& target, const Result& result) {
  count(result.status);
  const std::string repeat = repeat_command(file_, target, limits_);
  const bool failed = result.status == Status::failed;
  if (style_ != Style::json) {
    if (failed || style_ == Style::lines) print(target, result, repeat);
    return;
  }
  checks_.push_back({{"kind", target.kind},
                     {"component", target.name},
                     {"check", result.check.name},
                     {"status", to_string(result.status)},
                     {"meaning", result.check.meaning},
                     {"reason", result.reason}});
  if (failed) checks_.back().update({{"hint", result.check.hint}, {"again", repeat}});
}

void Report::skip(const Target& target, const char* which, const std::string& reason) {
  add(target, {{which, nullptr, "", ""}, Status::skipped, reason});
}

bool Report::finish(std::uint64_t seed) {
  const bool passed = counts_.failed == 0;
  if (style_ == Style::json) {
    print_json({{"file", file_.string()},
                {"seed", seed},
                {"passed", passed},
                {"ok", counts_.ok},
                {"failed", counts_.failed},
                {"skipped", counts_.skipped},
                {"seconds", limits_.seconds},
                {"gibibytes", limits_.gibibytes},
                {"checks", checks_}});
    return passed;
  }
  std::cout << file_.string() << ": " << counts_.ok << " ok, " << counts_.failed << " failed, "
            << counts_.skipped << " skipped (seed " << seed
            << ", limits of a check: " << limits_.seconds << " s, " << limits_.gibibytes
            << " GiB)\n";
  return passed;
}

}  // namespace grevy::cli

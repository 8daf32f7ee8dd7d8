#include <grevy/error.hpp>
#include <grevy/host/progress.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

namespace grevy::host {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds line_pause{5000}, bar_pause{100};

bool parse_log_format(const std::string& log_format) {
  if (log_format == "tqdm") return true;
  if (log_format == "off") return false;
  throw Error(ErrorCode::invalid_value,
              "log format: found \"" + log_format + "\"; must be one of \"tqdm\", \"off\"");
}

// "2h05m", "0m21s".
std::string duration(double seconds) {
  constexpr double longest = 1e15;  // beyond what is shown, within long
  const auto whole = static_cast<long>(std::min(seconds, longest) + 0.5);
  std::array<char, 48> text{};
  if (whole >= 3600)
    std::snprintf(text.data(), text.size(), "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  else
    std::snprintf(text.data(), text.size(), "%ldm%02lds", whole / 60, whole % 60);
  return text.data();
}

std::string speed(double done, double left, double seconds) {
  const double rate = seconds > 0 ? done / seconds : 0;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.1f steps/s, ", rate);
  return text.data() + duration(rate > 0 ? left / rate : 0) + " left";
}

std::string bar(double share) {
  constexpr std::size_t width = 24;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  return "[" + std::string(filled, '=') + std::string(width - filled, ' ') + "]";
}

}  // namespace

std::string format_numbers(const NamedNumbers& numbers) {
  std::string text;
  for (const auto& [name, value] : numbers) {
    std::array<char, 330> digits{};  // the longest double has 309 before the point
    std::snprintf(digits.data(), digits.size(), "% .4f", value);
    text += (text.empty() ? "" : " ") + name + ": " + digits.data();
  }
  return text;
}

void Meter::add(double value, std::int64_t num_elements) {
  if (num_elements < 0) {
    throw Error(ErrorCode::invalid_value,
                "found " + std::to_string(num_elements) + " elements; must be at least 0");
  }
  sum_ += value;
  count_ += num_elements;
}

double Meter::average() const {
  if (count_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return sum_ / static_cast<double>(count_);
}

Pace::Pace(milliseconds pause, Clock clock) : pause_(pause), clock_(std::move(clock)) {}

bool Pace::is_due(bool always) {
  const auto now = clock_();
  if (!always && last_ && now - *last_ < pause_) return false;
  last_ = now;
  return true;
}

ProgressBar::ProgressBar(std::ostream& out, const std::string& log_format, bool terminal,
                         Pace::Clock clock)
    : out_(out),
      on_(parse_log_format(log_format)),
      terminal_(terminal),
      clock_(std::move(clock)),
      pace_(terminal ? bar_pause : line_pause, clock_),
      start_(clock_()) {}

ProgressBar::~ProgressBar() {
  try {
    finish();
  } catch (...) {  // a stream that throws; the text is lost, the program is not
  }
}

void ProgressBar::set_description(NamedNumbers numbers) {
  if (on_) numbers_ = std::move(numbers);
}

void ProgressBar::show(std::int64_t counter, std::int64_t num_steps, bool always) {
  if (counter < 0 || counter >= num_steps) {
    throw Error(ErrorCode::invalid_value, "progress: found step " + std::to_string(counter) +
                                              " of " + std::to_string(num_steps) +
                                              "; must be from 0 to below the number of steps");
  }
  if (!on_) return;
  if (first_step_ < 0) first_step_ = counter;
  if (!pace_.is_due(always || counter + 1 == num_steps)) return;
  const std::string line = describe(counter, num_steps);
  if (terminal_)
    out_ << "\r\033[K" + line << std::flush;
  else
    out_ << line + "\n" << std::flush;
  line_is_open_ = terminal_;
}

void ProgressBar::finish() {
  if (line_is_open_) out_ << "\n" << std::flush;
  line_is_open_ = false;
}

void ProgressBar::check_num_steps(std::int64_t num_steps) {
  if (num_steps >= 0) return;
  throw Error(ErrorCode::invalid_value,
              "progress: found " + std::to_string(num_steps) + " steps; must be at least 0");
}

std::string ProgressBar::describe(std::int64_t counter, std::int64_t num_steps) const {
  const double seconds = std::chrono::duration<double>(clock_() - start_).count();
  const auto done = static_cast<double>(counter - first_step_ + 1);
  const auto left = static_cast<double>(num_steps - counter - 1);
  const double share = static_cast<double>(counter + 1) / static_cast<double>(num_steps);
  const std::string place = std::to_string(counter + 1) + "/" + std::to_string(num_steps) + "  ";
  const std::string numbers = format_numbers(numbers_);
  return (terminal_ ? bar(share) + " " : "step ") + place + numbers +
         (numbers.empty() ? "" : "  ") + speed(done, left, seconds);
}

}  // namespace grevy::host

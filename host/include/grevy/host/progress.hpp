// grevy/host/progress.hpp: means of numbers and a line of progress, for loops over batches.
//
// Nothing here is safe to use from several threads at once.
#ifndef GREVY_HOST_PROGRESS_HPP
#define GREVY_HOST_PROGRESS_HPP

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace grevy::host {

// What a line shows, in this order.
using NamedNumbers = std::vector<std::pair<std::string, double>>;

// "pos: -0.9970 neg:  2.5536": "% .4f" of each value, joined by one blank.
std::string format_numbers(const NamedNumbers& numbers);

// A running sum and mean.
class Meter {
 public:
  // `value` is the sum over `num_elements` elements. Errors: invalid_value for num_elements < 0.
  void add(double value, std::int64_t num_elements = 1);
  double average() const;              // sum over the number of elements; NaN when there are none
  double sum() const { return sum_; }  // of all values

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

// Lets its caller through the first time, and then at most once in `pause`.
class Pace {
 public:
  // What time it is; another one than the default is for tests.
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  // The first is_due() is true.
  explicit Pace(std::chrono::milliseconds pause, Clock clock = std::chrono::steady_clock::now);
  // Whether the caller may pass; the pause starts anew then. With `always` it does.
  bool is_due(bool always = false);

 private:
  std::chrono::milliseconds pause_;
  Clock clock_;
  std::optional<std::chrono::steady_clock::time_point> last_;
};

// How far a loop is, in text:
//   on a terminal   one line that is rewritten, at most every 0.1 s:
//                   "[====    ] 120/1000  pos: -0.9970  42.1 steps/s, 0m21s left"
//   otherwise       a line of its own, at most every 5 s:
//                   "step 120/1000  pos: -0.9970  42.1 steps/s, 0m21s left"
// The first and the last step are always shown.
class ProgressBar {
 public:
  // log_format: "tqdm" shows progress, "off" writes nothing; another is invalid_value. `out` must
  // outlive the bar and is only then a terminal when `terminal` says so.
  ProgressBar(std::ostream& out, const std::string& log_format, bool terminal,
              Pace::Clock clock = std::chrono::steady_clock::now);
  ~ProgressBar();  // finish()
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool is_on() const { return on_; }  // false: "off"

  // The numbers of the lines to come. Nothing when off.
  void set_description(NamedNumbers numbers);

  // Step `counter` of `num_steps` is done. A loop that goes on from an earlier one starts with a
  // counter above 0; the speed counts the steps from there. `always`: whatever the pause.
  // Errors: invalid_value unless 0 <= counter < num_steps.
  void show(std::int64_t counter, std::int64_t num_steps, bool always = false);

  // Ends the line that is being rewritten, if there is one.
  void finish();

  // body(counter, next()) for counter = 0 to num_steps - 1, each followed by show(). What next or
  // body throw passes through. Errors: invalid_value for num_steps < 0.
  template <typename Next, typename Body>
  void for_each(std::int64_t num_steps, Next next, Body body) {
    check_num_steps(num_steps);
    for (std::int64_t counter = 0; counter < num_steps; ++counter) {
      body(counter, next());
      show(counter, num_steps);
    }
    finish();
  }

 private:
  static void check_num_steps(std::int64_t num_steps);
  std::string describe(std::int64_t counter, std::int64_t num_steps) const;

  std::ostream& out_;
  bool on_, terminal_;
  Pace::Clock clock_;
  Pace pace_;
  std::chrono::steady_clock::time_point start_;
  NamedNumbers numbers_;
  std::int64_t first_step_ = -1;
  bool line_is_open_ = false;
};

}  // namespace grevy::host

#endif

#include <grevy/error.hpp>
#include <grevy/host/progress.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::format_numbers;
using grevy::host::Meter;
using grevy::host::Pace;
using grevy::host::ProgressBar;
using std::chrono::milliseconds;

namespace {

// A clock that goes on only when told to.
class HandClock {
 public:
  void advance(std::int64_t ms) { *now_ += milliseconds(ms); }
  operator Pace::Clock() const {
    return [now = now_] { return *now; };
  }

 private:
  std::shared_ptr<std::chrono::steady_clock::time_point> now_ =
      std::make_shared<std::chrono::steady_clock::time_point>();
};

template <typename Action>
void check_refused(const std::string& text, Action action) {
  try {
    action();
    FAIL_CHECK("accepted, expected: " << text);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_value);
    CHECK(std::string(error.what()) == text);
  }
}

// What a bar writes while `steps` steps of `ms` milliseconds go by.
std::string written(bool terminal, std::int64_t steps, std::int64_t ms, std::int64_t first = 0) {
  std::ostringstream out;
  HandClock clock;
  ProgressBar bar(out, "tqdm", terminal, clock);
  for (std::int64_t step = first; step < steps; ++step) {
    clock.advance(ms);
    bar.show(step, steps);
  }
  bar.finish();
  return out.str();
}

}  // namespace

TEST_CASE("meter: sum and mean") {
  Meter meter;
  CHECK(meter.sum() == 0);
  CHECK(std::isnan(meter.average()));
  meter.add(3);
  CHECK(meter.average() == 3);
  meter.add(9, 5);  // the sum over five elements
  CHECK(meter.sum() == 12);
  CHECK(meter.average() == 2);
  meter.add(0, 0);
  CHECK(meter.average() == 2);
  check_refused("found -1 elements; must be at least 0", [&] { meter.add(1, -1); });
  CHECK(meter.sum() == 12);
}

TEST_CASE("numbers: four decimals, a blank in place of a plus") {
  CHECK(format_numbers({{"pos", -0.997}, {"neg", 2.5536}}) == "pos: -0.9970 neg:  2.5536");
  CHECK(format_numbers({{"zero", 0}, {"half", 0.00005}}) == "zero:  0.0000 half:  0.0001");
  CHECK(format_numbers({}).empty());
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(format_numbers({{"a", infinity}, {"b", -infinity}}) == "a:  inf b: -inf");
  const std::string longest = format_numbers({{"x", -std::numeric_limits<double>::max()}});
  CHECK(longest.size() == 3 + 1 + 309 + 5);
}

TEST_CASE("pace: the first time, then once a pause") {
  HandClock clock;
  Pace pace(milliseconds(100), clock);
  CHECK(pace.is_due());
  CHECK_FALSE(pace.is_due());
  clock.advance(99);
  CHECK_FALSE(pace.is_due());
  clock.advance(1);
  CHECK(pace.is_due());
  clock.advance(50);
  CHECK(pace.is_due(true));
  clock.advance(99);
  CHECK_FALSE(pace.is_due());  // counted from the one before
  clock.advance(1);
  CHECK(pace.is_due());
}

TEST_CASE("progress: lines, with the speed and the time left") {
  std::ostringstream out;
  HandClock clock;
  ProgressBar bar(out, "tqdm", false, clock);
  CHECK(bar.is_on());
  clock.advance(2000);
  bar.set_description({{"pos", -0.997}, {"neg", 2.5536}});
  bar.show(0, 1000);
  CHECK(out.str() == "step 1/1000  pos: -0.9970 neg:  2.5536  0.5 steps/s, 33m18s left\n");
  bar.show(1, 1000);
  bar.finish();
  bar.finish();
  CHECK(out.str() == "step 1/1000  pos: -0.9970 neg:  2.5536  0.5 steps/s, 33m18s left\n");
}

TEST_CASE("progress: on a terminal one line is rewritten and ended once") {
  std::ostringstream out;
  HandClock clock;
  ProgressBar bar(out, "tqdm", true, clock);
  clock.advance(500);
  bar.show(0, 2);
  const std::string half = "\r\033[K[============            ] 1/2  2.0 steps/s, 0m01s left";
  CHECK(out.str() == half);
  clock.advance(500);
  bar.set_description({{"total", 1}});
  bar.show(1, 2);
  const std::string whole =
      "\r\033[K[========================] 2/2  total:  1.0000  2.0 steps/s, 0m00s left";
  CHECK(out.str() == half + whole);
  bar.finish();
  bar.finish();
  CHECK(out.str() == half + whole + "\n");
}

TEST_CASE("progress: the first and the last step, and one a pause") {
  const auto count = [](const std::string& text, const std::string& piece) {
    std::size_t found = 0;
    for (std::size_t at = text.find(piece); at != text.npos; at = text.find(piece, at + 1)) ++found;
    return found;
  };
  CHECK(count(written(false, 100, 1), "\n") == 2);
  CHECK(count(written(false, 101, 100), "\n") == 3);  // at 0, 5 and 10 s
  CHECK(count(written(true, 100, 1), "\r") == 2);
  CHECK(count(written(true, 101, 10), "\r") == 11);  // at 0, 0.1, ... 1 s
  CHECK(count(written(true, 101, 10), "\n") == 1);
  CHECK(count(written(false, 1, 1), "\n") == 1);
  CHECK(count(written(false, 5, 0), "0.0 steps/s, 0m00s left\n") ==
        2);  // a clock that stands still
}

TEST_CASE("progress: a step can be shown whatever the pause") {
  std::ostringstream out;
  ProgressBar bar(out, "tqdm", false, HandClock());
  bar.show(0, 10);
  bar.show(1, 10);
  bar.show(2, 10, true);
  CHECK(out.str() == "step 1/10  0.0 steps/s, 0m00s left\nstep 3/10  0.0 steps/s, 0m00s left\n");
}

TEST_CASE("progress: the speed of a loop that goes on counts its own steps") {
  CHECK(written(false, 11, 1000, 9) ==
        "step 10/11  1.0 steps/s, 0m01s left\nstep 11/11  1.0 steps/s, 0m00s left\n");
}

TEST_CASE("progress: hours, and more steps than anybody lives to see") {
  std::ostringstream out;
  HandClock clock;
  ProgressBar bar(out, "tqdm", true, clock);
  clock.advance(1000);
  bar.show(0, 7500);
  CHECK(out.str().find("] 1/7500  1.0 steps/s, 2h04m left") != std::string::npos);
  clock.advance(100000000000);
  CHECK_NOTHROW(bar.show(1, std::numeric_limits<std::int64_t>::max()));
  CHECK(out.str().find("0.0 steps/s, 277777777777h46m left") != std::string::npos);
}

TEST_CASE("progress: a loop over batches") {
  std::ostringstream out;
  HandClock clock;
  ProgressBar bar(out, "tqdm", false, clock);
  std::vector<std::pair<std::int64_t, int>> seen;
  int made = 0;
  const auto next = [&] { return ++made * 10; };
  bar.for_each(3, next, [&](std::int64_t counter, int batch) {
    clock.advance(1000);
    bar.set_description({{"batch", batch}});
    seen.emplace_back(counter, batch);
  });
  CHECK(seen == std::vector<std::pair<std::int64_t, int>>{{0, 10}, {1, 20}, {2, 30}});
  CHECK(out.str() ==
        "step 1/3  batch:  10.0000  1.0 steps/s, 0m02s left\n"
        "step 3/3  batch:  30.0000  1.0 steps/s, 0m00s left\n");
  bar.for_each(0, next, [&](std::int64_t, int) { FAIL_CHECK("there is no step"); });
  CHECK(made == 3);
}

TEST_CASE("progress: off runs the same loop without a word") {
  std::ostringstream out;
  ProgressBar bar(out, "off", true, HandClock());
  CHECK_FALSE(bar.is_on());
  std::int64_t sum = 0;
  bar.for_each(
      4, [] { return 2; },
      [&](std::int64_t counter, int batch) {
        bar.set_description({{"batch", batch}});
        sum += counter * batch;
      });
  bar.finish();
  CHECK(sum == 12);
  CHECK(out.str().empty());
}

TEST_CASE("progress: what a body throws passes, and the line is ended") {
  std::ostringstream out;
  const auto run = [&] {
    ProgressBar bar(out, "tqdm", true, HandClock());
    bar.for_each(
        5, [] { return 0; },
        [](std::int64_t counter, int) {
          if (counter == 1) throw std::runtime_error("broken");
        });
  };
  CHECK_THROWS_WITH_AS(run(), "broken", std::runtime_error);
  CHECK(out.str() == "\r\033[K[====                    ] 1/5  0.0 steps/s, 0m00s left\n");
}

TEST_CASE("progress: a stream that fails loses its text, not the program") {
  class Closing : public std::stringbuf {
   public:
    bool is_closed = false;

   private:
    int sync() override { return is_closed ? -1 : 0; }
  } text;
  std::ostream out(&text);
  out.exceptions(std::ios_base::badbit);
  {
    ProgressBar bar(out, "tqdm", true, HandClock());
    bar.show(0, 2);
    text.is_closed = true;
    CHECK_THROWS_AS(bar.finish(), std::ios_base::failure);
  }  // which ends the line once more
  CHECK(out.bad());
}

TEST_CASE("progress: the real clock is the default") {
  std::ostringstream out;
  ProgressBar bar(out, "tqdm", false);
  bar.show(0, 1);
  CHECK(out.str().rfind("step 1/1  ", 0) == 0);
}

TEST_CASE("progress: what is refused") {
  std::ostringstream out;
  for (const char* format : {"", "Tqdm", "rich"}) {
    check_refused(
        "log format: found \"" + std::string(format) + "\"; must be one of \"tqdm\", \"off\"",
        [&] { ProgressBar(out, format, false); });
  }
  for (const char* format : {"tqdm", "off"}) {
    ProgressBar bar(out, format, false);
    const std::string rule = "; must be from 0 to below the number of steps";
    check_refused("progress: found step 3 of 3" + rule, [&] { bar.show(3, 3); });
    check_refused("progress: found step -1 of 3" + rule, [&] { bar.show(-1, 3); });
    check_refused("progress: found step 0 of 0" + rule, [&] { bar.show(0, 0); });
    check_refused("progress: found -1 steps; must be at least 0", [&] {
      bar.for_each(
          -1, [] { return 0; }, [](std::int64_t, int) {});
    });
  }
  CHECK(out.str().empty());
}

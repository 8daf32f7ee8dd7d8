#include "resident.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace grevy::tests {
namespace {

constexpr double printing_pause = 60;  // seconds
constexpr std::size_t fewest_samples = 3;

std::int64_t entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder),
                       std::filesystem::directory_iterator());
}

Held held_now(double seconds) {
  std::int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  const double page_mb = static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
  return {seconds, static_cast<double>(resident) * page_mb, entries("/proc/self/fd"),
          entries("/proc/self/task")};
}

double least(std::vector<Held>::const_iterator begin, std::vector<Held>::const_iterator end) {
  const auto less = [](const Held& a, const Held& b) { return a.memory_mb < b.memory_mb; };
  return std::min_element(begin, end, less)->memory_mb;
}

// From the least of the first half to the least of the second: half of what a steady leak adds, and
// nothing of what comes and goes.
double growth_mb(const std::vector<Held>& samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  return 2 * (least(middle, samples.end()) - least(samples.begin(), middle));
}

// Whether the second half of the samples never has more than the first had at some time.
bool is_flat(const std::vector<Held>& samples, std::int64_t Held::*number, const char* name) {
  const auto less = [number](const Held& a, const Held& b) { return a.*number < b.*number; };
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  const std::int64_t before = (*std::max_element(samples.begin(), middle, less)).*number;
  const std::int64_t after = (*std::max_element(middle, samples.end(), less)).*number;
  std::printf("%s: at most %lld, then %lld\n", name, static_cast<long long>(before),
              static_cast<long long>(after));
  return after <= before;
}

}  // namespace

void Samples::add(double seconds, std::int64_t rounds) {
  const Held held = held_now(seconds);
  if (seconds >= warm_up_) judged_.push_back(held);
  if (seconds - last_printed_ < printing_pause) return;
  last_printed_ = seconds;
  std::printf("%6.0f s  %8lld rounds  %8.2f MB  %lld files  %lld threads\n", seconds,
              static_cast<long long>(rounds), held.memory_mb, static_cast<long long>(held.files),
              static_cast<long long>(held.threads));
  std::fflush(stdout);
}

bool Samples::judge(double allowed_mb) const {
  if (judged_.size() < fewest_samples) {
    std::printf("only %zu samples after the warm-up\n", judged_.size());
    return false;
  }
  const double length = judged_.back().seconds - judged_.front().seconds;
  const double growth = growth_mb(judged_);
  std::printf("memory after %.0f s: %+.2f MB in %.0f s, %+.2f MB an hour; allowed: %+.2f MB\n",
              judged_.front().seconds, growth, length, growth / length * 3600, allowed_mb);
  const bool files = is_flat(judged_, &Held::files, "open files");
  const bool threads = is_flat(judged_, &Held::threads, "threads");
  return growth <= allowed_mb && files && threads;
}

}  // namespace grevy::tests

// What a process holds on to: memory, open files, threads, sampled while it works.
#ifndef GREVY_TESTS_RESIDENT_HPP
#define GREVY_TESTS_RESIDENT_HPP

#include <cstdint>
#include <vector>

namespace grevy::tests {

// Of this process, as the kernel counts them.
struct Held {
  double seconds = 0;    // since the start
  double memory_mb = 0;  // resident
  std::int64_t files = 0, threads = 0;
};

class Samples {
 public:
  // Samples before `warm_up` seconds are printed but not judged.
  explicit Samples(double warm_up) : warm_up_(warm_up) {}

  // Takes one now and prints it, every minute at most.
  void add(double seconds, std::int64_t rounds);

  // Prints what has grown after the warm-up. Returns whether the least memory has grown by no more
  // than allowed_mb, and whether files and threads stayed as they were.
  bool judge(double allowed_mb) const;

 private:
  double warm_up_;
  double last_printed_ = -1e9;
  std::vector<Held> judged_;
};

}  // namespace grevy::tests

#endif

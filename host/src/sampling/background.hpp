// A thread that does one thing at a time, ahead of when it is needed.
#ifndef GREVY_HOST_BACKGROUND_HPP
#define GREVY_HOST_BACKGROUND_HPP

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace grevy::host {

// Used by one thread. Work that has been started is finished before the Background ends.
class Background {
 public:
  Background();
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Begins `work` on the other thread; what was started before must have been waited for.
  void start(std::function<void()> work);
  // Waits for it and throws what it threw. Nothing where nothing was started.
  void wait();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;  // empty: none
  std::exception_ptr failure_;
  bool ends_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace grevy::host

#endif

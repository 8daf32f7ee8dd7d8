#include "sampling/background.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <thread>

using grevy::host::Background;

TEST_CASE("work runs on another thread and is waited for") {
  Background background;
  background.wait();  // nothing was started
  for (int i = 0; i < 100; ++i) {
    int result = 0;
    std::thread::id thread;
    background.start([&] {
      result = i;
      thread = std::this_thread::get_id();
    });
    background.wait();
    CHECK(result == i);
    CHECK((thread != std::this_thread::get_id()));
  }
}

TEST_CASE("what the work throws comes out of wait(), once") {
  Background background;
  background.start([] { throw std::runtime_error("no luck"); });
  CHECK_THROWS_WITH(background.wait(), "no luck");
  CHECK_NOTHROW(background.wait());
}

TEST_CASE("work that nobody waits for is finished") {
  int done = 0;
  for (int i = 0; i < 20; ++i) {
    Background background;
    background.start([&] { ++done; });
  }
  CHECK(done == 20);
}

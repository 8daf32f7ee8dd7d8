// Where the time of a training goes, seen from the host.
#ifndef GREVY_HOST_PHASES_HPP
#define GREVY_HOST_PHASES_HPP

#include <grevy/calls.hpp>
#include <grevy/host/trainer.hpp>

#include <chrono>

namespace grevy::host {

// Batches and an optimiser that measure what they take. The tables given live as long.
class MeasuredTables {
 public:
  MeasuredTables(const grevy_loader* loader, const grevy_optimizer* optimizer, Phases& phases);
  MeasuredTables(const MeasuredTables&) = delete;
  MeasuredTables& operator=(const MeasuredTables&) = delete;
  const grevy_loader* loader() const { return &loader_; }
  const grevy_optimizer* optimizer() const { return &optimizer_; }

 private:
  const grevy_loader* inner_loader_;
  const grevy_optimizer* inner_optimizer_;
  Phases& phases_;
  grevy_loader loader_{};
  grevy_optimizer optimizer_{};
};

// Adds the time until the end of its scope to `seconds`.
class Measured {
 public:
  explicit Measured(double& seconds) : seconds_(seconds) {}
  ~Measured() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Measured(const Measured&) = delete;
  Measured& operator=(const Measured&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace grevy::host

#endif

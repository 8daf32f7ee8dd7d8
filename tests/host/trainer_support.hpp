// Small recordings and Trainers for tests of training.
#ifndef GREVY_TESTS_TRAINER_SUPPORT_HPP
#define GREVY_TESTS_TRAINER_SUPPORT_HPP

#include "golden_support.hpp"

#include <grevy/host/random.hpp>
#include <grevy/host/trainer.hpp>

#include <ATen/Parallel.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace grevy::tests {

using Sessions = std::vector<host::Recording>;

// LibTorch's thread count for a scope: one thread makes sums repeatable whatever the machine.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The text of the error that `body` ends with.
template <class Body>
std::string refusal(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

template <class Body>
ErrorCode refusal_code(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;
}

inline at::Tensor noise(host::Random& random, std::int64_t rows, std::int64_t columns) {
  at::Tensor values = at::empty({rows, columns}, at::kFloat);
  auto* value = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) value[i] = static_cast<float>(random.normal());
  return values;
}

// Noise with labels: "position" (continuous) and "direction" (0 or 1).
inline host::Recording made_recording(std::int64_t samples, std::int64_t channels,
                                      std::uint64_t seed) {
  host::Random random(seed, "recording");
  host::Recording recording(noise(random, samples, channels));
  const at::Tensor time = at::arange(samples, at::kFloat);
  recording.add_continuous("position", at::sin(0.2 * time + static_cast<double>(seed)));
  recording.add_discrete("direction", at::cos(0.2 * time).gt(0).to(at::kLong));
  return recording;
}

// Members of objects replace those of the same name; null is a value like others.
inline nlohmann::json merged(nlohmann::json document, const nlohmann::json& changes) {
  for (const auto& [key, value] : changes.items())
    document[key] =
        value.is_object() && document.contains(key) ? merged(document[key], value) : value;
  return document;
}

inline host::Trainer trainer_of(const nlohmann::json& document, const Sessions& train,
                                const Sessions& held_out = {}) {
  return host::Trainer(builtin_host(), host::Experiment(builtin_host(), document), train, held_out);
}

inline const at::Tensor& tensor_named(const host::Trainer& trainer, const std::string& name) {
  for (const NamedTensor& t : trainer.tensors())
    if (t.name == name) return t.tensor;
  FAIL("no tensor " << name);
  return trainer.tensors().front().tensor;
}

inline std::vector<at::Tensor> copies(const NamedTensors& tensors) {
  std::vector<at::Tensor> values;
  for (const NamedTensor& t : tensors) values.push_back(t.tensor.detach().clone());
  return values;
}

inline void check_equal(const NamedTensors& found, const NamedTensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(expected[i].name);
    CHECK(found[i].name == expected[i].name);
    CHECK(at::equal(found[i].tensor, expected[i].tensor));
  }
}

// The statistics of all steps that are left.
inline std::vector<Statistics> fit(host::Trainer& trainer) {
  std::vector<Statistics> steps;
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport& report) { steps.push_back(report.statistics); };
  REQUIRE(trainer.fit(callbacks));
  return steps;
}

inline void fit_until(host::Trainer& trainer, std::int64_t step) {
  host::FitCallbacks callbacks;
  callbacks.should_stop = [&] { return trainer.step() == step; };
  REQUIRE_FALSE(trainer.fit(callbacks));
}

inline std::optional<double> find_value(const Statistics& statistics, const std::string& name) {
  for (const Statistic& s : statistics)
    if (s.name == name) return s.value;
  return std::nullopt;
}

inline double value_of(const Statistics& statistics, const std::string& name) {
  const auto value = find_value(statistics, name);
  if (!value) FAIL("no statistic " << name);
  return value.value_or(0);
}

}  // namespace grevy::tests

#endif

// What the tables say of threads: plugins without LibTorch train in several threads at once, with
// the numbers that each of them has alone.
#include "host/plugin_support.hpp"
#include "host/trainer_support.hpp"

#include <thread>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

constexpr std::size_t count = 4;

// Components of every form, none alike.
json document(std::size_t number) {
  const json kinds[] = {
      {{"model", {{"name", "portable-offset10"}}}, {"criterion", {{"name", "raw-infonce"}}}},
      {{"solver", {{"name", "portable-solver"}}}, {"criterion", {{"name", "portable-infonce"}}}},
      {{"model", {{"name", "portable-offset10"}}}, {"solver", {{"name", "portable-solver"}}}},
      {{"criterion", {{"name", "raw-infonce"}}}, {"solver", {{"name", "portable-solver"}}}}};
  return merged({{"seed", 20 + number},
                 {"model", {{"name", "offset10-model"}, {"num_units", 4}, {"num_output", 3}}},
                 {"criterion", {{"name", "FixedCosineInfoNCE"}, {"temperature", 0.5}}},
                 {"solver", {{"name", "single-session"}}},
                 {"training", {{"num_steps", 15}, {"batch_size", 16}}}},
                kinds[number]);
}

at::Tensor trained(host::Host& host, std::size_t number) {
  const host::Recording recording = made_recording(150, 5, number);
  host::Trainer trainer(host, host::Experiment(host, document(number)), recording);
  trainer.fit();
  return trainer.transform(recording.neural());
}

}  // namespace

TEST_CASE("plugins without LibTorch train in several threads as they do alone") {
  const OneThread one_thread;
  // Each a host of its own: the plugin that both load is one.
  host::Host first(only({GREVY_BUILTIN_PLUGINS, test_plugins / "portable"}));
  host::Host second(only({GREVY_BUILTIN_PLUGINS, test_plugins / "portable"}));
  std::vector<at::Tensor> alone(count), together(count);
  for (std::size_t i = 0; i < count; ++i) alone[i] = trained(first, i);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      together[i] = trained(i % 2 == 0 ? first : second, i);
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    CHECK(at::equal(together[i], alone[i]));
  }
}

TEST_CASE("recording is switched for the thread that asks") {
  host::Host host(only({GREVY_BUILTIN_PLUGINS, test_plugins / "portable"}));
  const auto model = host.create_model("portable-offset10", "{}", channels(4));
  const at::Tensor windows = at::ones({2, 4, 10});
  const at::NoGradGuard unrecorded;
  bool is_recorded_there = false;
  std::thread([&] { is_recorded_there = model->forward(windows).requires_grad(); }).join();
  CHECK(is_recorded_there);
  CHECK_FALSE(model->forward(windows).requires_grad());
}

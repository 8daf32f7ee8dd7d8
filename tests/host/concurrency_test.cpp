// Several trainings, embeddings and streams in one process at once give what they give one after
// the other.
#include "plugin_support.hpp"
#include "trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/run.hpp>
#include <grevy/host/stream.h>

#include <thread>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

// Different models, criterions and ways to sample.
json document(std::size_t number) {
  const json kinds[] = {
      {{"model", {{"name", "offset5-model"}}}},
      {{"model", {{"name", "offset1-model"}}}, {"criterion", {{"name", "LearnableCosineInfoNCE"}}}},
      {{"sampling", {{"conditional", "time_delta"}}}, {"training", {{"non_finite", "skip"}}}},
      {{"sampling", {{"conditional", "discrete"}, {"discrete", "direction"}}}}};
  return merged({{"seed", 10 + number},
                 {"model", {{"name", "offset10-model"}, {"num_units", 4}, {"num_output", 3}}},
                 {"training", {{"num_steps", 12}, {"batch_size", 16}}}},
                kinds[number % 4]);
}

// The bytes of a training from start to end.
std::string trained(host::Host& host, std::size_t number, const std::filesystem::path& folder) {
  const host::Recording recording = made_recording(150, 5, number);
  host::Trainer trainer(host, host::Experiment(host, document(number)), recording);
  trainer.fit();
  const auto file = folder / std::to_string(number);
  trainer.save(file);
  const at::Tensor embedding = trainer.transform(recording.neural());
  const auto* bytes = reinterpret_cast<const char*>(embedding.data_ptr<float>());
  return file_bytes(file) + std::string(bytes, embedding.nbytes());
}

constexpr std::size_t count = 4;

template <class Body>
void in_threads(Body&& body) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      body(i);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("trainings in several threads give the bytes that they give alone") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  std::string alone[count], together[count], shared[count];
  for (std::size_t i = 0; i < count; ++i) alone[i] = trained(builtin_host(), i, folder.path());
  in_threads([&](std::size_t i) {
    host::Host own(only({GREVY_BUILTIN_PLUGINS}));
    together[i] = trained(own, i, folder.path());
  });
  host::Host fresh(only({GREVY_BUILTIN_PLUGINS}));
  in_threads([&](std::size_t i) { shared[i] = trained(fresh, i, folder.path()); });
  for (std::size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    CHECK(alone[i] == together[i]);
    CHECK(alone[i] == shared[i]);
  }
  CHECK(alone[0] != alone[1]);
}

TEST_CASE("C streams in several threads beside a training") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  const Setting plugins("GREVY_PLUGIN_PATH", GREVY_BUILTIN_PLUGINS);
  const std::string run = (folder / "0").string();
  trained(builtin_host(), 0, folder.path());
  const at::Tensor samples = made_recording(80, 5, 3).neural();
  const auto embedded = [&] {
    char error[200] = "";
    grevy_run_stream* stream = grevy_run_stream_open(run.c_str(), 0, error, sizeof(error));
    std::vector<float> all;
    if (stream == nullptr) return all;
    std::vector<float> row(static_cast<std::size_t>(grevy_run_stream_num_output(stream)));
    for (std::int64_t t = 0; t < samples.size(0); ++t)
      if (grevy_run_stream_push(stream, samples.data_ptr<float>() + t * samples.size(1),
                                row.data()) == 1)
        all.insert(all.end(), row.begin(), row.end());
    grevy_run_stream_close(stream);
    return all;
  };
  const std::vector<float> alone = embedded();
  REQUIRE(alone.size() == 3 * 78);  // offset (2, 3): two samples late
  std::vector<float> found[count];
  std::string training;
  in_threads([&](std::size_t i) {
    if (i == 0)
      training = trained(builtin_host(), 1, folder.path());
    else
      found[i] = embedded();
  });
  for (std::size_t i = 1; i < count; ++i) CHECK(found[i] == alone);
  CHECK(training == trained(builtin_host(), 1, folder.path()));
}

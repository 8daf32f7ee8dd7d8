// Streams: sample by sample, the same as the transform.
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/stream.h>
#include <grevy/host/stream.hpp>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

constexpr std::int64_t channels = 7, samples = 90;

host::Trainer trainer_with(const char* model, const json& solver = {{"name", "single-session"}}) {
  return trainer_of({{"seed", 3},
                     {"model", {{"name", model}, {"num_units", 12}, {"num_output", 5}}},
                     {"criterion", {{"name", "InfoNCE"}}},
                     {"solver", solver},
                     {"training", {{"num_steps", 1}, {"batch_size", 16}}}},
                    {made_recording(samples, channels, 1)});
}

// All embeddings of a stream, a row each.
at::Tensor pushed(host::Stream& stream, const at::Tensor& rows) {
  std::vector<at::Tensor> found;
  const at::Tensor dense = rows.contiguous();
  for (std::int64_t t = 0; t < rows.size(0); ++t) {
    const at::Tensor embedding = at::empty({stream.num_output()}, at::kFloat);
    if (stream.push(dense[t].data_ptr<float>(), embedding.data_ptr<float>()))
      found.push_back(embedding);
  }
  return at::stack(found);
}

void check_same(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  CHECK((found - expected).abs().max().item<double>() < 2e-6);
}

at::Tensor new_samples() {
  host::Random random(9, "new samples");
  return noise(random, samples, channels);
}

}  // namespace

TEST_CASE("a stream gives the rows of the transform") {
  const at::Tensor rows = new_samples();
  for (const char* model :
       {"offset5-model", "offset10-model", "offset15-model", "offset36-model", "offset10-model-mse",
        "offset10-model-mse-tanh", "offset1-model", "offset36-model-dropout"}) {
    CAPTURE(model);
    const host::Trainer trainer = trainer_with(model);
    host::Stream stream(trainer);
    const std::int64_t right = trainer.model_info().offset.right;
    CHECK(stream.delay() == right - 1);
    CHECK(stream.num_input() == channels);
    CHECK(stream.num_output() == 5);
    check_same(pushed(stream, rows), trainer.transform(rows).slice(0, 0, samples - right + 1));
    stream.reset();
    check_same(pushed(stream, rows), trainer.transform(rows).slice(0, 0, samples - right + 1));
  }
}

TEST_CASE("without padding the first embedding comes with the L-th sample") {
  const at::Tensor rows = new_samples();
  for (const char* model : {"offset10-model", "offset1-model", "offset36-model-dropout"}) {
    CAPTURE(model);
    const host::Trainer trainer = trainer_with(model);
    host::Stream stream(trainer, {0, false});
    host::TransformOptions unpadded;
    unpadded.pad = false;
    check_same(pushed(stream, rows), trainer.transform(rows, unpadded));
  }
}

TEST_CASE("encoders made of convolutions alone use earlier samples' work again") {
  CHECK(host::Stream(trainer_with("offset10-model")).is_incremental());
  CHECK(host::Stream(trainer_with("offset50-model")).is_incremental());
  CHECK_FALSE(host::Stream(trainer_with("offset1-model")).is_incremental());
  CHECK_FALSE(host::Stream(trainer_with("offset10-model-mse-tanh")).is_incremental());
}

TEST_CASE("a stream asks the encoder that the solver embeds with") {
  const at::Tensor rows = new_samples();
  host::Trainer trainer = trainer_with(
      "offset10-model", {{"name", "single-session-aux"}, {"use_reference_model", true}});
  REQUIRE(trainer.fit());
  host::Stream stream(trainer);
  CHECK_FALSE(stream.is_incremental());  // the model of the session gives something else
  check_same(pushed(stream, rows), trainer.transform(rows).slice(0, 0, samples - 4));
}

TEST_CASE("a stream keeps the parameters it was made with") {
  const at::Tensor rows = new_samples();
  host::Trainer trainer = trainer_with("offset5-model");
  const at::Tensor before = trainer.transform(rows);
  host::Stream stream(trainer);
  REQUIRE(trainer.fit());
  check_same(pushed(stream, rows), before.slice(0, 0, samples - 2));
  CHECK((before - trainer.transform(rows)).abs().max().item<double>() > 1e-4);
}

TEST_CASE("sessions have streams of their own") {
  host::Trainer trainer =
      trainer_of({{"model", {{"name", "offset5-model"}, {"num_units", 8}}},
                  {"solver", {{"name", "multi-session"}}},
                  {"sampling", {{"conditional", "time_delta"}, {"continuous", {"position"}}}},
                  {"training", {{"num_steps", 1}, {"batch_size", 16}}}},
                 {made_recording(samples, 4, 1), made_recording(samples, channels, 2)});
  const at::Tensor rows = new_samples();
  host::Stream stream(trainer, {1, true});
  host::TransformOptions second;
  second.session = 1;
  check_same(pushed(stream, rows), trainer.transform(rows, second).slice(0, 0, samples - 2));
  CHECK(contains(refusal([&] { host::Stream(trainer, {2, true}); }), "session 2 does not exist"));
}

TEST_CASE("models that resample have no stream") {
  const host::Trainer trainer = trainer_with("offset20-model-4x-subsample");
  CHECK(contains(refusal([&] { host::Stream stream(trainer); }), "one embedding for 4 samples"));
}

TEST_CASE("the same in C, from a run") {
  const TemporaryFolder folder;
  const host::Trainer trainer = trainer_with("offset10-model");
  trainer.save(folder.path() / "checkpoint.safetensors");
  setenv("GREVY_PLUGIN_PATH", GREVY_BUILTIN_PLUGINS, 1);
  char error[200] = "untouched";
  grevy_run_stream* stream = grevy_run_stream_open(folder.path().c_str(), 0, error, sizeof(error));
  REQUIRE_MESSAGE(stream != nullptr, error);
  CHECK(grevy_run_stream_num_input(stream) == channels);
  CHECK(grevy_run_stream_num_output(stream) == 5);
  CHECK(grevy_run_stream_delay(stream) == 4);
  const at::Tensor rows = new_samples(), expected = trainer.transform(rows);
  for (int again = 0; again < 2; ++again) {
    std::int64_t row = 0;
    for (std::int64_t t = 0; t < samples; ++t) {
      float embedding[5];
      const int gave = grevy_run_stream_push(stream, rows[t].data_ptr<float>(), embedding);
      REQUIRE(gave == (t >= 4 ? 1 : 0));
      if (gave == 1) check_same(at::from_blob(embedding, {5}, at::kFloat), expected[row++]);
    }
    grevy_run_stream_reset(stream);
  }
  grevy_run_stream_close(stream);
  grevy_run_stream_close(nullptr);

  CHECK(grevy_run_stream_open("no such run", 0, error, sizeof(error)) == nullptr);
  CHECK(contains(error, "no such run"));
  char little[5] = "";
  CHECK(grevy_run_stream_open("no such run", 0, little, sizeof(little)) == nullptr);
  CHECK(std::string(little).size() == 4);
  CHECK(grevy_run_stream_open("no such run", 0, nullptr, 0) == nullptr);
  CHECK(grevy_run_stream_open(nullptr, 0, error, sizeof(error)) == nullptr);
  unsetenv("GREVY_PLUGIN_PATH");
}

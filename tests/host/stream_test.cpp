// Streams: sample by sample, the same as the transform.
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/stream.h>
#include <grevy/host/stream.hpp>
#include <grevy/plugin.hpp>
#include <grevy/stream.h>

#include <doctest/doctest.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

// What a model's stream does.
enum How : std::int64_t {
  right,
  short_table,
  without_open,
  without_close,
  without_reset,
  without_push,
  early,
  other_values,
  fails
};

// Means of two samples, with a stream.
class Streaming : public Model {
 public:
  struct Options {
    std::int64_t how = right;
    static constexpr auto fields() {
      return grevy::fields(field("how", &Options::how, "What its stream does."));
    }
  };
  Streaming(const Options& options, const Context& context)
      : how_(static_cast<How>(options.how)), num_input_(context.num_input) {
    table_.struct_size = how_ == short_table ? offsetof(grevy_stream_table, push) : sizeof(table_);
    table_.context = this;
    if (how_ != without_open) table_.open = open;
    if (how_ != without_close) table_.close = [](grevy_stream* s) { delete stream_of(s); };
    if (how_ != without_reset) table_.reset = [](grevy_stream* s) { stream_of(s)->last.clear(); };
    if (how_ != without_push) table_.push = push;
  }
  ModelInfo info() const override { return {num_input_, num_input_, {1, 1}, true}; }
  at::Tensor forward(const at::Tensor& windows) override {
    const at::Tensor sums = windows.unfold(2, 2, 1).mean(3) + 0 * weight_;
    return windows.size(2) == 2 ? sums.squeeze(2) : sums;
  }
  const void* extension(std::string_view id) const noexcept override {
    return id == GREVY_STREAM_EXTENSION ? &table_ : nullptr;
  }

 private:
  struct Opened {
    How how;
    std::size_t width;
    std::vector<float> last;
  };
  static Opened* stream_of(grevy_stream* stream) { return reinterpret_cast<Opened*>(stream); }
  static std::int32_t open(void* context, grevy_stream** stream, const grevy_error_sink* errors) {
    const auto& self = *static_cast<const Streaming*>(context);
    return grevy::detail::guarded(errors, {"tests", "streaming", "open"}, [&] {
      if (self.how_ == fails) throw Error(ErrorCode::invalid_state, "no stream today");
      const auto width = static_cast<std::size_t>(self.num_input_);
      *stream = reinterpret_cast<grevy_stream*>(new Opened{self.how_, width, {}});
    });
  }
  static std::uint32_t push(grevy_stream* stream, const float* sample, float* embedding) {
    Opened& s = *stream_of(stream);
    const bool is_first = s.last.empty();
    if (is_first) s.last.assign(sample, sample + s.width);
    for (std::size_t i = 0; i < s.width; ++i)
      embedding[i] = (s.last[i] + sample[i]) / 2 + (s.how == other_values ? 1.0F : 0.0F);
    s.last.assign(sample, sample + s.width);
    return !is_first || s.how == early ? 1 : 0;
  }

  How how_;
  std::int64_t num_input_;
  at::Tensor weight_ = parameter("weight", at::ones({1}));
  grevy_stream_table table_{};
};

}  // namespace

GREVY_REGISTER(Streaming, "streaming", "Has a stream of its own.")
extern "C" const grevy_plugin* grevy_plugin_entry_v1();  // registry_test.cpp

namespace {

constexpr std::int64_t channels = 7, samples = 90;

host::Host& host_with_streaming() {
  static host::Host& made = []() -> host::Host& {
    host::HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    static host::Host host(options);
    host.add(grevy_plugin_entry_v1(), true);
    return host;
  }();
  return made;
}

host::Trainer streaming_trainer(How how) {
  host::Host& host = host_with_streaming();
  const host::Experiment experiment(host, {{"model", {{"name", "streaming"}, {"how", how}}}});
  return host::Trainer::without_data(host, experiment, {channels});
}

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

TEST_CASE("a model's stream that is not whole, or gives something else, is not used") {
  const at::Tensor rows = new_samples();
  for (const How how : {right, short_table, without_open, without_close, without_reset,
                        without_push, early, other_values}) {
    CAPTURE(how);
    const host::Trainer trainer = streaming_trainer(how);
    host::Stream stream(trainer);
    CHECK(stream.is_incremental() == (how == right));
    check_same(pushed(stream, rows), trainer.transform(rows));
  }
  const host::Trainer failing = streaming_trainer(fails);
  const std::string text = refusal([&] { host::Stream stream(failing); });
  CHECK_MESSAGE(contains(text, "streaming (tests) open: no stream today"), text);
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

TEST_CASE("sessions that are seen as one have a stream of all their channels") {
  const Sessions sessions = {made_recording(samples, 4, 1), made_recording(samples, 3, 2)};
  const host::Trainer trainer =
      trainer_of({{"model", {{"name", "offset5-model"}, {"num_units", 8}}},
                  {"solver", {{"name", "unified-session"}}},
                  {"sampling", {{"conditional", "time_delta"}, {"continuous", {"position"}}}},
                  {"training", {{"num_steps", 1}, {"batch_size", 16}}}},
                 sessions);
  const at::Tensor rows = trainer.line_up(sessions, 1).neural();
  host::Stream stream(trainer, {1, true});
  CHECK(stream.num_input() == 7);
  check_same(pushed(stream, rows), trainer.transform(rows).slice(0, 0, samples - 2));
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
  float nowhere[5];
  CHECK(grevy_run_stream_push(stream, nullptr, nowhere) == -1);
  grevy_run_stream_close(stream);
  grevy_run_stream_close(nullptr);

  CHECK(grevy_run_stream_open("no such run", 0, error, sizeof(error)) == nullptr);
  CHECK(contains(error, "no such run"));
  char little[5] = "";
  CHECK(grevy_run_stream_open("no such run", 0, little, sizeof(little)) == nullptr);
  CHECK(std::string(little).size() == 4);
  CHECK(grevy_run_stream_open("no such run", 0, nullptr, 0) == nullptr);
  CHECK(grevy_run_stream_open("no such run", 0, little, 0) == nullptr);
  CHECK(std::string(little).size() == 4);
  CHECK(grevy_run_stream_open(nullptr, 0, error, sizeof(error)) == nullptr);
  unsetenv("GREVY_PLUGIN_PATH");
}

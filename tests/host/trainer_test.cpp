#include "unit/temporary_folder.hpp"

#include <grevy/host/safetensors.hpp>
#include <grevy/host/simulate.hpp>
#include <grevy/host/trainer.hpp>

#include <ATen/Parallel.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cmath>
#include <thread>
#include <utility>

using namespace grevy;
using namespace grevy::host;
using nlohmann::json;

namespace {

Host& host_of_tests() {
  static Host host([] {
    HostOptions options;
    options.plugin_path = {GREVY_BUILTIN_PLUGINS};
    options.search_default_folders = false;
    return options;
  }());
  return host;
}

// 300 samples of 5 channels with both kinds of labels.
const Recording& recording_of_tests() {
  static const Recording recording = [] {
    SimulationOptions options;
    options.num_samples = 300;
    options.num_neurons = 5;
    const SimulatedRecording made = simulate(options);
    Recording result(at::tensor(made.spikes).reshape({300, 5}));
    result.add_continuous("position", at::tensor(made.position));
    result.add_discrete("direction", at::tensor(made.direction, at::kLong));
    return result;
  }();
  return recording;
}

json document() {
  return {{"seed", 5},
          {"model", {{"name", "offset10-model"}, {"num_units", 4}, {"num_output", 3}}},
          {"training", {{"num_steps", 8}, {"batch_size", 16}}}};
}

Experiment experiment(const json& changes = json::object()) {
  json merged = document();
  merged.merge_patch(changes);
  return Experiment(host_of_tests(), merged);
}

Trainer make_trainer(const json& changes = json::object()) {
  return Trainer(host_of_tests(), experiment(changes), recording_of_tests().slice(0, 240),
                 recording_of_tests().slice(240, 300));
}

at::Tensor embed(const Trainer& trainer, bool pad = true, std::int64_t chunk = 10000) {
  TransformOptions options;
  options.pad = pad;
  options.chunk = chunk;
  return trainer.transform(recording_of_tests().neural(), options);
}

at::Tensor trained(const json& changes = json::object()) {
  Trainer trainer = make_trainer(changes);
  REQUIRE(trainer.fit());
  return embed(trainer);
}

template <class Body>
std::pair<ErrorCode, std::string> error_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {ErrorCode::internal, "no error"};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

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

}  // namespace

TEST_CASE("fit reports every step and stores at the asked ones and the last") {
  Trainer trainer = make_trainer(
      {{"training", {{"save_frequency", 3}, {"valid_frequency", 4}, {"valid_batches", 2}}}});
  std::vector<std::int64_t> steps, validated, stored;
  FitCallbacks callbacks;
  callbacks.on_step = [&](const StepReport& report) {
    steps.push_back(report.step);
    CHECK(report.num_steps == 8);
    std::vector<std::string> names;
    for (const Statistic& s : report.statistics) names.push_back(s.name);
    CHECK(names == std::vector<std::string>{"pos", "neg", "total", "temperature"});
    if (!report.validation_loss) return;
    CHECK(std::isfinite(*report.validation_loss));
    validated.push_back(report.step);
  };
  callbacks.on_checkpoint = [&](std::int64_t step) { stored.push_back(step); };
  CHECK(trainer.step() == 0);
  CHECK(trainer.fit(callbacks));
  CHECK(trainer.step() == 8);
  CHECK(steps == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(validated == std::vector<std::int64_t>{3, 7});
  CHECK(stored == std::vector<std::int64_t>{3, 6, 8});
}

TEST_CASE("training changes the embedding and lowers the loss") {
  const json longer = {{"training", {{"num_steps", 60}, {"batch_size", 64}}},
                       {"optimizer", {{"learning_rate", 0.01}}}};
  Trainer trainer = make_trainer(longer);
  const double before = trainer.loss_on({recording_of_tests()}, 20).loss;
  trainer.fit();
  CHECK(trainer.loss_on({recording_of_tests()}, 20).loss < before);
}

TEST_CASE("a stopped fit goes on where it stopped") {
  const OneThread one_thread;
  Trainer trainer = make_trainer();
  std::int64_t asked = 0, stored = 0;
  FitCallbacks callbacks;
  callbacks.should_stop = [&] { return ++asked == 3; };
  callbacks.on_checkpoint = [&](std::int64_t step) { stored = step; };
  CHECK_FALSE(trainer.fit(callbacks));
  CHECK(trainer.step() == 3);
  CHECK(stored == 3);
  CHECK(trainer.fit());
  CHECK(trainer.step() == 8);
  CHECK(at::equal(embed(trainer), trained()));
}

TEST_CASE("what a callback throws comes out as it was thrown") {
  struct Special {
    int number;
  };
  Trainer trainer = make_trainer();
  FitCallbacks callbacks;
  callbacks.on_step = [](const StepReport& report) {
    if (report.step == 2) throw Special{42};
  };
  int caught = 0;
  try {
    trainer.fit(callbacks);
  } catch (const Special& special) {
    caught = special.number;
  }
  CHECK(caught == 42);
  callbacks.on_step = [](const StepReport&) { throw Error(ErrorCode::io, "disk full"); };
  const auto [code, message] = error_of([&] { trainer.fit(callbacks); });
  CHECK(code == ErrorCode::io);
  CHECK(message == "disk full");
  CHECK(trainer.fit());  // and the trainer is still good
}

TEST_CASE("transform is the model applied to the windows around every sample") {
  Trainer trainer = make_trainer();
  trainer.fit();
  const at::Tensor samples = recording_of_tests().neural();
  const Offset offset = trainer.model_info().offset;
  REQUIRE(offset == Offset{5, 5});
  const at::Tensor windows = samples.unfold(0, offset.length(), 1);  // (T - L + 1, C, L)
  const at::NoGradGuard no_grad;
  const at::Tensor wanted = trainer.model().forward(windows);
  const at::Tensor inner = embed(trainer, false), padded = embed(trainer);
  CHECK(inner.sizes() == at::IntArrayRef({291, 3}));
  CHECK(padded.sizes() == at::IntArrayRef({300, 3}));
  CHECK(at::allclose(inner, wanted, 0, 1e-5));
  CHECK(at::allclose(padded.slice(0, 5, 296), wanted, 0, 1e-5));

  // Before the start the first sample is repeated, after the end the last.
  const at::Tensor left = at::cat({samples.slice(0, 0, 1).expand({5, -1}), samples.slice(0, 0, 5)});
  const at::Tensor right = at::cat({samples.slice(0, 294), samples.slice(0, 299).expand({4, -1})});
  const auto embed_one = [&](const at::Tensor& window) {
    return trainer.model().forward(window.t().unsqueeze(0).contiguous())[0];
  };
  CHECK(at::allclose(padded[0], embed_one(left), 0, 1e-5));
  CHECK(at::allclose(padded[299], embed_one(right), 0, 1e-5));
}

TEST_CASE("chunks do not change an embedding") {
  for (const char* model : {"offset10-model", "offset1-model", "offset10-model-mse"}) {
    CAPTURE(model);
    const Trainer trainer = make_trainer({{"model", {{"name", model}}}});
    for (const bool pad : {true, false}) {
      const at::Tensor whole = embed(trainer, pad);
      TransformOptions options;
      options.pad = pad;
      CHECK(whole.size(0) == trainer.num_rows(recording_of_tests(), options));
      for (const std::int64_t chunk : {1, 7, 290, 1000}) {
        CAPTURE(chunk);
        const at::Tensor parts = embed(trainer, pad, chunk);
        CHECK(parts.sizes() == whole.sizes());
        CHECK(at::allclose(parts, whole, 1e-5, 1e-5));
      }
    }
  }
}

TEST_CASE("a sink gets the rows in order, at most a chunk at a time") {
  const Trainer trainer = make_trainer();
  std::vector<at::Tensor> parts;
  TransformOptions options;
  options.chunk = 128;
  const std::int64_t rows = trainer.transform(
      recording_of_tests().neural(), [&](const at::Tensor& part) { parts.push_back(part); },
      options);
  CHECK(rows == 300);
  REQUIRE(parts.size() == 3);
  for (const at::Tensor& part : parts) {
    CHECK(part.size(0) <= 128);
    CHECK(part.is_contiguous());
    CHECK((part.scalar_type() == at::kFloat));
    CHECK_FALSE(part.requires_grad());
  }
  CHECK(at::allclose(at::cat(parts), embed(trainer), 0, 1e-5));
}

TEST_CASE("transform takes any floating layout and refuses what does not fit") {
  const Trainer trainer = make_trainer();
  const at::Tensor samples = recording_of_tests().neural(), wanted = embed(trainer);
  CHECK(at::equal(trainer.transform(samples.to(at::kDouble)), wanted));
  CHECK(at::allclose(trainer.transform(samples.t().contiguous().t()), wanted, 0, 1e-5));
  CHECK(trainer.transform(samples.slice(0, 0, 1)).size(0) == 1);
  TransformOptions unpadded;
  unpadded.pad = false;
  CHECK(trainer.transform(samples.slice(0, 0, 10), unpadded).size(0) == 1);
  const auto refused = [&](const at::Tensor& given, const TransformOptions& options = {}) {
    const auto [code, message] = error_of([&] { trainer.transform(given, options); });
    CHECK(code == ErrorCode::invalid_value);
    return message;
  };
  CHECK(contains(refused(at::zeros({20, 4})), "(time, 5 channels); found [20, 4]"));
  CHECK(contains(refused(at::zeros({20})), "found [20]"));
  CHECK(contains(refused({}), "found nothing"));
  CHECK(contains(refused(at::zeros({0, 5})), "found 0 samples"));
  CHECK(contains(refused(at::zeros({9, 5}), unpadded), "needs at least 10"));
  const at::Tensor quantized = at::quantize_per_tensor(at::zeros({20, 5}), 1, 0, at::kQInt8);
  const auto [code, message] = error_of([&] { trainer.transform(quantized); });
  CHECK(code == ErrorCode::invalid_type);
  CHECK(contains(message, "samples must be a dense tensor of real numbers; found "));
}

TEST_CASE("a stored trainer goes on as if it had not stopped") {
  const OneThread one_thread;
  const tests::TemporaryFolder folder;
  const json changes = {{"criterion", {{"name", "LearnableCosineInfoNCE"}}},
                        {"optimizer", {{"amsgrad", true}, {"weight_decay", 0.1}}}};
  Trainer first = make_trainer(changes);
  FitCallbacks callbacks;
  callbacks.should_stop = [&] { return first.step() == 4; };
  first.fit(callbacks);
  first.save(folder / "half.safetensors");

  Trainer second = make_trainer(changes);
  second.load(folder / "half.safetensors");
  CHECK(second.step() == 4);
  CHECK(at::equal(embed(second), embed(first)));
  second.save(folder / "again.safetensors");
  CHECK(tests::file_bytes(folder / "half.safetensors") ==
        tests::file_bytes(folder / "again.safetensors"));
  CHECK(second.fit());
  CHECK(at::equal(embed(second), trained(changes)));
  CHECK(read_checkpoint_info(folder / "half.safetensors").at("step") == 4);
  CHECK(read_checkpoint_info(folder / "half.safetensors").at("experiment") ==
        first.experiment().document());
}

TEST_CASE("a checkpoint alone embeds, but does not train") {
  const tests::TemporaryFolder folder;
  Trainer trainer = make_trainer();
  trainer.fit();
  trainer.save(folder / "run.safetensors");
  Trainer restored = Trainer::from_checkpoint(host_of_tests(), folder / "run.safetensors", "cpu");
  CHECK(restored.step() == 8);
  CHECK(restored.model_info().num_input == 5);
  CHECK(restored.num_parameters() == trainer.num_parameters());
  CHECK(at::equal(embed(restored), embed(trainer)));
  CHECK(error_of([&] { restored.fit(); }).first == ErrorCode::invalid_state);
}

TEST_CASE("a checkpoint of other shapes is refused and changes nothing") {
  const tests::TemporaryFolder folder;
  const auto file = folder / "run.safetensors";
  make_trainer({{"model", {{"num_units", 6}}}}).save(file);
  Trainer trainer = make_trainer();
  const at::Tensor before = embed(trainer);
  const auto [code, message] = error_of([&] { trainer.load(file); });
  CHECK(code == ErrorCode::invalid_value);
  CHECK(message.rfind(file.string() + ": ", 0) == 0);
  CHECK(contains(message, "\"model.net.0.weight\" is F32 [6, 5, 2]; needed: F32 [4, 5, 2]"));
  CHECK(at::equal(embed(trainer), before));
  CHECK(trainer.step() == 0);
  CHECK(error_of([&] { trainer.load(folder / "gone"); }).first == ErrorCode::not_found);
}

TEST_CASE("a checkpoint with numbers that no training has is refused and changes nothing") {
  const tests::TemporaryFolder folder;
  const auto file = folder / "run.safetensors";
  const std::pair<const char*, const char*> cases[] = {
      {"step", "-3"},
      {"optimizer_steps", "-1"},
      {"step", "\"three\""},
      {"solver_state", "7"},
      {"generators", R"({"train": ["0", "0", "0", "0"]})"},
      {"generators", R"({"train": ["1", "2"]})"}};
  for (const auto& entry : cases) {
    const std::string key = entry.first, value = entry.second;
    CAPTURE(key);
    CAPTURE(value);
    Trainer other = make_trainer({{"seed", 99}});
    other.save(file);
    StoredTensors content = read_safetensors(file);
    content.metadata[key] = value;
    write_safetensors(file, content);
    Trainer trainer = make_trainer();
    const at::Tensor before = embed(trainer);
    const auto found = error_of([&] { trainer.load(file); });
    CHECK(found.first == ErrorCode::invalid_value);
    CHECK_MESSAGE(found.second.rfind(file.string() + ": ", 0) == 0, found.second);
    CHECK(at::equal(embed(trainer), before));
    CHECK(trainer.step() == 0);
  }
}

TEST_CASE("a checkpoint that is no trainer's is refused, with its name") {
  const tests::TemporaryFolder folder;
  const auto file = folder / "run.safetensors";
  make_trainer().save(file);
  const StoredTensors whole = read_safetensors(file);
  const auto refusal_with = [&](const char* key, const json& value) {
    StoredTensors content = whole;
    content.metadata[key] = value.dump();
    write_safetensors(file, content);
    const auto found = error_of([&] { Trainer::from_checkpoint(host_of_tests(), file); });
    CHECK(found.first == ErrorCode::invalid_value);
    CHECK_MESSAGE(found.second.rfind(file.string() + ": ", 0) == 0, found.second);
    return found.second;
  };
  json other = read_checkpoint_info(file).at("experiment");
  other["solver"] = {{"name", "multiobjective-solver"}};
  const std::string slices = refusal_with("experiment", other);
  CHECK_MESSAGE(contains(slices, "multiobjective-solver (grevy.solvers) attach: "), slices);
  CHECK(contains(refusal_with("num_input", "five"), "its metadata is damaged: "));
  CHECK(contains(refusal_with("num_input", {-5}), "found -5 channels"));
  StoredTensors frozen = whole;
  frozen.metadata["frozen"] = R"(["model.net.7"])";
  write_safetensors(file, frozen);
  const auto unknown = error_of([&] { Trainer::from_checkpoint(host_of_tests(), file); });
  CHECK(unknown.first == ErrorCode::not_found);
  CHECK(unknown.second == file.string() + ": there is no tensor \"model.net.7\" to freeze");
}

TEST_CASE("loss_on is repeatable and leaves the training alone") {
  const OneThread one_thread;
  Trainer trainer = make_trainer();
  FitCallbacks callbacks;
  callbacks.on_step = [&](const StepReport&) {
    const double loss = trainer.loss_on({recording_of_tests()}, 3).loss;
    CHECK(std::isfinite(loss));
    CHECK(trainer.loss_on({recording_of_tests()}, 3).loss == loss);
  };
  CHECK(trainer.fit(callbacks));
  CHECK(at::equal(embed(trainer), trained()));
}

TEST_CASE("validation and transform leave the training alone") {
  const OneThread one_thread;
  const at::Tensor wanted = trained();
  CHECK(at::equal(trained({{"training", {{"valid_frequency", 1}}}}), wanted));
  Trainer trainer = make_trainer();
  FitCallbacks callbacks;
  callbacks.on_step = [&](const StepReport&) { embed(trainer); };
  trainer.fit(callbacks);
  CHECK(at::equal(embed(trainer), wanted));
}

TEST_CASE("two trainers in two threads train as they would one after the other") {
  const OneThread one_thread;
  const json first = {{"seed", 1}}, second = {{"seed", 2}, {"model", {{"name", "offset1-model"}}}};
  const at::Tensor wanted[] = {trained(first), trained(second)};
  CHECK_FALSE(at::equal(wanted[0], wanted[1]));
  Trainer trainers[] = {make_trainer(first), make_trainer(second)};
  at::Tensor found[2];
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      trainers[i].fit();
      found[i] = embed(trainers[i]);
    });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 2; ++i) CHECK(at::equal(found[i], wanted[i]));
}

TEST_CASE("a trainer refuses data that does not fit, with the pointer of the reason") {
  struct Case {
    json changes;
    std::int64_t samples;
    std::string text;
  };
  const Case cases[] = {
      {json::object(), 9, "experiment: /data/neural: the recording (or its part) has 9 samples"},
      {json::object(), 15, "experiment: /training/batch_size: found 16; must be at most"},
      {{{"sampling", {{"time_offset", 50}}}}, 50, "experiment: /sampling/time_offset: found 50;"},
      {{{"sampling", {{"conditional", "discrete"}, {"discrete", "speed"}}}},
       100,
       "experiment: /sampling/discrete: there is no label \"speed\""},
      {{{"sampling", {{"prior", "uniform"}}}},
       100,
       "experiment: /sampling/prior: found \"uniform\""},
      {{{"training", {{"valid_frequency", 1}}}},
       100,
       "experiment: /training/valid_frequency: validation needs a held-out part"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const auto found = error_of([&] {
      Trainer(host_of_tests(), experiment(c.changes), recording_of_tests().slice(0, c.samples));
    });
    CHECK(found.first != ErrorCode::internal);
    CHECK_MESSAGE(found.second.rfind(c.text, 0) == 0, found.second);
  }
}

TEST_CASE("a loss that is not finite stops before the parameters change") {
  Trainer trainer = make_trainer({{"optimizer", {{"learning_rate", 1e30}}}});
  const auto [code, message] = error_of([&] { trainer.fit(); });
  CHECK(code == ErrorCode::non_finite);
  CHECK(message.rfind("step 1 (counted from 0): ", 0) == 0);
  CHECK(contains(message, "learning rate 1e+30"));
  CHECK(trainer.step() == 1);
}

// ---- training mode, seen by a model that notes it -------------------------------------------

namespace {

struct NotingModel {
  std::vector<bool> modes;  // what set_training was called with
  bool fails = false;

  static std::int32_t describe(void*, grevy_model_info* info, const grevy_error_sink*) {
    info->num_input = 1;
    info->num_output = 1;
    info->offset_left = 0;
    info->offset_right = 2;
    info->resample_factor = 1;
    info->num_tensors = 1;
    return GREVY_OK;
  }
  static std::int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                              std::uint64_t, const grevy_error_sink* errors) {
    return grevy::detail::guarded(errors, {"tests", "noting", "forward"}, [&] {
      if (static_cast<NotingModel*>(self)->fails)
        throw Error(ErrorCode::invalid_value, "fails as asked");
      outputs[0] = give(borrow(windows).mean(2));
    });
  }
  static std::int32_t set_training(void* self, std::uint32_t training, const grevy_error_sink*) {
    static_cast<NotingModel*>(self)->modes.push_back(training != 0);
    return GREVY_OK;
  }
  static grevy_model_table table() {
    grevy_model_table table{};
    table.struct_size = sizeof(table);
    table.describe = describe;
    table.forward = forward;
    table.set_training = set_training;
    return table;
  }
};

// Two batches, the same every time.
struct TwoBatches {
  std::vector<Batch> batches = {
      {0, at::ones({4, 1, 2}), {at::ones({4, 1, 2})}, at::ones({4, 1, 2}), {}, {}, {}}};
  grevy::detail::CBatches lent{batches};
  grevy_loader table{};

  TwoBatches() {
    table.struct_size = sizeof(table);
    table.context = this;
    table.num_batches = 2;
    table.next = [](void* context, const grevy_batch* const** found, std::uint64_t* count,
                    const grevy_error_sink*) -> std::int32_t {
      *found = static_cast<TwoBatches*>(context)->lent.data();
      *count = static_cast<TwoBatches*>(context)->lent.size();
      return GREVY_OK;
    };
  }
};

}  // namespace

TEST_CASE("validation and transform evaluate, then restore the training mode") {
  NotingModel noting;
  const grevy_model_table table = NotingModel::table();
  const ModelRef model({&table, &noting}, "noting", "tests");
  const auto criterion = host_of_tests().create_criterion("InfoNCE", "{}", {});
  const auto solver = host_of_tests().create_solver("single-session", "{}", {});
  solver->attach({model}, {*criterion});
  const TwoBatches loader;
  noting.modes.clear();
  SUBCASE("validation") {
    CHECK(solver->validate(loader.table).loss == doctest::Approx(std::log(4)));
  }
  SUBCASE("transform") {
    CHECK(solver->transform(0, at::ones({6, 1})).sizes() == at::IntArrayRef({5, 1}));
  }
  SUBCASE("validation with a model that fails") {
    noting.fails = true;
    CHECK_THROWS_AS(solver->validate(loader.table), PluginError);
  }
  CHECK(noting.modes == std::vector<bool>{false, true});
}

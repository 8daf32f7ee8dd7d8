// Calls that no caller should make: each ends in an Error that says why, and what it was made on
// is as good as before.
#include "plugin_support.hpp"
#include "trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/alignment.hpp>
#include <grevy/host/array.hpp>
#include <grevy/host/attribution.hpp>
#include <grevy/host/consistency.hpp>
#include <grevy/host/decoders.hpp>
#include <grevy/host/evaluation.hpp>
#include <grevy/host/exchange.hpp>
#include <grevy/host/run.hpp>
#include <grevy/host/safetensors.hpp>
#include <grevy/host/stream.h>
#include <grevy/host/stream.hpp>

#include <functional>
#include <limits>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

struct Misuse {
  const char* what;
  std::function<void()> call;
  ErrorCode code;
  std::string text;
};

void check(const std::vector<Misuse>& calls) {
  for (const Misuse& misuse : calls) {
    CAPTURE(misuse.what);
    const Caught error = catch_error(misuse.call);
    CHECK(error.code == misuse.code);
    CHECK_MESSAGE(error.says(misuse.text), error.text);
    CHECK_FALSE(error.text.empty());
  }
}

json document(const json& changes = json::object()) {
  return merged({{"seed", 4},
                 {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 3}}},
                 {"training", {{"num_steps", 3}, {"batch_size", 8}}}},
                changes);
}

host::Recording recording() { return made_recording(60, 4, 1); }
host::Trainer trainer(const json& changes = json::object()) {
  return trainer_of(document(changes), {recording()});
}

// Tensors that hold no numbers of ours, and what makes them.
std::vector<std::pair<const char*, at::Tensor>> odd_tensors() {
  return {{"undefined", {}},
          {"empty", at::empty({0, 4})},
          {"without rows", at::empty({0})},
          {"scalar", at::zeros({})},
          {"of five axes", at::zeros({2, 2, 2, 2, 2})},
          {"complex", at::zeros({30, 4}, at::kComplexFloat)},
          {"sparse", at::zeros({30, 4}).to_sparse()},
          {"without values", at::empty({30, 4}, at::TensorOptions().device(at::kMeta))}};
}

template <class Type>
Type moved_from(Type& from) {
  return std::move(from);
}

}  // namespace

TEST_CASE("tensors that are no recordings, labels, samples or embeddings") {
  host::Recording given = recording();
  const host::Trainer made = trainer();
  const at::Tensor rows = at::rand({30, 4}), labels = at::rand({30, 1}),
                   classes = at::zeros({30}, at::kLong);
  const std::pair<const char*, std::function<void(const at::Tensor&)>> calls[] = {
      {"Recording", [](const at::Tensor& t) { host::Recording recorded(t); }},
      {"add_continuous", [&](const at::Tensor& t) { given.add_continuous("x", t); }},
      {"add_discrete", [&](const at::Tensor& t) { given.add_discrete("x", t); }},
      {"set_trials", [&](const at::Tensor& t) { given.set_trials(t); }},
      {"with_neural", [&](const at::Tensor& t) { given.with_neural(t); }},
      {"transform", [&](const at::Tensor& t) { made.transform(t); }},
      {"attribute", [&](const at::Tensor& t) { host::attribute(made.model(), t); }},
      {"jacobian", [&](const at::Tensor& t) { host::jacobian(made.model(), t); }},
      {"nearest_rows",
       [&](const at::Tensor& t) { host::nearest_rows(t, rows, 1, host::Metric::cosine); }},
      {"nearest_rows, queries",
       [&](const at::Tensor& t) {
         if (t.defined() && t.dim() == 2 && t.numel() == 0)
           throw Error(ErrorCode::invalid_value, "no queries are allowed");
         host::nearest_rows(rows, t, 1, host::Metric::cosine);
       }},
      {"decode_continuous",
       [&](const at::Tensor& t) { host::decode_continuous(t, classes.unsqueeze(1)); }},
      {"decode_discrete",
       [&](const at::Tensor& t) { host::decode_discrete(t, classes.unsqueeze(1)); }},
      {"score_continuous", [&](const at::Tensor& t) { host::score_continuous(t, rows); }},
      {"score_discrete", [&](const at::Tensor& t) { host::score_discrete(t, classes); }},
      {"ridge_decoding",
       [&](const at::Tensor& t) { host::ridge_decoding(t, labels, rows, labels); }},
      {"L1LinearRegressor", [&](const at::Tensor& t) { host::L1LinearRegressor().fit(t, labels); }},
      {"OrthogonalProcrustes",
       [&](const at::Tensor& t) { host::OrthogonalProcrustes().fit(rows, t); }},
      {"ensemble_embeddings",
       [&](const at::Tensor& t) {
         host::ensemble_embeddings({rows, t});
       }},
      {"consistency_between_runs",
       [&](const at::Tensor& t) {
         host::consistency_between_runs({rows, t});
       }},
      {"consistency_between_datasets",
       [&](const at::Tensor& t) {
         host::consistency_between_datasets({rows, t}, {labels.squeeze(1), labels.squeeze(1)});
       }},
  };
  for (const auto& [call, body] : calls)
    for (const auto& [kind, tensor] : odd_tensors()) {
      const std::string call_name = call, kind_of_tensor = kind;
      CAPTURE(call_name);
      CAPTURE(kind_of_tensor);
      std::string other;
      const Caught error = [&, &run = body, &odd = tensor] {
        try {
          return catch_error([&] { run(odd); });
        } catch (const std::exception& e) {
          other = std::string(e.what()).substr(0, 100);
          return Caught();
        }
      }();
      CHECK_MESSAGE(other.empty(), other);
      CHECK_FALSE(error.text.empty());
    }
  CHECK(given.labels().size() == 2);
  CHECK(made.transform(given.neural()).size(0) == 60);
}

TEST_CASE("tensors with gradients or strides are like others") {
  const at::Tensor plain = at::rand({60, 4});
  const at::Tensor watched = plain.clone().requires_grad_(true),
                   strided = plain.t().contiguous().t();
  for (const at::Tensor& neural : {watched, strided}) {
    host::Recording given(neural);
    given.add_continuous("x", neural.slice(1, 0, 1));
    CHECK_FALSE(given.neural().requires_grad());
    CHECK_FALSE(given.label("x").values.requires_grad());
    CHECK(at::equal(given.neural(), plain));
    host::Trainer made = trainer_of(document(), {given});
    made.fit();
    CHECK_FALSE(made.transform(neural).requires_grad());
    CHECK(at::equal(made.transform(neural), made.transform(plain)));
  }
}

TEST_CASE("objects that were moved from, or never made whole") {
  host::Trainer gone = trainer();
  const host::Trainer kept = moved_from(gone);
  host::Stream old_stream(kept);
  const host::Stream stream = moved_from(old_stream);
  host::Recording taken = recording();
  const host::Recording whole = moved_from(taken);
  float numbers[8] = {};
  const auto state = ErrorCode::invalid_state;
  check(
      {{"fit", [&] { gone.fit(); }, state, "this Trainer was moved from"},
       {"transform",
        [&] {
          gone.transform(at::zeros({9, 4}));
        },
        state, "moved from"},
       {"step", [&] { gone.step(); }, state, "moved from"},
       {"save", [&] { gone.save("nowhere"); }, state, "moved from"},
       {"load", [&] { gone.load("nowhere"); }, state, "moved from"},
       {"experiment", [&] { gone.experiment(); }, state, "moved from"},
       {"Stream of it", [&] { host::Stream{gone}; }, state, "moved from"},
       {"push", [&] { old_stream.push(numbers, numbers); }, state, "this Stream was moved from"},
       {"reset", [&] { old_stream.reset(); }, state, "moved from"},
       {"delay", [&] { old_stream.delay(); }, state, "moved from"},
       {"slice", [&] { taken.slice(0, 1); }, state, "this Recording was moved from"},
       {"check_finite", [&] { taken.check_finite(); }, state, "moved from"},
       {"add", [&] { taken.add_continuous("x", at::zeros({60})); }, state, "moved from"},
       {"with_neural",
        [&] {
          taken.with_neural(at::zeros({60, 1}));
        },
        state, "moved from"},
       {"Trainer of it", [&] { trainer_of(document(), {taken}); }, state, "moved from"},
       {"Array", [] { host::Array().to_float32(); }, state, "holds nothing"},
       {"Summary", [] { host::Summary().report(); }, ErrorCode::invalid_value, "no summary"},
       {"Summary, brief", [] { host::Summary().brief(); }, ErrorCode::invalid_value, "no summary"},
       {"OrthogonalProcrustes",
        [] {
          host::OrthogonalProcrustes().transform(at::zeros({3, 2}));
        },
        state, ""},
       {"L1LinearRegressor",
        [] {
          host::L1LinearRegressor().predict(at::zeros({3, 2}));
        },
        state, ""}});
}

TEST_CASE("numbers that are out of range") {
  const host::Trainer made = trainer();
  const host::Recording given = recording();
  host::Host& host = builtin_host();
  const host::Experiment experiment(host, document());
  const auto range = ErrorCode::out_of_range;
  const auto value = ErrorCode::invalid_value;
  const auto transform = [&](std::int64_t session) {
    made.transform(given.neural(), {session, true, 10});
  };
  check({{"session -1", [&] { transform(-1); }, range, "session -1 does not exist"},
         {"session huge", [&] { transform(huge); }, range, "does not exist; there are 1"},
         {"model_info", [&] { made.model_info(5); }, range, "session 5"},
         {"model", [&] { made.model(-huge); }, range, "does not exist"},
         {"stream",
          [&] {
            host::Stream(made, {7, true});
          },
          range, "session 7"},
         {"num_rows",
          [&] {
            made.num_rows(given, {3, true, 1});
          },
          range, "session 3"},
         {"loss_on_session", [&] { made.loss_on_session(given, 9, 1); }, range, "session 9"},
         {"loss_on no batches", [&] { made.loss_on({given}, 0); }, value, "num_batches 0"},
         {"loss_on no sessions", [&] { made.loss_on({}, 1); }, value, "found 0 sessions"},
         {"loss_on too many",
          [&] {
            made.loss_on({given, given}, 1);
          },
          value, "found 2"},
         {"slice reversed", [&] { given.slice(5, 4); }, range, "samples 5 to 4"},
         {"slice negative", [&] { given.slice(-1, 4); }, range, "samples -1"},
         {"slice huge", [&] { given.slice(0, huge); }, range, "recording with 60"},
         {"no channels", [&] { host::Trainer::without_data(host, experiment, {0}); }, value,
          "found 0 channels; a model has 1 to"},
         {"channels < 0", [&] { host::Trainer::without_data(host, experiment, {-3}); }, value,
          "found -3 channels"},
         {"channels huge", [&] { host::Trainer::without_data(host, experiment, {huge}); }, value,
          "channels; a model has 1 to"},
         {"no session", [&] { host::Trainer::without_data(host, experiment, {}); }, value,
          "there is no session"},
         {"too many sessions",
          [&] {
            host::Trainer::without_data(host, experiment, {4, 4});
          },
          value, "works with one"},
         {"count",
          [&] {
            host::nearest_rows(at::zeros({3, 2}), at::zeros({3, 2}), huge, host::Metric::cosine);
          },
          value, "count is"},
         {"threads",
          [&] {
            host::Experiment(host, document({{"threads", -1}}));
          },
          value, "/threads"},
         {"below", [] { host::Random(1, "x").below(0); }, value, ""},
         {"steps", [&] { trainer().set_steps(-1, 0); }, value, "found -1 steps"}});
  CHECK(made.transform(given.neural(), {0, true, -5}).size(0) == 60);
  CHECK(made.transform(given.neural(), {0, true, huge}).size(0) == 60);
}

TEST_CASE("calls in the wrong order, or from where they do not belong") {
  const tests::TemporaryFolder folder;
  host::Host& host = builtin_host();
  host::Trainer untrained =
      host::Trainer::without_data(host, host::Experiment(host, document()), {4});
  host::Trainer ahead = trainer();
  ahead.set_steps(9, 9);
  host::Trainer nested = trainer();
  host::FitCallbacks callbacks;
  callbacks.on_step = [&](const host::StepReport&) { nested.fit(); };
  float numbers[8] = {};
  host::Stream stream(nested);
  const auto state = ErrorCode::invalid_state;
  const auto value = ErrorCode::invalid_value;
  check({{"fit without data", [&] { untrained.fit(); }, state, "no recording to train on"},
         {"fit after the end", [&] { ahead.fit(); }, state, "has done 9 steps already"},
         {"fit in fit", [&] { nested.fit(callbacks); }, state, "fit() was called again"},
         {"no sink",
          [&] {
            nested.transform(at::zeros({9, 4}), host::RowSink(), {});
          },
          value, "there is no sink"},
         {"push nothing", [&] { stream.push(nullptr, numbers); }, value, "push() needs"},
         {"push nowhere", [&] { stream.push(numbers, nullptr); }, value, "push() needs"},
         {"line_up", [&] { nested.line_up({recording()}, 0); }, state, "embeds sessions by"},
         {"evaluate", [&] { host::evaluate(nested, {}); }, value, "found 0 recordings"},
         {"evaluate halves",
          [&] {
            host::evaluate(nested, {{recording()}, {}, {recording()}});
          },
          value, "found 1 recordings, 0 parts"},
         {"run without a folder", [&] { host::run(host, host::Experiment(host, document()), {}); },
          value, "a run needs a folder"},
         {"Trainer without recordings", [&] { trainer_of(document(), Sessions()); }, value,
          "there is no session to train on"},
         {"save nowhere", [&] { nested.save(folder / "no/folder/file"); }, ErrorCode::io,
          "no/folder"},
         {"load a folder", [&] { nested.load(folder.path()); }, ErrorCode::not_found,
          folder.path().string()},
         {"load nothing", [&] { nested.load(""); }, ErrorCode::not_found, ""},
         {"add nothing", [] { host::Host(only({})).add(nullptr); }, ErrorCode::incompatible, ""},
         {"alias of nothing", [] { host::Host(only({})).alias(host::Kind::model, "x", "y"); },
          ErrorCode::not_found, ""},
         {"empty alias",
          [] {
            host::Host(only({GREVY_BUILTIN_PLUGINS})).alias(host::Kind::model, "offset5-model", "");
          },
          value, "an alias has at least one byte"}});
  CHECK(nested.fit());
}

TEST_CASE("an experiment of a host that knows other plugins") {
  host::Host rich(only({GREVY_BUILTIN_PLUGINS, test_plugins / "good"})), poor(only({}));
  const host::Experiment experiment(rich, document({{"criterion", {{"name", "pull-push"}}}}));
  const Caught none = catch_error([&] { host::Trainer(poor, experiment, recording()); });
  CHECK(none.code == ErrorCode::not_found);
  const Caught other = catch_error([&] { host::Trainer(builtin_host(), experiment, recording()); });
  CHECK(other.code == ErrorCode::not_found);
  CHECK_MESSAGE(other.says("there is no criterion \"pull-push\""), other.text);
}

TEST_CASE("files that are empty, or folders") {
  const tests::TemporaryFolder folder;
  const std::filesystem::path empty = folder.write("empty", "");
  host::Host& host = builtin_host();
  for (const std::filesystem::path& file : {empty, folder.path()}) {
    CAPTURE(file.string());
    const std::pair<const char*, std::function<void()>> calls[] = {
        {"Array", [&] { host::Array::open(file); }},
        {"load_tensor", [&] { host::load_tensor(file); }},
        {"safetensors", [&] { host::read_safetensors(file); }},
        {"from_checkpoint", [&] { host::Trainer::from_checkpoint(host, file); }},
        {"checkpoint_info", [&] { host::read_checkpoint_info(file); }},
        {"experiment", [&] { host::Experiment::load(host, file); }},
        {"import",
         [&] {
           host::import_checkpoint(host, file, {folder / "run", false, "", {}});
         }},
        {"export", [&] {
           host::export_run(host, file, {folder / "out", {}});
         }}};
    for (const auto& entry : calls) {
      CAPTURE(entry.first);
      CHECK_FALSE(catch_error(entry.second).text.empty());
    }
  }
}

TEST_CASE("the C stream takes null pointers and bad paths") {
  char error[8] = "unset";
  CHECK(grevy_run_stream_open(nullptr, 0, error, sizeof(error)) == nullptr);
  CHECK(std::string(error).size() == 7);
  CHECK(grevy_run_stream_open("/nothing/there", -1, nullptr, 0) == nullptr);
  float numbers[4] = {};
  CHECK(grevy_run_stream_push(nullptr, numbers, numbers) == -1);
  CHECK(grevy_run_stream_num_input(nullptr) == 0);
  CHECK(grevy_run_stream_num_output(nullptr) == 0);
  CHECK(grevy_run_stream_delay(nullptr) == 0);
  grevy_run_stream_reset(nullptr);
  grevy_run_stream_close(nullptr);
}

TEST_CASE("targets that a criterion does not take are refused before the training") {
  const auto text = [](const json& loss, const char* label) {
    host::Recording given = recording();
    given.add_continuous("two", at::rand({60, 2}));
    const json objective = {{"slice", {0, 3}}, {"loss", loss}, {"label", label}};
    return refusal([&] {
      trainer_of(document({{"objectives", {objective}},
                           {"solver", {{"name", "supervised-solver-xcebra"}}}}),
                 {given});
    });
  };
  const std::string width = text({{"name", "nn.MSELoss"}}, "two");
  CHECK_MESSAGE(contains(width, "experiment: /sampling/targets: nn.MSELoss ("), width);
  CHECK_MESSAGE(contains(width, "needs a target of the prediction's shape"), width);
  CHECK_MESSAGE(contains(width, ", 2]"), width);
  const std::string kind = text({{"name", "nn.CrossEntropyLoss"}}, "two");
  CHECK_MESSAGE(contains(kind, "needs integer classes"), kind);
  CHECK(text({{"name", "nn.CrossEntropyLoss"}}, "direction") == "no error");
}

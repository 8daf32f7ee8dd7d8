// Which windows stand beside each other in the batches of every kind of training.
#include "sampling/loader.hpp"
#include "sampling/window_gather.hpp"
#include "trainer_support.hpp"

#include <algorithm>
#include <set>

using namespace grevy;
using namespace grevy::tests;
using host::Loader;
using host::LoaderOptions;
using host::PositiveSpec;
using host::Random;
using host::Recording;
using host::SamplingSpec;
using Conditional = host::SamplingOptions::Conditional;

namespace {

constexpr std::int64_t batch_size = 24;

PositiveSpec positive(Conditional conditional, std::int64_t time_offset = 3) {
  PositiveSpec set;
  set.options.conditional = conditional;
  set.options.time_offset = time_offset;
  set.options.delta = 1e-4;
  const bool by_value =
      conditional == Conditional::time_delta || conditional == Conditional::delta_normal;
  if (by_value) set.continuous = {"position"};
  if (conditional == Conditional::discrete) set.discrete = "class";
  return set;
}

PositiveSpec mixed(Conditional conditional) {
  PositiveSpec set = positive(conditional);
  set.discrete = "class";
  return set;
}

LoaderOptions options_of(SolverInfo::Sessions sessions, std::size_t num_sessions,
                         Offset offset = {0, 1}) {
  LoaderOptions options;
  options.solver.sessions = sessions;
  options.solver.num_positives = 0;
  options.offsets.assign(num_sessions, offset);
  options.batch_size = options.num_negatives = batch_size;
  return options;
}

Loader loader_of(const Sessions& sessions, const SamplingSpec& spec, const LoaderOptions& options) {
  return {sessions, spec, options, Random(1, "samples"), Random(1, "masks")};
}

// The one channel is the number of the trial, in trials of 20, 31, 25 and 24 samples.
Recording in_trials() {
  const at::Tensor trial =
      at::cat({at::zeros({20}), at::ones({31}), at::full({25}, 2), at::full({24}, 3)});
  Recording recording(trial.unsqueeze(1));
  recording.add_continuous("position", at::sin(0.3 * at::arange(100)));
  recording.add_discrete("class", at::arange(100, at::kLong).remainder(3));
  recording.set_trials(trial.to(at::kLong));
  return recording;
}

// Channels: the class, the position (a grid that all sessions have), the session's number, the
// time.
Recording on_grid(std::int64_t samples, std::int64_t session, std::int64_t num_classes) {
  const at::Tensor time = at::arange(samples, at::kLong);
  const at::Tensor classes = (time * 7 + session).remainder(num_classes);
  const at::Tensor position = (time * 5 + 2 * session).remainder(11).to(at::kFloat);
  Recording recording(at::stack({classes.to(at::kFloat), position,
                                 at::full({samples}, session, at::kFloat), time.to(at::kFloat)},
                                1));
  recording.add_continuous("position", position);
  recording.add_discrete("class", classes);
  return recording;
}
Sessions on_grids() { return {on_grid(90, 0, 3), on_grid(70, 1, 3), on_grid(110, 2, 3)}; }

at::Tensor joined(const std::vector<Batch>& batches, at::Tensor (*part)(const Batch&)) {
  std::vector<at::Tensor> parts;
  for (const Batch& batch : batches) parts.push_back(part(batch));
  return at::cat(parts);
}
at::Tensor references(const std::vector<Batch>& batches) {
  return joined(batches, [](const Batch& b) { return b.reference; });
}

// Positives of a set, each row beside its reference.
at::Tensor paired(const std::vector<Batch>& batches, std::size_t set = 0) {
  std::vector<at::Tensor> parts;
  for (const Batch& batch : batches) parts.push_back(batch.positives[set]);
  const at::Tensor& order = batches.front().index_reversed;
  const at::Tensor rows = order.dim() == 2 ? order[static_cast<std::int64_t>(set)] : order;
  return at::cat(parts).index_select(0, rows);
}

at::Tensor channel(const at::Tensor& windows, std::int64_t number) {
  return windows.select(1, number).flatten();
}

bool constant_over_time(const at::Tensor& windows) {
  return windows.amax(2).equal(windows.amin(2));
}

}  // namespace

TEST_CASE("windows and pairs in time stay inside a trial") {
  const Recording recording = in_trials();
  for (const bool clamp : {false, true})
    for (const Conditional conditional : {Conditional::time, Conditional::time_delta,
                                          Conditional::delta_normal, Conditional::discrete}) {
      if (clamp && conditional != Conditional::time) continue;
      SamplingSpec spec;
      spec.positives = {positive(conditional)};
      spec.clamp = clamp;
      Loader loader =
          loader_of({recording}, spec, options_of(SolverInfo::Sessions::one, 1, {5, 5}));
      for (int i = 0; i < 30; ++i) {
        const Batch batch = loader.next().front();
        for (const at::Tensor& windows : {batch.reference, batch.positives[0], batch.negative})
          REQUIRE(constant_over_time(windows));
        if (conditional == Conditional::time)
          REQUIRE(batch.positives[0].equal(batch.reference));  // of the same trial
      }
    }
}

TEST_CASE("a full batch has every sample with a window in its trial, and no window leaves it") {
  const Recording recording = in_trials();
  for (const Conditional conditional :
       {Conditional::time, Conditional::time_delta, Conditional::discrete}) {
    SamplingSpec spec;
    spec.positives = {positive(conditional)};
    LoaderOptions options = options_of(SolverInfo::Sessions::one, 1, {5, 5});
    options.solver.full_batch = true;
    Loader loader = loader_of({recording}, spec, options);
    std::set<std::int64_t> complete;
    for (const auto& [begin, end] : {std::pair{0, 20}, {20, 51}, {51, 76}, {76, 100}})
      for (int i = begin + 5; i <= end - 5; ++i) complete.insert(i);
    const Batch batch = loader.next().front();
    CHECK(batch.series.equal(recording.neural()));
    const auto as_set = [](const at::Tensor& samples) {
      return std::set<std::int64_t>(samples.data_ptr<std::int64_t>(),
                                    samples.data_ptr<std::int64_t>() + samples.numel());
    };
    // With time, a reference needs the sample 3 later in its trial as well: there always is one.
    CHECK(as_set(batch.reference) == complete);
    CHECK(as_set(batch.negative) == complete);
    CHECK(batch.negative.numel() == batch.reference.numel());
    CHECK_FALSE(batch.negative.equal(batch.reference));
    for (const std::int64_t sample : as_set(batch.positives[0])) CHECK(complete.count(sample) == 1);
    CHECK(loader.chance() == doctest::Approx(std::log(complete.size())));
  }
}

TEST_CASE("a full batch pairs with the last window where the positive has none of its own") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time, 3)};
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1, {2, 3});
  options.solver.full_batch = true;
  const Batch batch = loader_of({on_grid(20, 0, 3)}, spec, options).next().front();
  // Windows lie around samples 2 to 17; sample 17 has no positive.
  CHECK(batch.reference.equal(at::arange(2, 17, at::kLong)));
  CHECK(batch.positives[0].equal((at::arange(2, 17, at::kLong) + 3).clamp_max(17)));
}

TEST_CASE("references too late for their positive share the last sample of their trial") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time, 8), positive(Conditional::time_delta)};
  spec.clamp = true;
  Recording recording = on_grid(100, 0, 3);
  recording.set_trials(in_trials().neural().flatten().to(at::kLong));
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1);
  options.batch_size = 400;
  const Batch batch = loader_of({recording}, spec, options).next().front();
  const at::Tensor from = channel(batch.reference, 3).to(at::kLong);
  const at::Tensor last = at::tensor({19, 50, 75, 99}, at::kLong);
  const at::Tensor trial = in_trials().neural().flatten().to(at::kLong).index_select(0, from);
  CHECK(channel(batch.positives[0], 3)
            .to(at::kLong)
            .equal(at::minimum(from + 8, last.index_select(0, trial))));
  CHECK(from.max().item<std::int64_t>() > 91);  // also where `inside` draws nothing
}

TEST_CASE("several sets share references that have a positive in each") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time, 5), positive(Conditional::time, 30),
                    positive(Conditional::delta_normal)};
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1);
  options.batch_size = 400;
  const Batch batch = loader_of({on_grid(90, 0, 3)}, spec, options).next().front();
  REQUIRE(batch.positives.size() == 3);
  const at::Tensor from = channel(batch.reference, 3);
  CHECK(from.max().item<float>() < 60);
  CHECK(channel(batch.positives[0], 3).equal(from + 5));
  CHECK(channel(batch.positives[1], 3).equal(from + 30));
  CHECK(channel(batch.positives[2], 1).equal(channel(batch.reference, 1)));
}

TEST_CASE("of several sets in time the longest way decides, in any order") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time, 30), positive(Conditional::time, 5)};
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1);
  options.batch_size = 400;
  const Batch batch = loader_of({on_grid(90, 0, 3)}, spec, options).next().front();
  const at::Tensor from = channel(batch.reference, 3);
  CHECK(channel(batch.positives[0], 3).equal(from + 30));
  CHECK(channel(batch.positives[1], 3).equal(from + 5));
}

TEST_CASE("several sessions: positives of equal labels, from any session") {
  const std::pair<PositiveSpec, std::vector<std::int64_t>> cases[] = {
      {positive(Conditional::discrete), {0}},
      {positive(Conditional::delta_normal), {1}},
      {mixed(Conditional::delta_normal), {0, 1}}};
  for (const auto& [set, equal_channels] : cases) {
    SamplingSpec spec;
    spec.positives = {set};
    Loader loader = loader_of(on_grids(), spec, options_of(SolverInfo::Sessions::several, 3));
    std::set<std::pair<int, int>> sessions;  // of reference and positive
    for (int i = 0; i < 20; ++i) {
      const std::vector<Batch> batches = loader.next();
      REQUIRE(batches.size() == 3);
      const at::Tensor reference = references(batches), beside = paired(batches);
      for (const std::int64_t c : equal_channels)
        REQUIRE(channel(beside, c).equal(channel(reference, c)));
      for (std::int64_t r = 0; r < reference.size(0); ++r)
        sessions.emplace(channel(reference, 2)[r].item<int>(), channel(beside, 2)[r].item<int>());
      for (std::int64_t s = 0; s < 3; ++s) {
        const Batch& batch = batches[static_cast<std::size_t>(s)];
        CHECK(batch.session == s);
        for (const at::Tensor& windows : {batch.reference, batch.positives[0], batch.negative}) {
          CHECK(windows.sizes() == at::IntArrayRef({batch_size, 4, 1}));
          CHECK(channel(windows, 2).eq(s).all().item<bool>());
        }
      }
    }
    CHECK(sessions.size() == 9);
  }
}

TEST_CASE("a class that some sessions lack is paired among those that have it") {
  const Sessions sessions = {on_grid(90, 0, 4), on_grid(70, 1, 2), on_grid(110, 2, 4)};
  SamplingSpec spec;
  spec.positives = {positive(Conditional::discrete)};
  Loader loader = loader_of(sessions, spec, options_of(SolverInfo::Sessions::several, 3));
  for (int i = 0; i < 20; ++i) {
    const std::vector<Batch> batches = loader.next();
    REQUIRE(channel(paired(batches), 0).equal(channel(references(batches), 0)));
  }
}

TEST_CASE("several sessions: positives in time stay in their session, beside their reference") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time, 3)};
  Loader loader = loader_of(on_grids(), spec, options_of(SolverInfo::Sessions::several, 3));
  const std::vector<Batch> batches = loader.next();
  for (const Batch& batch : batches) {
    CHECK(channel(batch.positives[0], 3).equal(channel(batch.reference, 3) + 3));
    CHECK(batch.index.equal(at::arange(3 * batch_size, at::kLong)));
    CHECK(batch.index_reversed.equal(batch.index));
  }
}

TEST_CASE("several sessions and sets: each set has a pairing of its own") {
  SamplingSpec spec;
  spec.positives = {mixed(Conditional::delta_normal), positive(Conditional::time, 4)};
  Loader loader = loader_of(on_grids(), spec, options_of(SolverInfo::Sessions::several, 3));
  const std::vector<Batch> batches = loader.next();
  const at::Tensor reference = references(batches);
  CHECK(batches[0].index.sizes() == at::IntArrayRef({2, 3 * batch_size}));
  CHECK(channel(paired(batches, 0), 1).equal(channel(reference, 1)));
  CHECK(channel(paired(batches, 1), 3).equal(channel(reference, 3) + 4));
  CHECK(channel(paired(batches, 1), 2).equal(channel(reference, 2)));
  CHECK(loader.chance() == doctest::Approx(2 * std::log(3 * batch_size)));
}

TEST_CASE("full batches of several sessions take all their samples, whatever their lengths") {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::discrete)};
  LoaderOptions options = options_of(SolverInfo::Sessions::several, 3);
  options.solver.full_batch = true;
  const Sessions sessions = on_grids();
  const std::vector<Batch> batches = loader_of(sessions, spec, options).next();
  std::vector<at::Tensor> reference, beside;
  for (std::size_t s = 0; s < 3; ++s) {
    CHECK(batches[s].reference.equal(at::arange(sessions[s].num_samples(), at::kLong)));
    const at::Tensor classes = sessions[s].label("class").values;
    reference.push_back(classes.index_select(0, batches[s].reference));
    beside.push_back(classes.index_select(0, batches[s].positives[0]));
  }
  CHECK(at::cat(beside).index_select(0, batches[0].index_reversed).equal(at::cat(reference)));
}

TEST_CASE("joined sessions: one batch with the channels of all, lined up by the label") {
  SamplingSpec spec;
  spec.positives = {mixed(Conditional::delta_normal)};
  Loader loader = loader_of(on_grids(), spec, options_of(SolverInfo::Sessions::joined, 3));
  for (int i = 0; i < 10; ++i) {
    const std::vector<Batch> batches = loader.next();
    REQUIRE(batches.size() == 1);
    const Batch& batch = batches.front();
    CHECK_FALSE(batch.index.defined());
    for (const at::Tensor& windows : {batch.reference, batch.positives[0], batch.negative}) {
      REQUIRE(windows.sizes() == at::IntArrayRef({batch_size, 12, 1}));
      for (std::int64_t s = 0; s < 3; ++s) {
        CHECK(channel(windows, 4 * s + 2).eq(s).all().item<bool>());
        for (const std::int64_t c : {0, 1})
          CHECK(channel(windows, 4 * s + c).equal(channel(windows, c)));
      }
    }
    for (const std::int64_t c : {0, 1})
      CHECK(channel(batch.positives[0], c).equal(channel(batch.reference, c)));
  }
}

TEST_CASE("supervised batches hold the references' labels as targets, and no negatives") {
  SamplingSpec spec;
  spec.targets = {"position", "class"};
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1);
  options.solver.supervised = true;
  Loader loader = loader_of({on_grid(90, 0, 3)}, spec, options);
  const Batch batch = loader.next().front();
  CHECK_FALSE(batch.negative.defined());
  REQUIRE(batch.positives.size() == 2);
  CHECK(batch.positives[0].equal(channel(batch.reference, 1).unsqueeze(1)));
  CHECK(batch.positives[1].equal(channel(batch.reference, 0).to(at::kLong)));
  CHECK(std::isnan(loader.chance()));
}

TEST_CASE("negatives may be more or fewer than references") {
  for (const auto sessions :
       {SolverInfo::Sessions::one, SolverInfo::Sessions::several, SolverInfo::Sessions::joined}) {
    SamplingSpec spec;
    spec.positives = {positive(Conditional::delta_normal)};
    Sessions recordings = on_grids();
    if (sessions == SolverInfo::Sessions::one)
      recordings.erase(recordings.begin() + 1, recordings.end());
    LoaderOptions options = options_of(sessions, recordings.size());
    options.num_negatives = 7;
    Loader loader = loader_of(recordings, spec, options);
    std::int64_t compared = 0;
    for (const Batch& batch : loader.next()) {
      CHECK(batch.reference.size(0) == batch_size);
      CHECK(batch.positives[0].size(0) == batch_size);
      compared += batch.negative.size(0);
    }
    CHECK(compared == (sessions == SolverInfo::Sessions::several ? 21 : 7));
    CHECK(loader.chance() == doctest::Approx(std::log(compared)));
  }
}

TEST_CASE("masks set parts of every window to zero, and leave samples and recording alone") {
  Recording ones(at::ones({80, 6}));
  ones.add_continuous("position", at::arange(80, at::kFloat));
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time_delta)};
  const LoaderOptions options = options_of(SolverInfo::Sessions::one, 1, {2, 2});
  for (const char* mask : {"RandomNeuronMask", "NeuronBlockMask", "RandomTimestepMask"}) {
    spec.masks = {{mask, 0.5}};
    Loader loader = loader_of({ones}, spec, options);
    const Batch batch = loader.next().front();
    for (const at::Tensor& windows : {batch.reference, batch.positives[0], batch.negative}) {
      CHECK(windows.sizes() == at::IntArrayRef({batch_size, 6, 4}));
      const double share = windows.mean().item<double>();
      CHECK(share > 0.35);
      CHECK(share < 0.65);
    }
    CHECK_FALSE(batch.reference.equal(batch.negative));
  }
  CHECK(ones.neural().eq(1).all().item<bool>());

  // The same samples with and without.
  Recording counting = on_grid(90, 0, 3);
  spec.masks = nlohmann::json::object();
  Loader plain = loader_of({counting}, spec, options);
  spec.masks = {{"NeuronBlockMask", 0.5}};
  Loader masked = loader_of({counting}, spec, options);
  for (int i = 0; i < 3; ++i) {
    const Batch a = plain.next().front(), b = masked.next().front();
    CHECK(b.reference.eq(0).logical_or(b.reference.eq(a.reference)).all().item<bool>());
    CHECK_FALSE(b.reference.equal(a.reference));
  }
}

TEST_CASE("a loader refuses what does not fit its solver") {
  const auto refused = [](const Sessions& sessions, const SamplingSpec& spec,
                          const LoaderOptions& options) {
    return refusal([&] { loader_of(sessions, spec, options); });
  };
  SamplingSpec by_time;
  by_time.positives = {positive(Conditional::time)};
  SamplingSpec targets;
  targets.targets = {"position"};
  LoaderOptions one = options_of(SolverInfo::Sessions::one, 1);
  LoaderOptions supervised = one;
  supervised.solver.supervised = true;
  CHECK(contains(refused({on_grid(90, 0, 3)}, by_time, supervised),
                 "the solver is supervised and needs targets"));
  CHECK(contains(refused({on_grid(90, 0, 3)}, targets, one), "targets are for supervised solvers"));
  LoaderOptions joined = options_of(SolverInfo::Sessions::joined, 3);
  joined.solver.supervised = true;
  CHECK(contains(refused(on_grids(), targets, joined),
                 "a supervised solver cannot join sessions: targets are of one session each"));
  supervised.solver.num_positives = 2;
  CHECK(contains(refused({on_grid(90, 0, 3)}, targets, supervised),
                 "works with 2 set(s) of targets; found 1"));
  one.solver.num_positives = 3;
  CHECK(contains(refused({on_grid(90, 0, 3)}, by_time, one),
                 "works with 3 set(s) of positives (hybrid gives 2); found 1"));
  CHECK(contains(refused(on_grids(), by_time, options_of(SolverInfo::Sessions::one, 1)),
                 "works with one session; found 3"));
  CHECK(contains(refused(on_grids(), by_time, options_of(SolverInfo::Sessions::several, 2)),
                 "found 3 sessions; there are models for 2"));
  targets.targets = {"speed"};
  supervised.solver.num_positives = 0;
  CHECK(contains(refused({on_grid(90, 0, 3)}, targets, supervised), "there is no label \"speed\""));
  CHECK(
      contains(refused({in_trials()}, by_time, options_of(SolverInfo::Sessions::one, 1, {12, 12})),
               "trial 0, from sample 0 on, has 20 samples; the model's receptive field needs at "
               "least 24"));
  by_time.positives = {positive(Conditional::time, 6)};
  LoaderOptions full = options_of(SolverInfo::Sessions::one, 1, {9, 9});
  full.solver.full_batch = true;
  Recording short_trials = on_grid(40, 0, 3);
  short_trials.set_trials(at::arange(40, at::kLong).div(20, "floor"));
  by_time.positives = {positive(Conditional::time, 19)};
  CHECK(contains(refused({short_trials}, by_time, full),
                 "no sample has both a complete window and a positive"));
  full.solver.sessions = SolverInfo::Sessions::several;
  full.offsets.assign(2, {9, 9});
  CHECK(contains(refused({on_grid(60, 0, 3), short_trials}, by_time, full),
                 "no sample of session 1 has both a complete window and a positive"));
  by_time.clamp = true;
  full.solver.sessions = SolverInfo::Sessions::one;
  full.offsets.assign(1, {9, 9});
  CHECK(contains(refused({on_grid(90, 0, 3)}, by_time, full),
                 "full-batch training takes the series as it is: borders must be \"inside\""));
}

TEST_CASE("windows are cut into the same memory where nobody looks at it and it has their size") {
  const host::WindowGather windows(at::arange(20, at::kFloat).view({10, 2}), {1, 2}, at::kCPU);
  at::Tensor buffer;
  const at::Tensor kept = windows.gather({4, 1}, buffer);
  const at::Tensor copy = kept.clone();
  const void* memory = kept.data_ptr();
  CHECK(windows.gather({5, 6}, buffer).data_ptr() != memory);  // `kept` looks at it
  CHECK(kept.equal(copy));
  memory = buffer.data_ptr();
  CHECK(windows.gather({7, 2}, buffer).data_ptr() == memory);
  CHECK(windows.gather({4, 1, 8}, buffer).narrow(0, 0, 2).equal(copy));
}

namespace {

SamplingSpec masked_by_time_delta() {
  SamplingSpec spec;
  spec.positives = {positive(Conditional::time_delta)};
  spec.masks = {{"RandomNeuronMask", 0.5}};
  return spec;
}

Loader prefetching(const Sessions& sessions, bool prefetch) {
  LoaderOptions options = options_of(SolverInfo::Sessions::one, 1, {2, 3});
  options.prefetch = prefetch;
  return loader_of(sessions, masked_by_time_delta(), options);
}

void check_same_batch(Loader& a, Loader& b) {
  const Batch of_a = a.next().front(), of_b = b.next().front();
  CHECK(at::equal(of_a.reference, of_b.reference));
  CHECK(at::equal(of_a.positives.front(), of_b.positives.front()));
  CHECK(at::equal(of_a.negative, of_b.negative));
  CHECK(a.random().state() == b.random().state());
  CHECK(a.mask_random().state() == b.mask_random().state());
}

}  // namespace

TEST_CASE("batches that are prepared ahead are those that would have been made") {
  const Sessions sessions = {made_recording(200, 4, 1)};
  Loader ahead = prefetching(sessions, true), at_once = prefetching(sessions, false);
  for (int step = 0; step < 20; ++step) check_same_batch(ahead, at_once);
  // Another state of either generator: what has been prepared is thrown away.
  ahead.random().restore(Random(5, "x").state());
  at_once.random().restore(Random(5, "x").state());
  check_same_batch(ahead, at_once);
  ahead.mask_random().restore(Random(6, "x").state());
  at_once.mask_random().restore(Random(6, "x").state());
  for (int step = 0; step < 3; ++step) check_same_batch(ahead, at_once);
}

TEST_CASE("batches stay as they are while the next ones are prepared") {
  const Sessions sessions = {made_recording(200, 4, 1)};
  Loader ahead = prefetching(sessions, true);
  const Batch batch = ahead.next().front();
  const at::Tensor copy = batch.reference.clone();
  for (int step = 0; step < 5; ++step) ahead.next();
  CHECK(at::equal(batch.reference, copy));
}

TEST_CASE("a loader that is not asked again ends what it has begun") {
  const Sessions sessions = {made_recording(200, 4, 1)};
  for (int i = 0; i < 50; ++i) {
    Loader ahead = prefetching(sessions, true);
    ahead.next();
  }
}

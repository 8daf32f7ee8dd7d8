// Evaluations that lack something, and what a summary says as text.
#include "host/trainer_support.hpp"

#include <grevy/host/run.hpp>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

json document(const json& changes = json::object()) {
  const json plain = {{"seed", 7},
                      {"data", {{"train_fraction", 0.75}}},
                      {"sampling", {{"conditional", "time"}, {"time_offset", 3}}},
                      {"model", {{"name", "offset5-model"}, {"num_units", 4}, {"num_output", 3}}},
                      {"criterion", {{"name", "InfoNCE"}}},
                      {"training", {{"num_steps", 1}, {"batch_size", 12}}},
                      {"evaluation", {{"num_batches", 2}, {"neighbours", 3}}}};
  return merged(plain, changes);
}

const json several = {{"solver", {{"name", "multi-session"}}}};

json evaluation_of(const json& changes, const Sessions& sessions,
                   const std::function<bool()>& should_stop = {}) {
  const host::Experiment experiment(builtin_host(), document(changes));
  const host::TrainingData data = host::split_recordings(experiment, sessions);
  const host::Trainer trainer(builtin_host(), experiment, data.train, data.held_out);
  return host::evaluate(trainer, data, should_stop);
}

host::Recording recording(std::int64_t samples = 120, std::uint64_t seed = 1) {
  return made_recording(samples, 4, seed);
}

host::Recording with_position(const host::Recording& from, const at::Tensor& position) {
  host::Recording made(from.neural());
  made.add_continuous("position", position);
  return made;
}

// What every summary has.
json least() {
  return {{"step", 3},
          {"seed", 1},
          {"model", {{"name", "encoder"}, {"parameters", 12}}},
          {"criterion", "loss"},
          {"solver", "loop"},
          {"time",
           {{"train_s", 0.5},
            {"steps_per_s", 6},
            {"phases_s", {{"solver", 0}, {"batches", 0}, {"optimizer", 0}, {"services", 0}}}}},
          {"peak_memory_mb", 100},
          {"recording", {{"samples", 10}, {"channels", 2}, {"train_samples", 8}}}};
}

host::Summary summary_of(const json& changes) {
  host::Summary summary;
  summary.document = merged(least(), changes);
  summary.finished = true;
  return summary;
}

}  // namespace

TEST_CASE("an evaluation has what the labels allow") {
  const host::Recording plain(recording().neural());
  const json none = evaluation_of({}, {plain});
  CHECK(none.at("decoding").is_null());
  CHECK(none.at("infonce").at("held_out").is_number());
  CHECK_FALSE(none.contains("consistency"));

  host::Recording classes(recording().neural()), others(recording(100, 2).neural());
  classes.add_discrete("direction", recording().label("direction").values);
  others.add_discrete("direction", recording(100, 2).label("direction").values);
  const json discrete = evaluation_of(several, {classes, others});
  CHECK(discrete.at("consistency").is_null());
  CHECK(discrete.at("sessions").size() == 2);
  CHECK(discrete.at("sessions")[1].at("infonce").at("held_out").is_number());
  const json both = evaluation_of(several, {recording(), recording(100, 2)});
  CHECK(both.at("consistency").at("label") == "position");
  CHECK(both.at("consistency").at("r2").size() == 2);
}

TEST_CASE("an evaluation compares by length or angle, of samples thinned out, trial by trial") {
  const json normal = evaluation_of({}, {recording()}).at("decoding");
  CHECK(normal.at("metric") == "cosine");
  CHECK(normal.at("train_samples") == 90);
  CHECK(normal.at("held_out_samples") == 30);
  CHECK(evaluation_of({{"evaluation", {{"metric", "euclidean"}}}}, {recording()})
            .at("decoding")
            .at("metric") == "euclidean");
  CHECK(evaluation_of({{"model", {{"normalize", false}}}}, {recording()})
            .at("decoding")
            .at("metric") == "euclidean");
  const json all = evaluation_of({{"evaluation", {{"neighbours", 200}}}}, {recording()});
  CHECK(all.at("decoding").at("neighbours") == 90);
  // Most trials without a sample that is looked at.
  host::Recording in_trials = recording(1200);
  in_trials.set_trials(at::arange(1200).floor_divide(6));
  const json few = evaluation_of({{"evaluation", {{"max_samples", 100}}}}, {in_trials});
  CHECK(few.at("decoding").at("train_samples") == 100);
}

TEST_CASE("an evaluation says what it could not measure, and why") {
  const json late =
      evaluation_of({{"sampling", {{"time_offset", 40}}}}, {recording()}).at("infonce");
  CHECK(late.at("held_out").is_null());
  CHECK(late.at("chance").is_null());
  CHECK_MESSAGE(contains(late.at("reason"), "/sampling/time_offset: found 40"), late.at("reason"));

  const at::Tensor far = 100 + at::arange(120, at::kFloat);
  const json apart = evaluation_of(several, {recording(), with_position(recording(120, 2), far)});
  CHECK(apart.at("consistency").at("mean_r2").is_null());
  CHECK_MESSAGE(contains(apart.at("consistency").at("reason"), "has no sample within 2 bins"),
                apart.at("consistency").at("reason"));

  const json constant = evaluation_of({}, {with_position(recording(), at::zeros({120}))});
  CHECK(constant.at("decoding").at("labels").at("position").at("embedding").at("r2") ==
        json::array({nullptr}));

  const json small = {{"data", {{"train_fraction", 0.97}}}};
  CHECK(evaluation_of(small, {recording()}).at("evaluation_skipped") ==
        "4 samples are held out; the model's receptive field needs 5");
  CHECK(
      evaluation_of({{"data", {{"train_fraction", 1}}}}, {recording()}).at("evaluation_skipped") ==
      "0 samples are held out");
}

TEST_CASE("an evaluation of labels of several columns, and of texts") {
  host::Recording labelled(recording().neural());
  const at::Tensor position = recording().label("position").values;
  labelled.add_continuous("place", at::cat({position, 1 - position}, 1));
  std::vector<std::string> sides(120, "left");
  for (std::size_t i = 0; i < sides.size(); i += 3) sides[i] = "right";
  labelled.add_text("side", sides, {"left", "right"});
  const json result = evaluation_of({}, {labelled});
  const json& labels = result.at("decoding").at("labels");
  CHECK(labels.at("side").at("classes") == json{"left", "right"});
  CHECK(labels.at("place").at("embedding").at("median_absolute_error").size() == 2);
  host::Summary summary = summary_of({});
  summary.document.update(result);
  const std::string text = summary.report();
  CHECK_MESSAGE(contains(text, "  place: median abs. error "), text);
  CHECK_MESSAGE(contains(text, "  side: balanced accuracy "), text);
}

TEST_CASE("an evaluation of parts that do not belong together is refused") {
  const host::Experiment experiment(builtin_host(), document());
  const host::Trainer trainer(builtin_host(), experiment, recording());
  const Sessions one = {recording()}, two = {recording(), recording()};
  CHECK(contains(refusal([&] {
                   host::evaluate(trainer, {one, one, two});
                 }),
                 "found 1 recordings, 1 parts to train on and 2 held out; must be as many"));
}

TEST_CASE("an evaluation ends where it is asked to") {
  // Before anything, after the loss, and before each session.
  for (int limit = 0; limit < 5; ++limit) {
    CAPTURE(limit);
    int asked = 0;
    const auto stop = [&] { return asked++ == limit; };
    const auto evaluated = [&] { evaluation_of(several, {recording(), recording(100, 2)}, stop); };
    if (limit < 4) CHECK(refusal_code(evaluated) == ErrorCode::cancelled);
    if (limit == 4) CHECK(refusal(evaluated) == "no error");
  }
}

TEST_CASE("a summary with the least in it is a page all the same") {
  const std::string head =
      "\nencoder (12 parameters), loss, loop, seed 1\n10 samples x 2 channels, 8 to train on\n";
  const std::string costs = "; 0.5 s (6.0 steps/s), peak memory 100 MB";
  host::Summary summary = summary_of({});
  CHECK(summary.report() == head + "finished 3 steps" + costs + "\n");
  summary.finished = false;
  CHECK(summary.brief() == "stopped after 3 steps");
  CHECK(summary_of({{"memory", {{"estimated_peak_mb", 80.2}}}}).report() ==
        head + "finished 3 steps" + costs + " (estimated 80)\n");
  CHECK(
      summary_of({{"memory", nullptr}, {"decoding", nullptr}, {"consistency", nullptr}}).report() ==
      head + "finished 3 steps" + costs + "\n");
  for (const char* key : {"step", "model", "criterion", "solver", "time", "peak_memory_mb"}) {
    host::Summary without = summary_of({});
    without.document.erase(key);
    CHECK(refusal([&] { without.report(); }) ==
          std::string("is no summary of a run: the key \"") + key + "\" is missing");
  }
}

TEST_CASE("a summary's line has the loss as far as it is known") {
  const auto line = [](const json& infonce) { return summary_of({{"infonce", infonce}}).brief(); };
  CHECK(line(nullptr) == "finished 3 steps");
  CHECK(line({{"held_out", 1.25}, {"chance", 2}}) ==
        "finished 3 steps, held-out loss 1.250 (chance 2.000)");
  CHECK(line({{"held_out", 1.25}, {"chance", nullptr}}) == "finished 3 steps, held-out loss 1.250");
  CHECK(line({{"held_out", nullptr}, {"chance", nullptr}}) ==
        "finished 3 steps, held-out loss - (chance -)");
}

TEST_CASE("a summary's page tells what was left out, what took the time, and what was skipped") {
  const std::string text =
      summary_of(
          {{"skipped_steps", 2},
           {"time",
            {{"phases_s", {{"solver", 6}, {"batches", 2}, {"optimizer", 1}, {"services", 1}}}}},
           {"training", {{"first", {{"total", 3}}}, {"last", {{"pos", 1}, {"total", 2}}}}},
           {"recordings",
            {{{"samples", 5}, {"channels", 1}, {"train_samples", 4}},
             {{"samples", 6}, {"channels", 2}, {"train_samples", 5}}}},
           {"consistency", {{"label", "position"}, {"mean_r2", nullptr}}},
           {"evaluation_skipped", "nothing is held out"}})
          .report();
  for (const char* part :
       {"\n5 samples x 1 channels, 4 to train on\n6 samples x 2 channels, 5 to train on\n",
        "2 steps were left out: something in them was not finite\n",
        "time: solver 60 %, batches 20 %, optimizer 10 %, services 10 %\n",
        "first step:  total 3.0000\nlast step:   pos 1.0000  total 2.0000\n",
        "\nConsistency between sessions (R2 at equal position): -\n",
        "No evaluation: nothing is held out\n"})
    CHECK_MESSAGE(contains(text, part), text);
}

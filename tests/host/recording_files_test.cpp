// Recordings from an experiment's files: labels that are texts, trials, several sessions.
#include "host/trainer_support.hpp"
#include "unit/temporary_folder.hpp"

#include <grevy/host/array.hpp>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;
using nlohmann::json;
using Rows = std::vector<std::int64_t>;

namespace {

// A folder with ten samples of two channels, two trials, and texts of one letter.
class Files {
 public:
  Files() {
    const std::vector<float> neural(20, 0.5f);
    const Rows trials = {7, 7, 7, 7, 3, 3, 3, 3, 3, 3};
    write_npy(folder_ / "neural.npy", {10, 2}, neural.data());
    write_npy(folder_ / "trials.npy", {10}, trials.data());
    write_texts("state.npy", "bbbbaabbaa");
    write_texts("other.npy", "cccccccccc");
  }
  std::vector<Recording> load(const json& data) const { return load_recordings(experiment(data)); }
  Experiment experiment(const json& data) const {
    return {builtin_host(),
            {{"model", {{"name", "offset1-model"}}}, {"data", data}},
            folder_ / "experiment.json"};
  }

 private:
  void write_texts(const std::string& name, const std::string& letters) const {
    const std::string header = "{'descr': '|S1', 'fortran_order': False, 'shape': (10,), }";
    folder_.write(name, std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
                            '\0' + header + letters);
  }
  TemporaryFolder folder_;
};

json session(const std::string& state) {
  return {{"neural", "neural.npy"}, {"labels", {{"state", state}}}, {"trials", "trials.npy"}};
}

Rows values_of(const Recording& recording, const std::string& label) {
  const at::Tensor values = recording.label(label).values;
  return {values.data_ptr<std::int64_t>(), values.data_ptr<std::int64_t>() + values.numel()};
}

}  // namespace

TEST_CASE("labels that are texts are numbered in the order of their classes") {
  const Files files;
  const Recording recording = files.load(session("state.npy")).at(0);
  CHECK(recording.label("state").classes == std::vector<std::string>{"a", "b"});
  CHECK(values_of(recording, "state") == Rows{1, 1, 1, 1, 0, 0, 1, 1, 0, 0});
  // All sessions have the same numbers.
  const auto sessions = files.load({{"sessions", {session("other.npy"), session("state.npy")}}});
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0].label("state").classes == std::vector<std::string>{"a", "b", "c"});
  CHECK(values_of(sessions[0], "state") == Rows(10, 2));
  CHECK(values_of(sessions[1], "state") == Rows{1, 1, 1, 1, 0, 0, 1, 1, 0, 0});
}

TEST_CASE("a label that some sessions have") {
  const Files files;
  json without = session("state.npy");
  without.erase("labels");
  const auto sessions = files.load({{"sessions", {session("state.npy"), without}}});
  CHECK(sessions.at(0).label("state").classes == std::vector<std::string>{"a", "b"});
  CHECK(sessions.at(1).labels().empty());
}

TEST_CASE("texts that no label can have") {
  const Files files;
  json data = session("state.npy");
  data["labels"]["state"] = {{"file", "state.npy"}, {"type", "continuous"}};
  CHECK(contains(refusal([&] { files.load(data); }),
                 "state.npy: holds texts; they cannot be continuous"));
  data["labels"] = {{"a/b~c", "absent.npy"}};
  CHECK(contains(refusal([&] { files.load(data); }), "/data/labels/a~1b~0c"));
  Recording recording(at::zeros({2, 1}));
  CHECK(refusal([&] {
          recording.add_text("state", {"a", "x"}, {"a", "b"}, "s.npy");
        }) == "label \"state\": \"x\" is not among its classes");
}

TEST_CASE("trials come from a file, are cut with the recording, and end a training part") {
  const Files files;
  json data = session("state.npy");
  data["train_fraction"] = 0.5;
  const Recording recording = files.load(data).at(0);
  CHECK(recording.trials() == Rows{0, 4});
  CHECK(recording.slice(2, 8).trials() == Rows{0, 2});
  CHECK(recording.slice(5, 8).trials() == Rows{0});
  CHECK(num_train_samples(files.experiment(data), recording) == 4);
  data["train_fraction"] = 0.9;
  CHECK(num_train_samples(files.experiment(data), recording) == 10);
}

TEST_CASE("other channels for a recording must have its samples") {
  const Recording recording(at::zeros({4, 2}));
  CHECK(recording.with_neural(at::zeros({4, 3})).num_channels() == 3);
  CHECK(contains(refusal([&] {
                   recording.with_neural(at::zeros({5, 2}));
                 }),
                 "found 5 samples; must be 4"));
}

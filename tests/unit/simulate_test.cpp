#include <grevy/error.hpp>
#include <grevy/host/array.hpp>
#include <grevy/host/simulate.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using grevy::Error;
using grevy::ErrorCode;
using grevy::host::Array;
using grevy::host::ElementType;
using grevy::host::simulate;
using grevy::host::SimulatedRecording;
using grevy::host::SimulationOptions;
using grevy::host::write_recording;
using Shape = std::vector<std::int64_t>;

template <typename Call>
void check_error(ErrorCode code, const std::string& piece, Call call) {
  try {
    call();
    FAIL_CHECK("no error, expected: " << piece);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK_MESSAGE(std::string(error.what()).find(piece) != std::string::npos, error.what());
  }
}

class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("grevy_simulate_" + name + '_' + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

bool same(const SimulatedRecording& a, const SimulatedRecording& b) {
  return a.spikes == b.spikes && a.position == b.position && a.direction == b.direction;
}

SimulationOptions fine() {
  SimulationOptions options;
  options.bin_width = 0.025;
  return options;
}

SimulationOptions long_run() {
  SimulationOptions options = fine();
  options.num_samples = 40000;
  return options;
}

// Mean spikes a second of a cell by tenth of the track, in one running direction or both (-1).
std::vector<double> rates_by_place(const SimulatedRecording& recording, double bin_width,
                                   double track_length, std::int64_t cell, std::int64_t direction) {
  std::vector<double> counts(10), seconds(10);
  for (std::int64_t t = 0; t < recording.num_samples; ++t) {
    if (direction >= 0 && recording.direction[t] != direction) continue;
    const int place = std::min(9, static_cast<int>(recording.position[t] / track_length * 10));
    counts[place] += recording.spikes[t * recording.num_neurons + cell];
    seconds[place] += bin_width;
  }
  for (int place = 0; place < 10; ++place) counts[place] /= seconds[place];
  return counts;
}

double highest(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

}  // namespace

TEST_CASE("a simulated recording has the announced sizes and ranges") {
  const SimulatedRecording recording = simulate(fine());
  CHECK(recording.num_samples == 10000);
  CHECK(recording.num_neurons == 30);
  REQUIRE(recording.spikes.size() == 300000);
  REQUIRE(recording.position.size() == 10000);
  REQUIRE(recording.direction.size() == 10000);
  const auto [low, high] =
      std::minmax_element(recording.position.begin(), recording.position.end());
  CHECK(*low >= 0);
  CHECK(*low < 0.05f);
  CHECK(*high <= 1.6f);
  CHECK(*high > 1.55f);
  CHECK(std::all_of(recording.spikes.begin(), recording.spikes.end(),
                    [](float count) { return count >= 0 && std::floor(count) == count; }));
}

TEST_CASE("position moves in the running direction, at 0.1 to 0.5 metres a second") {
  const SimulatedRecording recording = simulate(fine());
  int turns = 0;
  bool moves_right = true, keeps_speed = true;
  for (std::size_t t = 1; t < recording.position.size(); ++t) {
    const double step = recording.position[t] - recording.position[t - 1];
    keeps_speed = keeps_speed && std::abs(step) <= 0.5 * 0.025 + 1e-6;
    if (recording.direction[t] != recording.direction[t - 1]) {
      ++turns;
      continue;
    }
    moves_right = moves_right && (step > 0) == (recording.direction[t] == 1);
    keeps_speed = keeps_speed && std::abs(step) >= 0.1 * 0.025 - 1e-6;
  }
  CHECK(moves_right);
  CHECK(keeps_speed);
  // 250 s at 0.3 m/s make 47 lengths of 1.6 m.
  CHECK(turns >= 35);
  CHECK(turns <= 60);
}

TEST_CASE("speed changes smoothly within a run") {
  const SimulatedRecording recording = simulate(fine());
  double change = 0, spread = 0;
  int count = 0;
  for (std::size_t t = 2; t < recording.position.size(); ++t) {
    if (recording.direction[t] != recording.direction[t - 2]) continue;
    if (recording.direction[t] != recording.direction[t - 1]) continue;
    const double now = std::abs(recording.position[t] - recording.position[t - 1]) / 0.025;
    const double before = std::abs(recording.position[t - 1] - recording.position[t - 2]) / 0.025;
    change += std::abs(now - before);
    spread += std::abs(now - 0.3);
    ++count;
  }
  CHECK(change / count < 0.03);
  CHECK(spread / count > 0.04);
}

TEST_CASE("every cell fires most in its own part of the track, in one direction more") {
  const SimulationOptions options = long_run();
  const SimulatedRecording recording = simulate(options);
  for (std::int64_t cell = 0; cell < 30; ++cell) {
    CAPTURE(cell);
    const auto rates = [&](std::int64_t direction) {
      return rates_by_place(recording, options.bin_width, options.track_length, cell, direction);
    };
    const std::vector<double> both = rates(-1);
    const auto peak = std::max_element(both.begin(), both.end()) - both.begin();
    // Fields are spread over the track in the order of the cells.
    CHECK(std::abs(static_cast<double>(peak) + 0.5 - (static_cast<double>(cell) + 0.5) / 3) < 1.6);
    const double right = highest(rates(1)), left = highest(rates(0));
    CHECK(std::max(left, right) > 3);
    CHECK(std::max(left, right) < 15);
    CHECK(std::min(left, right) / std::max(left, right) < 0.75);
    const double opposite = both[cell < 15 ? 9 : 0];
    CHECK(opposite < 2);
  }
}

TEST_CASE("both running directions are preferred by some cells") {
  const SimulationOptions options = long_run();
  const SimulatedRecording recording = simulate(options);
  int prefer_right = 0;
  for (std::int64_t cell = 0; cell < 30; ++cell) {
    const auto right = rates_by_place(recording, 0.025, 1.6, cell, 1);
    const auto left = rates_by_place(recording, 0.025, 1.6, cell, 0);
    if (highest(right) > highest(left)) ++prefer_right;
  }
  CHECK(prefer_right >= 5);
  CHECK(prefer_right <= 25);
}

TEST_CASE("the mean count is that of place cells") {
  // A field of peak 8 and width 0.115 averages 2.3 spikes a second along the track, two thirds of
  // that over both directions, and the baseline adds 0.6.
  const SimulatedRecording recording = simulate(fine());
  const double total = std::accumulate(recording.spikes.begin(), recording.spikes.end(), 0.0);
  const double rate = total / 300000 / 0.025;
  CHECK(rate > 1.6);
  CHECK(rate < 2.8);
}

TEST_CASE("counts at one place and direction vary as a Poisson process does") {
  SimulationOptions options = long_run();
  options.num_neurons = 1;
  options.bin_width = 0.1;
  const SimulatedRecording recording = simulate(options);
  double sum[80] = {}, squares[80] = {}, bins[80] = {};
  for (std::int64_t t = 0; t < recording.num_samples; ++t) {
    const int place = std::min(39, static_cast<int>(recording.position[t] / 1.6f * 40));
    const std::int64_t group = place + 40 * recording.direction[t];
    const double count = recording.spikes[t];
    sum[group] += count;
    squares[group] += count * count;
    bins[group] += 1;
  }
  double variance = 0, mean = 0;
  for (int group = 0; group < 80; ++group) {
    variance += (squares[group] - sum[group] * sum[group] / bins[group]) / (bins[group] - 1);
    mean += sum[group] / bins[group];
  }
  CHECK(variance / mean == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("wide bins keep the mean of the counts") {
  SimulationOptions wide = long_run();
  wide.bin_width = 10;
  const SimulatedRecording recording = simulate(wide);
  const double total = std::accumulate(recording.spikes.begin(), recording.spikes.end(), 0.0);
  const double rate = total / 40000 / 30 / 10;
  CHECK(rate > 1.6);
  CHECK(rate < 2.8);
  CHECK(*std::max_element(recording.spikes.begin(), recording.spikes.end()) < 400);
}

TEST_CASE("same options, same numbers; another seed, others") {
  SimulationOptions options;
  options.num_samples = 500;
  CHECK(same(simulate(options), simulate(options)));
  SimulationOptions other = options;
  other.seed = 2;
  const SimulatedRecording first = simulate(options), second = simulate(other);
  CHECK(first.position != second.position);
  CHECK(first.spikes != second.spikes);
}

TEST_CASE("the path does not depend on the cells, nor its beginning on its length") {
  SimulationOptions few, many;
  few.num_samples = 200;
  few.num_neurons = 1;
  many.num_samples = 300;
  SimulatedRecording longer = simulate(many);
  longer.position.resize(200);
  longer.direction.resize(200);
  const SimulatedRecording shorter = simulate(few);
  CHECK(shorter.position == longer.position);
  CHECK(shorter.direction == longer.direction);
}

TEST_CASE("the smallest and oddest options are fine") {
  const SimulationOptions odd[] = {{100, 1, 1e-6, 1e4, 0},
                                   {100, 2, 10, 1e-3, std::numeric_limits<std::uint64_t>::max()}};
  for (const SimulationOptions& options : odd) {
    const SimulatedRecording recording = simulate(options);
    CHECK(recording.position.size() == 100);
    CHECK(std::all_of(recording.position.begin(), recording.position.end(), [&](float place) {
      return place >= 0 && place <= static_cast<float>(options.track_length);
    }));
  }
}

TEST_CASE("options outside their ranges are refused with name, value and range") {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto infinity = std::numeric_limits<double>::infinity();
  const auto most = std::numeric_limits<std::int64_t>::max();
  const struct {
    SimulationOptions options;
    const char* piece;
  } cases[] = {
      {{99, 30, 0.025, 1.6, 1}, "num_samples is 99, allowed are values from 100 to 4294967296"},
      {{-1, 30, 0.025, 1.6, 1}, "num_samples is -1"},
      {{most, 30, 0.025, 1.6, 1}, "num_samples is 9223372036854775807"},
      {{100, 0, 0.025, 1.6, 1}, "num_neurons is 0, allowed are values from 1 to"},
      {{100, most, 0.025, 1.6, 1}, "num_neurons is 9223372036854775807"},
      {{100, 1, 0, 1.6, 1}, "bin_width is 0, allowed are values from 1e-06 to 10"},
      {{100, 1, 11, 1.6, 1}, "bin_width is 11"},
      {{100, 1, nan, 1.6, 1}, "bin_width is nan"},
      {{100, 1, 0.025, -1.5, 1}, "track_length is -1.5, allowed are values from 0.001 to 10000"},
      {{100, 1, 0.025, infinity, 1}, "track_length is inf"},
  };
  for (const auto& [options, piece] : cases) {
    const SimulationOptions bad = options;
    check_error(ErrorCode::invalid_value, piece, [&] { simulate(bad); });
  }
}

TEST_CASE("a written recording is read back as it was") {
  const Folder folder("write");
  SimulationOptions options;
  options.num_samples = 150;
  options.num_neurons = 4;
  const SimulatedRecording recording = simulate(options);
  const auto target = folder.path() / "deep" / "down";
  write_recording(recording, target);
  write_recording(recording, target);  // into a folder that exists, over the files
  const Array spikes = Array::open(target / "spikes.npy");
  const Array position = Array::open(target / "position.npy");
  const Array direction = Array::open(target / "direction.npy");
  CHECK(spikes.shape() == Shape{150, 4});
  CHECK(position.shape() == Shape{150, 1});
  CHECK(direction.shape() == Shape{150});
  CHECK(spikes.type() == ElementType::float32);
  CHECK(position.type() == ElementType::float32);
  CHECK(direction.type() == ElementType::int64);
  CHECK(std::equal(recording.spikes.begin(), recording.spikes.end(), spikes.to_float32().get()));
  CHECK(std::equal(recording.position.begin(), recording.position.end(),
                   position.to_float32().get()));
  CHECK(direction.to_int64() == recording.direction);
}

TEST_CASE("writing refuses a folder that cannot be made and sizes that do not fit") {
  const Folder folder("refuse");
  SimulationOptions options;
  options.num_samples = 100;
  SimulatedRecording recording = simulate(options);
  const auto file = folder.path() / "file";
  std::ofstream(file) << "x";
  check_error(ErrorCode::io, "file", [&] { write_recording(recording, file); });
  check_error(ErrorCode::io, "cannot make the folder",
              [&] { write_recording(recording, file / "below"); });
  recording.num_samples = 99;
  check_error(ErrorCode::invalid_value, "num_samples 99",
              [&] { write_recording(recording, folder.path()); });
  recording.num_samples = std::numeric_limits<std::int64_t>::max();
  check_error(ErrorCode::invalid_value, "num_samples",
              [&] { write_recording(recording, folder.path()); });
  check_error(ErrorCode::invalid_value, "0 counts", [&] { write_recording({}, folder.path()); });
  recording = simulate(options);
  recording.num_neurons = 0;
  check_error(ErrorCode::invalid_value, "num_neurons 0 do not fit",
              [&] { write_recording(recording, folder.path()); });
  recording.num_neurons = 7;
  check_error(ErrorCode::invalid_value, "num_neurons 7 do not fit",
              [&] { write_recording(recording, folder.path()); });
  recording = simulate(options);
  recording.position.pop_back();
  check_error(ErrorCode::invalid_value, "99 positions and 100 directions",
              [&] { write_recording(recording, folder.path()); });
  recording = simulate(options);
  recording.direction.pop_back();
  check_error(ErrorCode::invalid_value, "100 positions and 99 directions",
              [&] { write_recording(recording, folder.path()); });
  CHECK_FALSE(std::filesystem::exists(folder.path() / "spikes.npy"));
}

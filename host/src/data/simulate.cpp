#include <grevy/error.hpp>
#include <grevy/host/array.hpp>
#include <grevy/host/random.hpp>
#include <grevy/host/simulate.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <system_error>

namespace grevy::host {
namespace {

constexpr double kMeanSpeed = 0.3;       // metres a second
constexpr double kSpeedDeviation = 0.1;  // of the stationary distribution, before clamping
constexpr double kSlowest = 0.1;
constexpr double kFastest = 0.5;
constexpr double kSpeedMemory = 1.0;  // seconds until the speed has forgotten 63 %

constexpr std::int64_t kMaxCounts = std::int64_t{1} << 32;  // samples times neurons

// Lengths are shares of the track: 0 is the left end, 1 the right one.
struct PlaceField {
  double centre, width;   // width: standard deviation
  double peak, baseline;  // spikes a second
  double leftward_gain, rightward_gain;
};

template <typename Value>
void check_range(const char* name, Value value, Value lowest, Value highest) {
  if (value >= lowest && value <= highest) return;  // false for NaN
  std::ostringstream text;
  text << "simulation: " << name << " is " << value << ", allowed are values from " << lowest
       << " to " << highest;
  throw Error(ErrorCode::invalid_value, text.str());
}

void check_options(const SimulationOptions& options) {
  check_range<std::int64_t>("num_samples", options.num_samples, 100, kMaxCounts);
  check_range<std::int64_t>("num_neurons", options.num_neurons, 1,
                            kMaxCounts / options.num_samples);
  check_range("bin_width", options.bin_width, 1e-6, 10.0);
  check_range("track_length", options.track_length, 1e-3, 1e4);
}

double between(Random& random, double low, double high) {
  return low + (high - low) * random.uniform();
}

// Ornstein-Uhlenbeck process, stepped exactly, so that any bin width gives the same statistics.
class Speed {
 public:
  Speed(double bin_width, Random& random)
      : keep_(std::exp(-bin_width / kSpeedMemory)), random_(random) {
    start_run();
  }

  void start_run() { set(kMeanSpeed + kSpeedDeviation * random_.normal()); }

  void step() {
    const double spread = kSpeedDeviation * std::sqrt(1 - keep_ * keep_);
    set(kMeanSpeed + keep_ * (value_ - kMeanSpeed) + spread * random_.normal());
  }

  double value() const { return value_; }

 private:
  void set(double value) { value_ = std::clamp(value, kSlowest, kFastest); }

  double keep_;
  double value_ = kMeanSpeed;
  Random& random_;
};

// The way there and back is a circle of two track lengths: its first half leads to the right. A
// rest at an end leaves no bins; the animal sets off again at a new speed.
void run_along_track(const SimulationOptions& options, SimulatedRecording& recording) {
  Random random(options.seed, "simulate.trajectory");
  Speed speed(options.bin_width, random);
  double phase = 2 * random.uniform();
  for (std::int64_t t = 0; t < options.num_samples; ++t) {
    const bool rightward = phase < 1;
    const double share = rightward ? phase : 2 - phase;
    recording.position[t] = static_cast<float>(share * options.track_length);
    recording.direction[t] = rightward ? 1 : 0;
    phase = std::fmod(phase + speed.value() * options.bin_width / options.track_length, 2.0);
    if ((phase < 1) == rightward) {
      speed.step();
    } else {
      speed.start_run();
    }
  }
}

PlaceField make_field(std::int64_t cell, std::int64_t num_cells, Random& random) {
  PlaceField field{};
  const double place = static_cast<double>(cell) + between(random, 0.1, 0.9);
  field.centre = place / static_cast<double>(num_cells);
  field.width = between(random, 0.08, 0.15);
  field.peak = between(random, 4, 12);
  field.baseline = between(random, 0.3, 0.9);
  const double other_gain = between(random, 0.1, 0.6);
  const bool prefers_right = random.below(2) == 1;
  field.rightward_gain = prefers_right ? 1 : other_gain;
  field.leftward_gain = prefers_right ? other_gain : 1;
  return field;
}

std::vector<PlaceField> make_fields(const SimulationOptions& options) {
  Random random(options.seed, "simulate.fields");
  std::vector<PlaceField> fields;
  fields.reserve(options.num_neurons);
  for (std::int64_t cell = 0; cell < options.num_neurons; ++cell) {
    fields.push_back(make_field(cell, options.num_neurons, random));
  }
  return fields;
}

double firing_rate(const PlaceField& field, double share, bool rightward) {
  const double distance = (share - field.centre) / field.width;
  const double gain = rightward ? field.rightward_gain : field.leftward_gain;
  return field.baseline + field.peak * gain * std::exp(-0.5 * distance * distance);
}

// Knuth's product of uniforms. The range of bin_width keeps the mean below 260, where exp(-mean)
// is still far from underflow.
int draw_poisson(double mean, Random& random) {
  const double threshold = std::exp(-mean);
  int count = 0;
  for (double product = random.uniform(); product > threshold; product *= random.uniform()) ++count;
  return count;
}

void fire(const SimulationOptions& options, SimulatedRecording& recording) {
  const std::vector<PlaceField> fields = make_fields(options);
  Random random(options.seed, "simulate.spikes");
  auto count = recording.spikes.begin();
  for (std::int64_t t = 0; t < options.num_samples; ++t) {
    const double share = recording.position[t] / options.track_length;
    const bool rightward = recording.direction[t] == 1;
    for (const PlaceField& field : fields) {
      const double mean = firing_rate(field, share, rightward) * options.bin_width;
      *count++ = static_cast<float>(draw_poisson(mean, random));
    }
  }
}

// Divides instead of multiplying: the sizes of a recording made by hand may overflow.
bool is_consistent(const SimulatedRecording& recording) {
  const std::int64_t rows = recording.num_samples;
  const std::int64_t columns = recording.num_neurons;
  if (rows < 1 || columns < 1) return false;
  const auto counts = static_cast<std::int64_t>(recording.spikes.size());
  return counts % columns == 0 && counts / columns == rows &&
         static_cast<std::int64_t>(recording.position.size()) == rows &&
         static_cast<std::int64_t>(recording.direction.size()) == rows;
}

void check_recording(const SimulatedRecording& recording) {
  if (is_consistent(recording)) return;
  std::ostringstream text;
  text << "recording: num_samples " << recording.num_samples << " and num_neurons "
       << recording.num_neurons << " do not fit " << recording.spikes.size() << " counts, "
       << recording.position.size() << " positions and " << recording.direction.size()
       << " directions; allowed are at least one sample and one neuron, num_samples x num_neurons "
          "counts and num_samples of the others";
  throw Error(ErrorCode::invalid_value, text.str());
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code reason;
  std::filesystem::create_directories(folder, reason);
  if (!reason) return;
  throw Error(ErrorCode::io,
              "recording: cannot make the folder " + folder.string() + ": " + reason.message());
}

}  // namespace

SimulatedRecording simulate(const SimulationOptions& options) {
  check_options(options);
  SimulatedRecording recording;
  recording.num_samples = options.num_samples;
  recording.num_neurons = options.num_neurons;
  recording.spikes.resize(options.num_samples * options.num_neurons);
  recording.position.resize(options.num_samples);
  recording.direction.resize(options.num_samples);
  run_along_track(options, recording);
  fire(options, recording);
  return recording;
}

void write_recording(const SimulatedRecording& recording, const std::filesystem::path& folder) {
  check_recording(recording);
  make_folder(folder);
  const std::int64_t rows = recording.num_samples;
  write_npy(folder / "spikes.npy", {rows, recording.num_neurons}, recording.spikes.data());
  write_npy(folder / "position.npy", {rows, 1}, recording.position.data());
  write_npy(folder / "direction.npy", {rows}, recording.direction.data());
}

}  // namespace grevy::host

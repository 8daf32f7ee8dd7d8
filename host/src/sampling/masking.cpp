#include "experiment/schema.hpp"
#include "experiment/schema_rule.hpp"

#include <grevy/error.hpp>
#include <grevy/host/masking.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace grevy::host {
namespace {

using nlohmann::json;

struct Window {
  float* first;
  std::int64_t length, channels;

  void clear_times(std::int64_t begin, std::int64_t count) const {
    std::fill_n(first + begin * channels, count * channels, 0.0F);
  }
  void clear_channels(std::int64_t begin, std::int64_t count) const {
    for (std::int64_t t = 0; t < length; ++t)
      std::fill_n(first + t * channels + begin, count, 0.0F);
  }
};

std::int64_t share_of(std::int64_t whole, double ratio) {
  return static_cast<std::int64_t>(static_cast<double>(whole) * ratio);
}

void drop_neurons(Random& random, const Window& window, double ratio, std::int64_t) {
  for (std::int64_t c = 0; c < window.channels; ++c) {
    if (random.uniform() < ratio) window.clear_channels(c, 1);
  }
}

void drop_times(Random& random, const Window& window, double ratio, std::int64_t) {
  for (std::int64_t t = 0; t < window.length; ++t) {
    if (random.uniform() < ratio) window.clear_times(t, 1);
  }
}

void drop_neuron_block(Random& random, const Window& window, double ratio, std::int64_t) {
  const std::int64_t count = share_of(window.channels, ratio);
  if (count > 0) window.clear_channels(random.below(window.channels - count + 1), count);
}

// Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): in one pass,
// every set of that many time steps is equally likely.
void drop_time_blocks(Random& random, const Window& window, double rate, std::int64_t length) {
  std::int64_t wanted = share_of(window.length, rate);
  for (std::int64_t t = 0; wanted > 0; ++t) {
    const std::int64_t left = window.length - t;
    if (random.below(left) >= wanted) continue;
    window.clear_times(t, std::min(length, left));
    --wanted;
  }
}

struct Kind {
  const char* name;
  void (*drop)(Random& random, const Window& window, double ratio, std::int64_t block_length);
};

constexpr std::array<Kind, 4> kinds{{
    {"RandomNeuronMask", drop_neurons},
    {"RandomTimestepMask", drop_times},
    {"NeuronBlockMask", drop_neuron_block},
    {"TimeBlockMask", drop_time_blocks},
}};

[[noreturn]] void refuse(const std::string& kind, const json& found, const char* rule) {
  throw Error(ErrorCode::invalid_value,
              "masks: /" + kind + ": found " + schema::shown(found) + "; must be " + rule);
}

std::vector<double> steps_between(const std::string& kind, const json& range) {
  const double min = range.at("min"), max = range.at("max"), step = range.at("step");
  if (!(min < max && step < max - min))
    refuse(kind, range, "min below max, and step below max - min");
  constexpr double rounding = 1e-9;  // (0.3 - 0.1) / 0.1 is a little below 2 in doubles
  const auto count = static_cast<std::size_t>((max - min) / step + rounding) + 1;
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(std::min(min + static_cast<double>(i) * step, max));
  }
  return values;
}

std::vector<double> read_ratios(const std::string& kind, const json& spec) {
  if (spec.is_number()) return {spec.get<double>()};
  if (spec.is_array()) return spec.get<std::vector<double>>();
  if (spec.contains("rate")) return {spec.at("rate").get<double>()};
  return steps_between(kind, spec);
}

// A schema lets NaN pass, which a document in memory can hold.
void check_finite(const std::string& kind, const json& spec) {
  for (const json& number : spec.flatten())
    if (!std::isfinite(number.get<double>())) refuse(kind, spec, "finite");
}

std::size_t draw(Random& random, std::size_t count) {
  if (count == 1) return 0;
  return static_cast<std::size_t>(random.below(static_cast<std::int64_t>(count)));
}

}  // namespace

Masks::Masks(const json& spec) {
  static const json schema = json::parse(masks_schema());
  validate(spec, schema, "masks");
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    const std::string name = kinds[kind].name;
    if (!spec.contains(name)) continue;
    const json& value = spec.at(name);
    check_finite(name, value);
    const std::int64_t block = value.is_object() ? value.value("length", std::int64_t{1}) : 1;
    masks_.push_back({kind, read_ratios(name, value), block});
  }
}

void Masks::apply(Random& random, float* rows, std::int64_t n, std::int64_t length,
                  std::int64_t channels) const {
  if (empty()) return;
  const Mask& mask = masks_[draw(random, masks_.size())];
  const double ratio = mask.ratios[draw(random, mask.ratios.size())];
  for (std::int64_t i = 0; i < n; ++i) {
    const Window window{rows + i * length * channels, length, channels};
    kinds[mask.kind].drop(random, window, ratio, mask.block_length);
  }
}

}  // namespace grevy::host

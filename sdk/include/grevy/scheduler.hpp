// grevy/scheduler.hpp: weights that change over a training, for losses and regularisers.
//
// By name, the weights of step s:
//   constant-weight   initial_weights, whatever s; none when the list is empty
//   linear-scheduler  none before step_to_switch_on_reg and after step_to_switch_off_reg; between
//                     them, both included, from start_weight to end_weight
//   linear-ramp-up    the same, but stays at end_weight afterwards
#ifndef GREVY_SCHEDULER_HPP
#define GREVY_SCHEDULER_HPP

#include <grevy/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grevy {

// JSON Schema keywords of a scheduler, for an option of type grevy::Json.
inline constexpr std::string_view scheduler_schema = R"json("anyOf":[{"type":"null"},
{"type":"object","additionalProperties":false,"required":["name","initial_weights"],"properties":{
"name":{"enum":["constant-weight"]},"initial_weights":{"type":"array","items":{"type":"number"}}}},
{"type":"object","additionalProperties":false,
"required":["name","step_to_switch_on_reg","step_to_switch_off_reg","start_weight","end_weight"],"properties":{
"name":{"enum":["linear-scheduler","linear-ramp-up"]},"n_splits":{"type":"integer","minimum":1},
"step_to_switch_on_reg":{"type":"integer","minimum":0},"step_to_switch_off_reg":{"type":"integer","minimum":1},
"start_weight":{"type":"number"},"end_weight":{"type":"number"},"stay_constant_after_switch_off":{"type":"boolean"}}}])json";

// Weights by step. Immutable; safe to ask from several threads.
class Scheduler {
 public:
  using Weights = std::optional<std::vector<double>>;  // none: leave the term out

  // spec: {"name": ..., arguments by the names above}; null schedules nothing. n_splits, how many
  // weights there are, is `count` where it is left out. Errors: invalid_value (unknown name or
  // argument, one that is missing or of another type, n_splits below 1, switched off before it is
  // switched on).
  Scheduler(const nlohmann::json& spec, std::int64_t count) {
    if (spec.is_null()) return;
    try {
      read(spec, count);
    } catch (const nlohmann::json::exception& e) {
      throw Error(ErrorCode::invalid_value,
                  "scheduler " + spec.dump().substr(0, 200) + ": " + e.what());
    }
  }

  // Of a step, counted from 0: num_weights() numbers, or none. Linear in the step between
  // start_weight and end_weight; see the table above.
  Weights get_weights(std::int64_t step) const {
    if (!linear_) return constant_.empty() ? Weights() : Weights(constant_);
    const Linear& l = *linear_;
    if (step < l.on || (step > l.off && !l.stays)) return {};
    const double way =
        std::min(1.0, static_cast<double>(step - l.on) / static_cast<double>(l.off - l.on));
    return std::vector<double>(l.count, l.start + (l.end - l.start) * way);
  }

  // How many weights get_weights() gives, at the steps at which it gives any; 0: never any.
  std::size_t num_weights() const { return linear_ ? linear_->count : constant_.size(); }
  bool empty() const { return num_weights() == 0; }  // never any weights

 private:
  struct Linear {
    std::size_t count = 0;
    std::int64_t on = 0, off = 0;
    double start = 0, end = 0;
    bool stays = false;
  };

  static void allow(const nlohmann::json& spec, std::initializer_list<std::string_view> known) {
    std::string list;
    for (const std::string_view key : known) list += (list.empty() ? "" : ", ") + std::string(key);
    for (const auto& [key, value] : spec.items())
      if (key != "name" && std::find(known.begin(), known.end(), key) == known.end())
        throw Error(ErrorCode::invalid_value, "scheduler " + spec.at("name").dump() +
                                                  ": unknown argument \"" + key +
                                                  "\"; known: " + list);
  }

  void read(const nlohmann::json& spec, std::int64_t count) {
    const std::string name = spec.at("name");
    if (name == "constant-weight") {
      allow(spec, {"initial_weights"});
      constant_ = spec.at("initial_weights").get<std::vector<double>>();
      return;
    }
    if (name != "linear-scheduler" && name != "linear-ramp-up")
      throw Error(ErrorCode::invalid_value,
                  "there is no scheduler \"" + name +
                      "\"; known: constant-weight, linear-scheduler, linear-ramp-up");
    allow(spec, {"n_splits", "step_to_switch_on_reg", "step_to_switch_off_reg", "start_weight",
                 "end_weight", "stay_constant_after_switch_off"});
    const std::int64_t splits = spec.value("n_splits", count);
    if (splits < 1)
      throw Error(ErrorCode::invalid_value, "scheduler \"" + name + "\": n_splits is " +
                                                std::to_string(splits) + "; must be at least 1");
    Linear l;
    l.count = static_cast<std::size_t>(splits);
    l.on = spec.at("step_to_switch_on_reg");
    l.off = spec.at("step_to_switch_off_reg");
    l.start = spec.at("start_weight");
    l.end = spec.at("end_weight");
    l.stays = name == "linear-ramp-up" || spec.value("stay_constant_after_switch_off", false);
    if (l.off <= l.on)
      throw Error(ErrorCode::invalid_value,
                  "scheduler \"" + name + "\": step_to_switch_off_reg is " + std::to_string(l.off) +
                      "; must be above step_to_switch_on_reg, " + std::to_string(l.on));
    linear_ = l;
  }

  std::vector<double> constant_;
  std::optional<Linear> linear_;
};

}  // namespace grevy

#endif

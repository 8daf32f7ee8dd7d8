// grevy/host/multi_objective_config.hpp: builds the "objectives" of an experiment in steps, for
// applications that make experiments themselves (Schneider et al. 2025, arXiv:2502.12977).
//
//   MultiObjectiveConfig config;
//   config.set_slice(0, 8);
//   config.set_loss("FixedEuclideanInfoNCE", {{"temperature", 1.0}});
//   config.set_distribution("time", {{"time_offset", 10}});
//   config.push();
//   config.set_slice(0, 4);
//   config.set_loss("FixedEuclideanInfoNCE");
//   config.set_distribution("time_delta", {{"label_name", "position"}, {"time_delta", 1}});
//   config.push();
//   document["objectives"] = config.finalize();
//
// An object belongs to one thread at a time.
#ifndef GREVY_HOST_MULTI_OBJECTIVE_CONFIG_HPP
#define GREVY_HOST_MULTI_OBJECTIVE_CONFIG_HPP

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace grevy::host {

// A list of objectives in the making: set_slice, set_loss and set_distribution or set_label, then
// push(), for each of them.
class MultiObjectiveConfig {
 public:
  // Hears of settings that get lost.
  using Warn = std::function<void(const std::string& message)>;

  // `warn` hears of settings that get lost: one made twice before push(), or not pushed by the time
  // of finalize(). Without it they are not mentioned.
  explicit MultiObjectiveConfig(Warn warn = {});

  // These describe the current objective, in any order. Values are judged by finalize(), but for
  // options that are not an object (invalid_type) or have a key "name" (invalid_value). Null
  // options are none.
  // Features [begin, end) of the embedding; 0 <= begin < end.
  void set_slice(std::int64_t begin, std::int64_t end);
  // A criterion and its options.
  void set_loss(const std::string& name, const nlohmann::json& options = nullptr);
  // Positives: "time" {time_offset}, "time_delta" {label_name, time_delta} or "delta_normal"
  // {label_name, delta}; samples are counted from 1, delta is above 0.
  void set_distribution(const std::string& name, const nlohmann::json& options = nullptr);
  // In place of a distribution, for supervised training: the slice is to predict this label. The
  // objectives of a list have all a distribution or all a label.
  void set_label(const std::string& name);

  // Adds the current objective to the list and begins another one. Errors: invalid_state naming
  // the part that is missing, looked for in the order slice, distribution, loss; the current
  // objective stays then.
  void push();

  // The list that was pushed. Calling it again, or pushing more and calling it again, is allowed.
  // Errors: as for an experiment with this list, the text beginning with the JSON pointer
  // ("/objectives/1/slice: ..."): invalid_type for a wrong type, else invalid_value: no objective,
  // an empty or reversed slice, a slice that occurs twice, an unknown distribution, a missing or
  // unknown option of one, distributions and labels in one list. Criterions and labels are looked
  // up when the experiment is run.
  nlohmann::json finalize() const;

 private:
  void set(const char* part, nlohmann::json value);

  Warn warn_;
  nlohmann::json pushed_ = nlohmann::json::array();
  nlohmann::json current_ = nlohmann::json::object();
};

}  // namespace grevy::host

#endif

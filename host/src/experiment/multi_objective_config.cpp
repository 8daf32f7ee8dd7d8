#include "experiment/schema_rule.hpp"
#include "experiment/short_form.hpp"

#include <grevy/error.hpp>
#include <grevy/host/multi_objective_config.hpp>

#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;

json component(const char* part, const std::string& name, const json& options) {
  const std::string place = std::string("set_") + part + ": the options of \"" + name + "\"";
  json spec = options.is_null() ? json::object() : options;
  if (!spec.is_object())
    throw Error(ErrorCode::invalid_type,
                place + " are of type " + spec.type_name() + "; must be an object");
  if (spec.contains("name"))
    throw Error(ErrorCode::invalid_value, place + " hold the key \"name\"; it must be left out");
  spec["name"] = name;
  return spec;
}

[[noreturn]] void refuse_push(const std::string& part, const std::string& calls) {
  throw Error(ErrorCode::invalid_state,
              "push: the " + part + " is missing; call " + calls + " before, for every objective");
}

}  // namespace

MultiObjectiveConfig::MultiObjectiveConfig(Warn warn) : warn_(std::move(warn)) {}

void MultiObjectiveConfig::set(const char* part, json value) {
  if (current_.contains(part) && warn_)
    warn_(std::string("the ") + part + " is set again before push; the one set before it, " +
          schema::shown(current_[part]) + ", is replaced");
  current_[part] = std::move(value);
}

void MultiObjectiveConfig::set_slice(std::int64_t begin, std::int64_t end) {
  set("slice", json::array({begin, end}));
}

void MultiObjectiveConfig::set_loss(const std::string& name, const json& options) {
  set("loss", component("loss", name, options));
}

void MultiObjectiveConfig::set_distribution(const std::string& name, const json& options) {
  set("distribution", component("distribution", name, options));
}

void MultiObjectiveConfig::set_label(const std::string& name) { set("label", name); }

void MultiObjectiveConfig::push() {
  if (!current_.contains("slice")) refuse_push("slice", "set_slice");
  if (!current_.contains("distribution") && !current_.contains("label"))
    refuse_push("distribution", "set_distribution, or set_label,");
  if (!current_.contains("loss")) refuse_push("loss", "set_loss");
  pushed_.push_back(std::exchange(current_, json::object()));
}

json MultiObjectiveConfig::finalize() const {
  if (!current_.empty() && warn_)
    warn_("finalize: the objective that was set last, " + schema::shown(current_) +
          ", was not pushed and is left out");
  check_objectives(pushed_);
  return pushed_;
}

}  // namespace grevy::host

#include "exchange/exchange_experiment.hpp"

#include "experiment/short_form.hpp"

#include <grevy/error.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace grevy::host {
namespace {

using nlohmann::json;
using Form = CebraCheckpoint::Form;

class Description {
 public:
  Description(const CebraCheckpoint& checkpoint, const StoredEncoders& encoders, std::string model)
      : checkpoint_(checkpoint),
        encoders_(encoders),
        model_(std::move(model)),
        widths_(widths_of(encoders.sessions.front())) {}

  DescribedExperiment make() {
    if (checkpoint_.form == Form::estimator)
      describe_estimator();
    else
      describe_solver();
    take_optimizer();
    // A run that was continued has more steps than the arguments say.
    json& steps = result_.document["training"]["num_steps"];
    steps = std::max<std::int64_t>(
        {1, steps_done(checkpoint_), steps.is_null() ? 1 : steps.get<std::int64_t>()});
    return std::move(result_);
  }

 private:
  void assume(const std::string& text) { result_.assumed.push_back(text); }
  void leave_out(const std::string& text) { result_.left_out.push_back(text); }

  // ---- of an estimator: its arguments are those of "cebra"
  // ---------------------------------------

  void describe_estimator() {
    const json known = cebra_schema().at("properties");
    json arguments = json::object();
    for (const auto& [key, value] : checkpoint_.args.items()) {
      if (known.contains(key))
        arguments[key] = value;
      else
        leave_out("args/" + key + ": " + value.dump());
    }
    check_model(arguments);
    adjust(arguments);
    result_.document = expand_short_forms({{"cebra", arguments}, {"device", "cpu"}});
    choose_solver();
  }

  void check_model(const json& arguments) const {
    const json name = arguments.value("model_architecture", json());
    if (!model_.empty() && name != model_)
      throw Error(ErrorCode::invalid_value, "args/model_architecture: found " + name.dump() +
                                                " in the file; the model asked for is \"" + model_ +
                                                "\"; an estimator's file needs none");
  }

  // To what "cebra" takes: it has no device of its own here and pads always.
  void adjust(json& arguments) {
    arguments.erase("device");
    if (arguments.value("pad_before_transform", json(true)) == false) {
      leave_out("args/pad_before_transform: false; grevy transform has --no-pad");
      arguments.erase("pad_before_transform");
    }
    json& optimizer = arguments["optimizer_kwargs"];
    optimizer = pairs_to_object(optimizer);
    if (!widths_) return;
    arguments.emplace("num_hidden_units", widths_->num_units);
    arguments.emplace("output_dimension", widths_->num_output);
  }

  // The estimator holds a dict as a tuple of pairs.
  static json pairs_to_object(const json& pairs) {
    if (pairs.is_null()) return json::object();
    if (!pairs.is_array()) return pairs;
    json object = json::object();
    for (const json& pair : pairs) {
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string())
        throw Error(ErrorCode::invalid_value,
                    "args/optimizer_kwargs: found " + pair.dump() + "; must be (name, value)");
      object[pair[0].get<std::string>()] = pair[1];
    }
    return object;
  }

  // Options of a solver follow from the arguments; its name is in the file.
  void choose_solver() {
    json& solver = result_.document["solver"];
    std::string name = solver.at("name").get<std::string>();
    if (encoders_.numbered) name.replace(0, std::string("single").size(), "multi");
    const json stored = checkpoint_.state.value("solver_name_", json(name));
    if (stored.is_string() && stored != name)
      solver = {{"name", stored}};
    else
      solver["name"] = name;
  }

  // ---- of a solver or a model
  // --------------------------------------------------------------------

  void describe_solver() {
    if (model_.empty())
      throw Error(ErrorCode::invalid_value,
                  "the file does not say which encoder it holds; name it with --model (grevy "
                  "plugins list shows the names)");
    json model = {{"name", model_}};
    if (widths_) {
      model["num_units"] = widths_->num_units;
      model["num_output"] = widths_->num_output;
    }
    const std::string solver = encoders_.numbered ? "multi-session" : "single-session";
    result_.document = {
        {"model", model}, {"criterion", criterion()}, {"solver", {{"name", solver}}}};
    assume("model: the other options of " + model_ + " have their defaults, normalize too");
    assume("sampling, training/batch_size: have their defaults");
    if (encoders_.wrapped)
      leave_out("the objectives and their slices: the encoder is taken over as one of " + solver);
  }

  json criterion() {
    if (!checkpoint_.criterion.tensors.empty()) return learnable_criterion();
    json criterion = {{"name", "FixedCosineInfoNCE"}};
    assume("criterion: the similarity is the cosine's");
    const json temperatures = checkpoint_.log.is_object()
                                  ? checkpoint_.log.value("temperature", json::array())
                                  : json::array();
    const bool known = temperatures.is_array() && !temperatures.empty() &&
                       temperatures.back().is_number() && temperatures.back() > 0;
    if (known)
      criterion["temperature"] = temperatures.back();
    else
      assume("criterion: the temperature is 1");
    return criterion;
  }

  json learnable_criterion() {
    const auto& tensors = checkpoint_.criterion.tensors;
    if (tensors.size() == 1 && tensors.count("log_inverse_temperature") == 1) {
      assume("criterion: the similarity is the cosine's, the temperature has no minimum");
      return {{"name", "LearnableCosineInfoNCE"}};
    }
    if (!encoders_.wrapped)
      throw Error(ErrorCode::invalid_value,
                  "the criterion has the tensor \"" + tensors.begin()->first +
                      "\", which InfoNCE has not; describe the training with --experiment");
    return {{"name", "FixedCosineInfoNCE"}};
  }

  // ---- of both
  // -----------------------------------------------------------------------------------

  // The optimiser's own settings are what training went on with.
  void take_optimizer() {
    const json& groups = checkpoint_.param_groups;
    if (groups.size() > 1) leave_out("the optimiser: settings for groups of parameters");
    if (groups.size() != 1 || !groups[0].is_object()) {
      if (checkpoint_.form != Form::estimator) assume("optimizer: has its defaults");
      return;
    }
    json& optimizer = result_.document["optimizer"];
    constexpr std::pair<const char*, const char*> keys[] = {{"lr", "learning_rate"},
                                                            {"betas", "betas"},
                                                            {"eps", "eps"},
                                                            {"weight_decay", "weight_decay"},
                                                            {"amsgrad", "amsgrad"}};
    for (const auto& [there, here] : keys)
      if (groups[0].contains(there)) optimizer[here] = groups[0][there];
  }

  const CebraCheckpoint& checkpoint_;
  const StoredEncoders& encoders_;
  std::string model_;
  std::optional<EncoderWidths> widths_;
  DescribedExperiment result_;
};

// Of the log's lists; 0 without any.
std::size_t longest_list(const json& log) {
  std::size_t longest = 0;
  for (const json& list : log)
    if (list.is_array()) longest = std::max(longest, list.size());
  return longest;
}

std::size_t history_length(const CebraCheckpoint& checkpoint) {
  return checkpoint.loss.empty() ? longest_list(checkpoint.log) : checkpoint.loss.size();
}

}  // namespace

DescribedExperiment describe_experiment(const CebraCheckpoint& checkpoint,
                                        const StoredEncoders& encoders, const std::string& model) {
  return Description(checkpoint, encoders, model).make();
}

std::int64_t steps_done(const CebraCheckpoint& checkpoint) {
  std::int64_t steps = 0;
  for (const auto& [number, moments] : checkpoint.optimizer) steps = std::max(steps, moments.step);
  const auto length = static_cast<std::int64_t>(history_length(checkpoint));
  return length > 0 ? length : steps;
}

std::string log_lines(const CebraCheckpoint& checkpoint, Notes& left_out) {
  const std::size_t length = history_length(checkpoint);
  std::vector<std::pair<std::string, const json*>> columns;
  for (const auto& [key, list] : checkpoint.log.items()) {
    if (list.is_array() && list.size() == length)
      columns.emplace_back(key, &list);
    else if (!list.is_array() || !list.empty())
      left_out.push_back("log/" + key + ": " + std::to_string(list.size()) +
                         " entries; there are " + std::to_string(length) + " steps");
  }
  std::string lines;
  for (std::size_t i = 0; i < length; ++i) {
    json line;
    for (const auto& [key, list] : columns) line[key] = (*list)[i];
    if (!checkpoint.loss.empty()) line["total"] = checkpoint.loss[i];
    line["step"] = i;
    lines += line.dump() + "\n";
  }
  return lines;
}

}  // namespace grevy::host

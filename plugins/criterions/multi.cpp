// Several losses, one per prediction: what solvers with several objectives minimise.
#include <grevy/plugin.hpp>

namespace grevy::criterions {
namespace {

using nlohmann::json;

class Multi : public Criterion {
 public:
  struct Options {
    Json losses;
    std::string_view mode = "contrastive";
    static constexpr auto fields() {
      return grevy::fields(
          field("losses", &Options::losses,
                "One entry per prediction: the slice of the embedding that it comes from, and the "
                "loss, a criterion's name and options (kwargs), in each mode.")
              .schema(
                  R"("type":"array","minItems":1,"items":{"type":"object","additionalProperties":false,"properties":{)"
                  R"("indices":{"type":"array","items":{"type":"integer","minimum":0},"minItems":2,"maxItems":2},)"
                  R"("contrastive_loss":{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"type":"string"},"kwargs":{"type":"object"}}},)"
                  R"("supervised_loss":{"type":"object","additionalProperties":false,"required":["name"],"properties":{"name":{"type":"string"},"kwargs":{"type":"object"}}}}})")
              .required(),
          field("mode", &Options::mode, "Which of an entry's losses is used.")
              .one_of("contrastive", "supervised"));
    }
  };

  Multi(const Options& options, const Context& context) {
    const std::string key = std::string(options.mode) + "_loss";
    for (const json& entry : options.losses.parse()) {
      const std::string number = std::to_string(losses_.size());
      if (!entry.contains(key))
        throw Error(ErrorCode::not_found, "losses[" + number + "] has no \"" + key +
                                              "\", which mode \"" + std::string(options.mode) +
                                              "\" needs");
      const std::string spec = spec_of(entry.at(key)).dump();
      losses_.push_back(context.create<CriterionRef>(Nested{spec}, "loss " + number));
      part_counts_.push_back(losses_.back()->info().parts.size());
      widths_.push_back(width_of(entry, number));
      adopt("criterions." + number + ".", losses_.back()->tensors());
    }
    if (losses_.empty()) throw Error(ErrorCode::invalid_value, "losses is empty; needs at least 1");
  }

  // The parts are the losses of the predictions.
  CriterionInfo info() const override {
    CriterionInfo info{{}, false, true};
    for (std::size_t i = 0; i < losses_.size(); ++i) {
      info.parts.push_back("loss_" + std::to_string(i));
      info.expects_normalized |= losses_[i]->info().expects_normalized;
    }
    return info;
  }

  Evaluation evaluate(const std::vector<Prediction>& predictions) override {
    if (predictions.size() != losses_.size())
      throw Error(ErrorCode::invalid_value, "takes " + std::to_string(losses_.size()) +
                                                " prediction(s), one per loss; found " +
                                                std::to_string(predictions.size()));
    Evaluation sum;
    for (std::size_t i = 0; i < losses_.size(); ++i) {
      check_width(i, predictions[i]);
      sum.parts.push_back(losses_[i]->evaluate({predictions[i]}, part_counts_[i]).loss);
      sum.loss = sum.loss.defined() ? sum.loss + sum.parts.back() : sum.parts.back();
    }
    return sum;
  }

  // "temperature_0", ...
  Statistics statistics() override {
    Statistics all;
    for (std::size_t i = 0; i < losses_.size(); ++i)
      for (Statistic& s : losses_[i]->statistics())
        all.push_back({s.name + "_" + std::to_string(i), s.value});
    return all;
  }

 private:
  // "torch.nn.MSELoss" is the criterion "nn.MSELoss"; the kwargs are its options.
  static json spec_of(const json& loss) {
    json spec = loss.value("kwargs", json::object());
    std::string name = loss.at("name");
    if (name.rfind("nn.", 0) == 0 || name.rfind("torch.nn.", 0) == 0)
      name = "nn" + name.substr(name.rfind('.'));
    spec["name"] = name;
    return spec;
  }

  // How many features the prediction must have; 0: any.
  static std::int64_t width_of(const json& entry, const std::string& number) {
    if (!entry.contains("indices")) return 0;
    const std::int64_t begin = entry["indices"].at(0), end = entry["indices"].at(1);
    if (begin < 0 || begin >= end)
      throw Error(ErrorCode::invalid_value, "losses[" + number + "].indices: found " +
                                                entry["indices"].dump() +
                                                "; must be [first, last + 1]");
    return end - begin;
  }

  void check_width(std::size_t i, const Prediction& prediction) const {
    if (widths_[i] == 0 || !prediction.reference.defined() || prediction.reference.dim() != 2 ||
        prediction.reference.size(1) == widths_[i])
      return;
    throw Error(ErrorCode::invalid_value, "losses[" + std::to_string(i) + "] is for " +
                                              std::to_string(widths_[i]) +
                                              " features; the prediction has " +
                                              std::to_string(prediction.reference.size(1)));
  }

  std::vector<Owned<CriterionRef>> losses_;
  std::vector<std::size_t> part_counts_;
  std::vector<std::int64_t> widths_;
};

}  // namespace
}  // namespace grevy::criterions

GREVY_REGISTER(grevy::criterions::Multi, "MultiCriterions",
               "One loss per prediction, contrastive or supervised.")

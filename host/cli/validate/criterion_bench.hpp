// A criterion to be checked, and the predictions that it can be fed with.
#ifndef GREVY_CLI_VALIDATE_CRITERION_BENCH_HPP
#define GREVY_CLI_VALIDATE_CRITERION_BENCH_HPP

#include "subject.hpp"

#include <string>
#include <vector>

namespace grevy::cli {

using Predictions = std::vector<Prediction>;

class CriterionBench {
 public:
  // What a criterion takes. The manifest does not say, so they are tried in this order: one that
  // needs no negatives predicts targets.
  enum class Form {
    values,         // targets: any numbers
    probabilities,  // predictions and targets between 0 and 1
    classes,        // targets: int64 classes
    pairs           // reference, positive, negative
  };

  // Errors: Failed, and those of the criterion where it takes nothing.
  explicit CriterionBench(const Subject& subject);

  const CriterionInfo& info() const { return info_; }
  bool is_contrastive() const { return form_ == Form::pairs; }

  Evaluation evaluate(const Predictions& predictions) const;
  double value(const Predictions& predictions) const;  // of the loss
  // The same, and gradients are left in the embeddings' grad(); `predictions` are replaced by
  // copies that have one. Errors: Failed for a loss without a graph.
  double differentiate(Predictions& predictions) const;

  // n references and positives (or targets), m negatives, 3 features, float64: one prediction, or
  // as many as there are losses. Of length 1 where the criterion expects that.
  Predictions draw(host::Random& random, std::int64_t n, std::int64_t m) const;

 private:
  CriterionBench(const Subject& subject, Form form);
  static Form find_form(const Subject& subject);
  Prediction draw_one(host::Random& random, std::int64_t n, std::int64_t m) const;

  Form form_;
  Owned<CriterionRef> criterion_;
  CriterionInfo info_;
};

// Calls `body(tensor, name)` for the tensors that a gradient may reach, by reference.
template <class Body>
void for_embeddings(Predictions& predictions, Body&& body) {
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const std::string prefix =
        predictions.size() > 1 ? "prediction " + std::to_string(i) + " " : "";
    Prediction& p = predictions[i];
    body(p.reference, prefix + "reference");
    if (!p.negative.defined()) continue;
    body(p.positive, prefix + "positive");
    body(p.negative, prefix + "negative");
  }
}

// 9 digits.
std::string text_of(double value);

}  // namespace grevy::cli

#endif

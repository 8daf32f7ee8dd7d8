// trajectory: Adam steps of a solver on stored batches.
#include "runners.hpp"
#include "session.hpp"

#include <cmath>
#include <limits>
#include <map>

namespace grevy::agreement {
namespace {

using Values = std::map<std::string, std::vector<double>>;

// What the reference's records are called here.
const std::map<std::string, std::string> other_names = {{"sum", "sum_loss_train"}};
struct Prefix {
  const char* theirs;
  const char* ours;
};
constexpr Prefix prefixes[] = {{"loss", "loss_train_"}, {"reg", "regularizer_"}};

std::string our_name(const std::string& theirs) {
  const auto found = other_names.find(theirs);
  if (found != other_names.end()) return found->second;
  for (const Prefix& prefix : prefixes) {
    const std::string rest =
        theirs.substr(std::min(theirs.size(), std::string(prefix.theirs).size()));
    if (theirs.rfind(prefix.theirs, 0) == 0 && !rest.empty() &&
        rest.find_first_not_of("0123456789") == std::string::npos)
      return prefix.ours + rest;
  }
  return theirs;
}

// Statistics by the reference's names, NaN in steps that have none.
class Record {
 public:
  explicit Record(const Case& c) : expected_(c.tensors("stats/")) {}

  void add(const Statistics& statistics) {
    for (const NamedTensor& e : expected_) values_[e.name].push_back(find(statistics, e.name));
  }
  at::Tensor values(const std::string& name) const {
    return at::tensor(values_.at(name), at::kDouble);
  }
  const NamedTensors& expected() const { return expected_; }

 private:
  static double find(const Statistics& statistics, const std::string& name) {
    const std::string ours = our_name(name);
    for (const Statistic& s : statistics)
      if (s.name == ours) return s.value;
    // The weight of a regulariser that is off; the sum over objectives of the hybrid solver.
    if (name == "weight") return weight(statistics);
    for (const Statistic& s : statistics)
      if (s.name == "total" && name != "weight" && ours == name) return s.value;
    return std::numeric_limits<double>::quiet_NaN();
  }
  static double weight(const Statistics& statistics) {
    for (const Statistic& s : statistics)
      if (s.name == "regularizer_weight_0") return s.value;
    return 0;
  }

  NamedTensors expected_;
  Values values_;
};

struct Trajectory {
  Trajectory(const Case& c, const Bench& bench, const std::vector<std::int64_t>& num_inputs,
             std::uint64_t seed)
      : session(c, bench, num_inputs, "start/", seed),
        adam(session.trained(), adam_options(c)),
        record(c) {
    session.set_training(true);
    for (std::int64_t step = 0; step < c.param<std::int64_t>("steps"); ++step)
      record.add(session.solver().step(stored_batches(c, step), *adam.table()));
  }
  Session session;
  host::Adam adam;
  Record record;
};

// The first step whose parameters depend on a random projection, or the number of steps.
std::int64_t first_random_step(const Case& c) {
  const auto steps = c.param<std::int64_t>("steps");
  const bool random = !c.param("regulariser", Json()).is_null() &&
                      c.param<std::string>("regulariser").find("n=-1") == std::string::npos;
  if (!random) return steps;
  const at::Tensor weights = c.tensor("stats/weight");
  for (std::int64_t step = 0; step < steps; ++step)
    if (weights[step].item<double>() != 0) return step + 1;
  return steps;
}

// The reference has not stored its projections: what follows from them must lie where that of other
// projections lies.
void compare_spread(const Case& c, const Bench& bench, const std::vector<std::int64_t>& num_inputs,
                    const Record& ours, Comparison& result) {
  std::vector<Record> others = {ours};
  for (std::uint64_t seed = 2; seed < 14; ++seed)
    others.push_back(Trajectory(c, bench, num_inputs, seed).record);
  for (const NamedTensor& expected : ours.expected()) {
    std::vector<at::Tensor> drawn;
    for (const Record& other : others) drawn.push_back(other.values(expected.name));
    const at::Tensor all = at::stack(drawn), reference = expected.tensor.to(at::kDouble);
    const at::Tensor middle = (all.amax(0) + all.amin(0)) / 2,
                     half = (all.amax(0) - all.amin(0)) / 2;
    for (std::int64_t step = 0; step < reference.numel(); ++step) {
      const double allowed =
          2 * half[step].item<double>() + 1e-4 * std::fabs(reference[step].item<double>());
      result.number("stats/" + expected.name + " among other projections",
                    middle[step].item<double>(), reference[step].item<double>(), {0, allowed, 0});
    }
  }
}

std::vector<std::int64_t> channels(const Case& c) {
  std::vector<std::int64_t> counts;
  for (const Batch& batch : stored_batches(c, 0)) counts.push_back(batch.reference.size(1));
  return counts;
}

}  // namespace

void run_trajectory(const Case& c, const Bench& bench, Comparison& result) {
  bench.need(host::Kind::solver, c.param<std::string>("solver", "single-session"));
  const std::vector<std::int64_t> num_inputs = channels(c);
  const Trajectory trajectory(c, bench, num_inputs, 1);
  const std::int64_t exact = first_random_step(c);
  const bool all_exact = exact == c.param<std::int64_t>("steps");
  for (const NamedTensor& expected : trajectory.record.expected()) {
    const bool random = !all_exact && expected.name.rfind("reg", 0) == 0;
    if (!random)
      result.values("stats/" + expected.name,
                    trajectory.record.values(expected.name).slice(0, 0, exact),
                    expected.tensor.slice(0, 0, exact), tolerance::training_loss);
  }
  if (all_exact) return compare_end(c, trajectory.session, trajectory.adam, result);
  compare_spread(c, bench, num_inputs, trajectory.record, result);
}

}  // namespace grevy::agreement

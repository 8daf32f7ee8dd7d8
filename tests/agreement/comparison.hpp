// How far what we compute lies from the reference, in shares of what is allowed.
#ifndef GREVY_AGREEMENT_COMPARISON_HPP
#define GREVY_AGREEMENT_COMPARISON_HPP

#include <torch/types.h>

#include <string>

namespace grevy::agreement {

// An element e of a tensor whose largest magnitude is m may be off by the largest of
// relative |e|, absolute, and of_largest m.
struct Tolerance {
  double relative = 0, absolute = 0, of_largest = 0;
};

// A small gradient among large ones is a sum of float32 terms that nearly cancel and carries their
// rounding, in the reference as here: deep encoders reach 5e-6 of the largest. of_largest is for
// it.
namespace tolerance {
constexpr Tolerance exact{};
constexpr Tolerance forward{1e-5, 2e-6, 0};
constexpr Tolerance gradient{1e-4, 0, 1e-5};
constexpr Tolerance training_loss{1e-4, 2e-6, 0};
constexpr Tolerance trained{1e-4, 0, 1e-5};  // after some steps
}  // namespace tolerance

// Collects the comparisons of one case and keeps the largest deviation. NaN agrees with NaN only.
class Comparison {
 public:
  void values(const std::string& what, const at::Tensor& found, const at::Tensor& expected,
              const Tolerance& allowed);
  void number(const std::string& what, double found, double expected, const Tolerance& allowed);
  void whole(const std::string& what, std::int64_t found, std::int64_t expected);

  bool passed() const { return count_ > 0 && worst_ <= 1; }
  std::int64_t count() const { return count_; }            // numbers compared
  double worst() const { return worst_; }                  // as a share of what is allowed
  const std::string& place() const { return place_; }      // the tensor that is worst
  const std::string& details() const { return details_; }  // its worst number and the reference's

 private:
  void keep(double deviation, const std::string& what, const std::string& details);
  std::int64_t count_ = 0;
  double worst_ = 0;
  std::string place_, details_;
};

}  // namespace grevy::agreement

#endif

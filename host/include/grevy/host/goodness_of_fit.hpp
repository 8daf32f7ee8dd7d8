// grevy/host/goodness_of_fit.hpp: an InfoNCE loss in bits above chance.
#ifndef GREVY_HOST_GOODNESS_OF_FIT_HPP
#define GREVY_HOST_GOODNESS_OF_FIT_HPP

#include <grevy/error.hpp>

#include <cmath>
#include <cstdint>
#include <string>

namespace grevy::host {

// (ln(num_negatives) - loss) / ln 2, in bits: 0 where the embedding says nothing about which
// sample is the positive one, at most log2(num_negatives) for a loss of 0. `loss` is a mean InfoNCE
// in nats. `num_negatives`, >= 1, is how many negatives each reference was compared with in that
// very loss: the batch size for one session, whatever the model was trained on; the sum over the
// sessions where the loss is one.
// Errors: invalid_value for num_negatives, non_finite for the loss.
inline double infonce_to_goodness_of_fit(double loss, std::int64_t num_negatives) {
  constexpr double bits_per_nat = 1.44269504088896340736;  // 1 / ln 2
  if (num_negatives < 1) {
    throw Error(ErrorCode::invalid_value, "goodness of fit: num_negatives is " +
                                              std::to_string(num_negatives) +
                                              ", allowed is at least 1");
  }
  if (!std::isfinite(loss)) {
    throw Error(ErrorCode::non_finite, "goodness of fit: the loss is " + std::to_string(loss) +
                                           ", allowed are finite numbers");
  }
  return (std::log(static_cast<double>(num_negatives)) - loss) * bits_per_nat;
}

}  // namespace grevy::host

#endif

// grevy/host/session_sampling.hpp: which samples of several sessions make a batch.
//
// A session is a recording of its own (other channels, other length) with labels of the same
// meaning. Two ways to train on several (Schneider, Lee & Mathis 2023,
// doi:10.1038/s41586-023-06031-6, Methods): SessionDistribution draws references in every session
// and lets a random session hold the positive, so that separate encoders learn one common space;
// UnifiedDistribution lines the sessions up by their labels, so that they are seen as one.
// Arrays over sessions are row-major (S, n): S sessions with n entries each.
// Thread: one at a time; the state lives in the Random that the caller passes.
#ifndef GREVY_HOST_SESSION_SAMPLING_HPP
#define GREVY_HOST_SESSION_SAMPLING_HPP

#include <grevy/host/sampling.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace grevy::host {

// One draw for S sessions with n references each. A slot is a place in (S, n), numbered s * n + b;
// a reference is numbered in the same way.
struct SessionDraw {
  std::vector<std::int64_t> positives;       // slot (s, b): a sample of session s
  std::vector<std::int64_t> index;           // slot -> reference whose positive it holds
  std::vector<std::int64_t> index_reversed;  // reference -> slot
};

// Reverses a permutation: result[permutation[i]] = i. Errors: invalid_value unless every number
// from 0 to below the size occurs once.
std::vector<std::int64_t> reverse_permutation(const std::vector<std::int64_t>& permutation);

// References in every session, and the session that answers drawn for each of them.
// clang-format off
// | conditional  | positive of reference r of session s                                        |
// |--------------|-----------------------------------------------------------------------------|
// | time         | r + time_offset in session s itself; index is the identity                  |
// | time_delta   | nearest label to x[r] + d[k], in the session that the query is handed to    |
// | delta_normal | nearest label to x[r] + delta * N(0,I), in that session                     |
// | discrete     | uniform in the class of r, in that session                                  |
// | time_delta, delta_normal with a discrete label | as above, inside the class of r there     |
// clang-format on
//
// The differences d of all sessions make one pool, session after session; k is uniform over it. A
// session has the differences x[k] - x[k - time_offset] of its samples k that have an earlier
// sample in their trial; there are no zero differences for the first samples.
// A query is handed to a random slot, so that every session answers exactly n of them: the S * n
// queries are permuted. With a discrete label only the queries of classes that occur in the same
// sessions change places: every session has the class that it is asked for. Where all sessions have
// all classes this is the plain permutation.
class SessionDistribution {
 public:
  // Labels are copied where they are needed. Errors: those of make_distribution, with the number of
  // the session; but a session may be too short for a difference where another one is not.
  // invalid_value: no session, continuous labels of different widths, a discrete label in some
  // sessions only.
  SessionDistribution(const SamplingOptions& options, const std::vector<SamplingLabels>& sessions);
  ~SessionDistribution();
  SessionDistribution(SessionDistribution&&) noexcept;
  SessionDistribution& operator=(SessionDistribution&&) noexcept;

  std::int64_t num_sessions() const;  // S
  // As make_distribution draws for the session alone. Errors: out_of_range for the session.
  void prior(Random& random, std::int64_t session, std::int64_t count, std::int64_t* samples) const;
  // references: (S, n), row s samples of session s. Errors: invalid_value (not S * n references),
  // out_of_range (a reference that is no sample of its session or has no positive).
  SessionDraw conditional(Random& random, const std::vector<std::int64_t>& references,
                          std::int64_t n) const;

  // The same with `counts` references of each session, laid end to end; slots likewise.
  SessionDraw conditional(Random& random, const std::vector<std::int64_t>& references,
                          const std::vector<std::int64_t>& counts) const;
  // As Distribution::has_positive for the session alone. Errors: out_of_range for the session.
  bool has_positive(std::int64_t session, std::int64_t sample) const;

  // The deterministic part of conditional() for time_delta: `differences` (one for each reference)
  // are numbers in the pool, `index` is that of a SessionDraw. Errors beyond those of
  // conditional(): invalid_state with another conditional; invalid_value (sizes, an index that is
  // no permutation or asks a session for a class that it does not have); out_of_range (a
  // difference).
  std::int64_t num_differences() const;
  // x[r] + d[k] of each reference, row-major (S * n, width).
  std::vector<double> queries(const std::vector<std::int64_t>& references, std::int64_t n,
                              const std::vector<std::int64_t>& differences) const;
  // The positives.
  std::vector<std::int64_t> answer(const std::vector<std::int64_t>& references, std::int64_t n,
                                   const std::vector<std::int64_t>& differences,
                                   const std::vector<std::int64_t>& index) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

// Sessions lined up by their labels: a reference is one sample of each session.
//
// Aligned with sample i of a session are, in each other session: the sample with the nearest
// continuous label; with a discrete label too, the nearest inside the class of i; with a discrete
// label alone, a uniformly drawn sample of the class of i. The last two go beyond the reference,
// which lines up by continuous labels only. Positives are drawn in every session on its own, as in
// SessionDistribution but with the session's own differences and an own answer.
class UnifiedDistribution {
 public:
  // Errors: those of SessionDistribution; invalid_value for `time` (without a label nothing can be
  // lined up), for a session without a difference (time_delta), for a class that is missing in a
  // session.
  UnifiedDistribution(const SamplingOptions& options, const std::vector<SamplingLabels>& sessions);
  ~UnifiedDistribution();
  UnifiedDistribution(UnifiedDistribution&&) noexcept;
  UnifiedDistribution& operator=(UnifiedDistribution&&) noexcept;

  std::int64_t num_sessions() const;  // S
  // (S, n): n samples of one session, drawn as make_distribution does, and those aligned with them.
  // Without a session given, one is drawn for the whole batch, each with equal chance. Errors:
  // out_of_range for the session, invalid_value for a negative n.
  std::vector<std::int64_t> prior(Random& random, std::int64_t n) const;
  std::vector<std::int64_t> prior(Random& random, std::int64_t session, std::int64_t n) const;
  // (S, n) to (S, n). Errors: as in SessionDistribution.
  std::vector<std::int64_t> conditional(Random& random, const std::vector<std::int64_t>& references,
                                        std::int64_t n) const;
  // One sample of each session, the given one among them. Draws random numbers with a discrete
  // label alone. Errors: out_of_range (session, sample).
  std::vector<std::int64_t> align(Random& random, std::int64_t session, std::int64_t sample) const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace grevy::host

#endif

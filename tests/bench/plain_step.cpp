#include "plain_step.hpp"

#include <grevy/jacobian.hpp>

#include <array>
#include <cmath>
#include <limits>

namespace grevy::bench {

// ---- encoder and optimiser ----

PlainEncoder::PlainEncoder(bool normalized) : normalized_(normalized) {
  const std::vector<std::array<std::int64_t, 3>> shapes = {{units, channels, 2},
                                                           {units, units, 3},
                                                           {units, units, 3},
                                                           {units, units, 3},
                                                           {outputs, units, 3}};
  for (const auto& [out, in, kernel] : shapes) {
    const double scale = 1 / std::sqrt(static_cast<double>(in * kernel));
    parameters_.push_back((at::randn({out, in, kernel}) * scale).requires_grad_(true));
    parameters_.push_back(at::zeros({out}).requires_grad_(true));
  }
}

at::Tensor PlainEncoder::convolve(std::size_t layer, const at::Tensor& x) const {
  return at::conv1d(x, parameters_[2 * layer], parameters_[2 * layer + 1]);
}

at::Tensor PlainEncoder::operator()(const at::Tensor& windows) const {
  at::Tensor x = at::gelu(convolve(0, windows));
  for (const std::size_t layer : {1, 2, 3}) x = x.slice(2, 1, -1) + at::gelu(convolve(layer, x));
  x = convolve(4, x);
  if (normalized_) x = x / x.norm(2, 1, true);
  return x.size(2) == 1 ? x.squeeze(2) : x;
}

PlainAdam::PlainAdam(std::vector<at::Tensor> parameters) : parameters_(std::move(parameters)) {
  for (const at::Tensor& p : parameters_) {
    first_.push_back(at::zeros_like(p));
    second_.push_back(at::zeros_like(p));
  }
}

void PlainAdam::zero_grad() {
  for (at::Tensor& p : parameters_) p.mutable_grad().reset();
}

void PlainAdam::step() {
  const at::NoGradGuard no_grad;
  ++steps_;
  const double correction1 = 1 - std::pow(0.9, steps_), correction2 = 1 - std::pow(0.999, steps_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& gradient = parameters_[i].grad();
    first_[i].mul_(0.9).add_(gradient, 0.1);
    second_[i].mul_(0.999).addcmul_(gradient, gradient, 0.001);
    const at::Tensor denominator = (second_[i].sqrt() / std::sqrt(correction2)).add_(1e-8);
    parameters_[i].addcdiv_(first_[i], denominator, -3e-4 / correction1);
  }
}

// ---- sampling ----

PlainSession::PlainSession(const host::Recording& recording, bool normalized)
    : neural(recording.neural()),
      position(recording.label("position").values),
      norms(position.square().sum(1, true)),
      changes(at::cat({at::zeros({time_offset, position.size(1)}),
                       position.slice(0, time_offset) - position.slice(0, 0, -time_offset)})),
      direction(recording.label("direction").values),
      order(direction.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false)),
      starts(at::cat({at::zeros({1}, at::kLong), direction.bincount().cumsum(0)})),
      encoder(normalized) {}

at::Tensor PlainSession::draw(std::int64_t bound) const {
  return at::randint(bound, {batch_size}, at::kLong);
}

at::Tensor PlainSession::draw_uniform_class() const {
  return draw_in_class(at::randint(num_classes, {batch_size}, at::kLong));
}

at::Tensor PlainSession::draw_in_class(const at::Tensor& classes) const {
  const at::Tensor begin = starts.index({classes}), end = starts.index({classes + 1});
  const at::Tensor rank = begin + at::rand({batch_size}) * (end - begin);
  return order.index({rank.to(at::kLong)});
}

at::Tensor PlainSession::later(const at::Tensor& reference) const {
  return (reference + time_offset).clamp_max(num_samples() - 1);
}

at::Tensor PlainSession::queries(const at::Tensor& reference) const {
  const at::Tensor change = at::randint(num_samples(), reference.sizes(), at::kLong);
  return position.index({reference}) + changes.index({change});
}

at::Tensor PlainSession::distances(const at::Tensor& queries) const {
  return norms + queries.square().sum(1) - 2 * at::mm(position, queries.t());
}

at::Tensor PlainSession::nearest(const at::Tensor& queries) const {
  return distances(queries).argmin(0);
}

at::Tensor PlainSession::nearest_in_class(const at::Tensor& queries,
                                          const at::Tensor& classes) const {
  const at::Tensor other = direction.unsqueeze(1) != classes;
  return distances(queries).masked_fill_(other, std::numeric_limits<float>::infinity()).argmin(0);
}

at::Tensor PlainSession::windows(const at::Tensor& samples) const {
  const at::Tensor inside = samples.clamp(offset.left, num_samples() - offset.right);
  return neural.index({inside.unsqueeze(1) + at::arange(-offset.left, offset.right)})
      .transpose(1, 2);
}

// ---- losses ----

namespace {

// positive: (n), similarity: (n, m).
at::Tensor infonce(const at::Tensor& positive, const at::Tensor& similarity) {
  const at::Tensor shift = std::get<0>(similarity.max(1)).detach();
  return at::logsumexp(similarity - shift.unsqueeze(1), {1}).mean() - (positive - shift).mean();
}

at::Tensor of_products(const at::Tensor& reference, const at::Tensor& positive,
                       const at::Tensor& negative) {
  return infonce((reference * positive).sum(1), at::mm(reference, negative.t()));
}

at::Tensor of_distances(const at::Tensor& reference, const at::Tensor& positive,
                        const at::Tensor& negative) {
  const at::Tensor norms = reference.square().sum(1);
  return infonce(
      2 * (reference * positive).sum(1) - norms - positive.square().sum(1),
      2 * at::mm(reference, negative.t()) - norms.unsqueeze(1) - negative.square().sum(1));
}

at::Tensor contrast(const PlainSession& s, const at::Tensor& reference, const at::Tensor& positive,
                    const at::Tensor& negative) {
  return of_products(s.embed(reference), s.embed(positive), s.embed(negative));
}

at::Tensor watched_windows(const PlainSession& s, const at::Tensor& samples) {
  return s.windows(samples).detach().requires_grad_(true);
}

// All features follow time, those from the fourth on position.
at::Tensor objectives(const PlainSession& s, bool with_jacobian) {
  const at::Tensor samples = s.draw_any();
  const at::Tensor windows = with_jacobian ? watched_windows(s, samples) : s.windows(samples);
  const at::Tensor reference = s.encoder(windows), negative = s.embed(s.draw_any()),
                   later = s.embed(s.later(samples)), near = s.embed(s.nearest(s.queries(samples)));
  const auto part = [](const at::Tensor& t) { return t.slice(1, behavior_features); };
  const at::Tensor loss = of_distances(reference, later, negative) +
                          of_distances(part(reference), part(near), part(negative));
  if (!with_jacobian) return loss;
  const auto penalty = [&](const at::Tensor& embedding) {
    const at::Tensor directions = at::randn(embedding.sizes()).unsqueeze(0);
    return projected_jacobian_penalty(windows, embedding, directions / directions.norm(2, 2, true));
  };
  return loss + 0.01 * penalty(reference) + 0.01 * penalty(part(reference));
}

}  // namespace

at::Tensor plain_time(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const std::int64_t bound = s.num_samples() - time_offset;
  const at::Tensor reference = s.draw(bound);
  return contrast(s, reference, s.later(reference), s.draw(bound));
}

at::Tensor plain_discrete(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const at::Tensor reference = s.draw_any();
  return contrast(s, reference, s.draw_in_class(s.direction.index({reference})), s.draw_any());
}

at::Tensor plain_time_delta(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const at::Tensor reference = s.draw_any();
  return contrast(s, reference, s.nearest(s.queries(reference)), s.draw_any());
}

at::Tensor plain_mixed(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const at::Tensor reference = s.draw_uniform_class();
  const at::Tensor positive =
      s.nearest_in_class(s.queries(reference), s.direction.index({reference}));
  return contrast(s, reference, positive, s.draw_uniform_class());
}

// The reference embeds references and negatives once for each objective.
at::Tensor plain_hybrid(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const std::int64_t bound = s.num_samples() - time_offset;
  const at::Tensor reference = s.draw(bound), negative = s.draw(bound);
  const auto behavior = [&](const at::Tensor& samples) {
    return s.embed(samples).slice(1, 0, behavior_features);
  };
  return of_products(behavior(reference), behavior(s.nearest(s.queries(reference))),
                     behavior(negative)) +
         contrast(s, reference, s.later(reference), negative);
}

at::Tensor plain_several_sessions(const PlainSessions& sessions) {
  std::vector<at::Tensor> references, positives, negatives, queries;
  for (const PlainSession& s : sessions) {
    const at::Tensor samples = s.draw_any();
    references.push_back(s.embed(samples));
    negatives.push_back(s.embed(s.draw_any()));
    queries.push_back(s.queries(samples));
  }
  const auto count = static_cast<std::int64_t>(sessions.size()) * batch_size;
  const at::Tensor permutation = at::randperm(count, at::kLong);
  const std::vector<at::Tensor> asked = at::cat(queries).index({permutation}).split(batch_size);
  for (std::size_t i = 0; i < sessions.size(); ++i)
    positives.push_back(sessions[i].embed(sessions[i].nearest(asked[i])));
  return of_products(at::cat(references), at::cat(positives).index({permutation.argsort()}),
                     at::cat(negatives));
}

at::Tensor plain_objectives(const PlainSessions& sessions) {
  return objectives(sessions.front(), false);
}

at::Tensor plain_objectives_with_jacobian(const PlainSessions& sessions) {
  return objectives(sessions.front(), true);
}

at::Tensor plain_regularized(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const at::Tensor samples = s.draw_any(), windows = watched_windows(s, samples);
  const at::Tensor reference = s.encoder(windows),
                   positive = s.embed(s.nearest(s.queries(samples)));
  return of_distances(reference, positive, s.embed(s.draw_any())) +
         0.1 * exact_jacobian_penalty(windows, reference);
}

at::Tensor plain_full_batch(const PlainSessions& sessions) {
  const PlainSession& s = sessions.front();
  const at::Tensor embedding = s.encoder(s.neural.t().unsqueeze(0))[0].t();
  const at::Tensor reference = at::arange(offset.left, s.num_samples() - offset.right + 1);
  const at::Tensor positive = s.nearest(s.queries(reference)) - offset.left;
  const at::Tensor shuffled = at::randperm(embedding.size(0), at::kLong);
  return of_products(embedding, embedding.index({positive.clamp(0, embedding.size(0) - 1)}),
                     embedding.index({shuffled}));
}

}  // namespace grevy::bench

#include "sampling/loader.hpp"

#include <cmath>
#include <limits>
#include <utility>

namespace grevy::host {
namespace {

using Sessions = SolverInfo::Sessions;

void check(const std::vector<Recording>& sessions, const SamplingSpec& spec,
           const LoaderOptions& options) {
  const SolverInfo& solver = options.solver;
  const auto refuse = [](const std::string& message) {
    throw Error(ErrorCode::invalid_value, message);
  };
  if (solver.sessions == Sessions::one && sessions.size() != 1)
    refuse("the solver works with one session; found " + std::to_string(sessions.size()));
  if (sessions.size() != options.offsets.size())
    refuse("found " + std::to_string(sessions.size()) + " sessions; there are models for " +
           std::to_string(options.offsets.size()));
  if (sessions.size() > 1 && spec.clamp)
    refuse("borders \"clamp\" works with one session; found " + std::to_string(sessions.size()));
  if (solver.supervised != !spec.targets.empty())
    refuse(solver.supervised ? "the solver is supervised and needs targets, names of labels"
                             : "targets are for supervised solvers; must be null");
  if (solver.supervised && solver.sessions == Sessions::joined)
    refuse("a supervised solver cannot join sessions: targets are of one session each");
  const auto sets =
      static_cast<std::int64_t>(solver.supervised ? spec.targets.size() : spec.positives.size());
  if (solver.num_positives != 0 && sets != solver.num_positives)
    refuse("the solver works with " + std::to_string(solver.num_positives) +
           (solver.supervised ? " set(s) of targets; found "
                              : " set(s) of positives (hybrid gives 2); found ") +
           std::to_string(sets));
  if (solver.full_batch && (spec.clamp || !spec.masks.empty()))
    refuse("full-batch training takes the series as it is: borders must be \"inside\", masks {}");
}

at::Tensor tensor_of(const Samples& samples, at::Device device) {
  return at::tensor(samples, at::kLong).to(device);
}

}  // namespace

Loader::Loader(const std::vector<Recording>& sessions, const SamplingSpec& spec,
               const LoaderOptions& options, Random random, Random mask_random)
    : options_(options),
      masks_(spec.masks),
      random_(random),
      mask_random_(mask_random),
      num_sets_(spec.positives.size()) {
  check(sessions, spec, options);
  const bool joined = options.solver.sessions == Sessions::joined;
  BatchShape shape{options.batch_size, options.num_negatives, joined, {}};
  for (std::size_t s = 0; s < sessions.size(); ++s) {
    Session session{WindowGather(sessions[s].neural(), options.offsets[s], options.device,
                                 sessions[s].trials()),
                    {},
                    {}};
    for (const std::string& name : spec.targets)
      session.targets.push_back(sessions[s].label(name).values.to(options.device));
    for (auto& buffers : session.buffers) buffers.resize(2 + spec.positives.size());
    if (options.solver.full_batch) shape.complete.push_back(session.windows.complete());
    sessions_.push_back(std::move(session));
  }
  sampler_ = make_batch_sampler(spec, sessions, shape);
  if (options.prefetch) background_ = std::make_unique<Background>();
  table_.struct_size = sizeof(table_);
  table_.context = this;
  table_.num_batches = options.num_batches;
  table_.next = [](void* context, const grevy_batch* const** batches, std::uint64_t* count,
                   const grevy_error_sink* errors) {
    return detail::guarded(errors, {"host", "loader", "next"}, [&] {
      auto& loader = *static_cast<Loader*>(context);
      loader.lent_.reset();
      loader.current_.clear();
      loader.current_ = loader.next();
      loader.lent_ = std::make_unique<detail::CBatches>(loader.current_);
      *batches = loader.lent_->data();
      *count = loader.lent_->size();
    });
  };
}

double Loader::chance() const {
  if (options_.solver.supervised) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(num_sets_) * std::log(static_cast<double>(sampler_->num_compared()));
}

std::vector<Batch> Loader::next() {
  std::optional<Prepared> ready = take_prepared();
  if (!ready) ready = prepare(random_, mask_random_);
  random_ = ready->random;
  mask_random_ = ready->mask_random;
  if (background_)
    background_->start([this, random = random_, mask_random = mask_random_] {
      prepared_ = prepare(random, mask_random);
    });
  return std::move(ready->batches);
}

// Nothing where the generators have been set to another state meanwhile.
std::optional<Loader::Prepared> Loader::take_prepared() {
  if (!background_) return std::nullopt;
  background_->wait();
  std::optional<Prepared> ready = std::exchange(prepared_, std::nullopt);
  const bool fits =
      ready && ready->before == random_.state() && ready->masks_before == mask_random_.state();
  return fits ? std::move(ready) : std::nullopt;
}

Loader::Prepared Loader::prepare(Random random, Random mask_random) {
  Prepared p{{}, random.state(), mask_random.state(), random, mask_random};
  buffers_ = 1 - buffers_;
  const StepDraw draw = sampler_->draw(p.random);
  for (std::size_t s = 0; s < sessions_.size(); ++s) {
    p.batches.push_back(gives_samples() ? samples(sessions_[s], draw.sessions[s])
                                        : batch(sessions_[s], draw.sessions[s], p.mask_random));
    p.batches.back().session = options_.first_session + static_cast<std::int64_t>(s);
  }
  if (options_.solver.sessions == Sessions::joined)
    p.batches = {join(p.batches)};
  else
    pair(draw, p.batches);
  return p;
}

// The reference masks positives, negatives and references in this order, each by itself.
Batch Loader::batch(Session& session, const SampleDraw& draw, Random& mask_random) {
  Batch batch;
  for (std::size_t i = 0; i < draw.positives.size(); ++i)
    batch.positives.push_back(windows(session, draw.positives[i], 2 + i, mask_random));
  if (!options_.solver.supervised) batch.negative = windows(session, draw.negative, 1, mask_random);
  batch.reference = windows(session, draw.reference, 0, mask_random);
  add_targets(session, draw.reference, batch);
  return batch;
}

void Loader::add_targets(const Session& session, const Samples& references, Batch& batch) const {
  if (session.targets.empty()) return;
  const at::Tensor rows = tensor_of(references, options_.device);
  for (const at::Tensor& target : session.targets)
    batch.positives.push_back(target.index_select(0, rows));
}

bool Loader::gives_samples() const {
  return options_.solver.full_batch ||
         (options_.samples && masks_.empty() && options_.device.is_cpu() &&
          options_.solver.sessions != Sessions::joined);
}

// In full-batch training references have windows of their own, and so have negatives; others share
// one where they do not.
Batch Loader::samples(const Session& session, const SampleDraw& draw) const {
  const auto numbers = [&](Samples set) {
    for (std::int64_t& sample : set) sample = session.windows.complete(sample);
    return tensor_of(set, options_.device);
  };
  Batch batch;
  batch.series = session.windows.neural();
  batch.reference = numbers(draw.reference);
  for (const Samples& set : draw.positives) batch.positives.push_back(numbers(set));
  if (!options_.solver.supervised) batch.negative = numbers(draw.negative);
  add_targets(session, draw.reference, batch);
  return batch;
}

at::Tensor Loader::windows(Session& session, const Samples& samples, std::size_t buffer,
                           Random& mask_random) {
  at::Tensor gathered = session.windows.gather(samples, session.buffers[buffers_][buffer]);
  if (masks_.empty()) return gathered;
  at::Tensor rows = gathered.transpose(1, 2).to(at::kCPU).contiguous();
  masks_.apply(mask_random, rows.data_ptr<float>(), rows.size(0), rows.size(1), rows.size(2));
  return rows.to(options_.device).transpose(1, 2);
}

// Channels side by side.
Batch Loader::join(const std::vector<Batch>& sessions) {
  const auto beside = [&](auto&& part) {
    std::vector<at::Tensor> parts;
    for (const Batch& session : sessions) parts.push_back(part(session));
    return at::cat(parts, 1);
  };
  Batch all;
  all.reference = beside([](const Batch& b) { return b.reference; });
  all.positives = {beside([](const Batch& b) { return b.positives.front(); })};
  all.negative = beside([](const Batch& b) { return b.negative; });
  return all;
}

void Loader::pair(const StepDraw& draw, std::vector<Batch>& batches) const {
  if (draw.index.empty()) return;
  const auto stacked = [&](const std::vector<Samples>& sets) {
    std::vector<at::Tensor> rows;
    for (const Samples& set : sets) rows.push_back(tensor_of(set, options_.device));
    return rows.size() == 1 ? rows.front() : at::stack(rows);
  };
  const at::Tensor index = stacked(draw.index), index_reversed = stacked(draw.index_reversed);
  for (Batch& batch : batches) {
    batch.index = index;
    batch.index_reversed = index_reversed;
  }
}

}  // namespace grevy::host

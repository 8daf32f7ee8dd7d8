#include "training/trainer_impl.hpp"

#include <cmath>

namespace grevy::host {
namespace {

using nlohmann::json;

Statistics read_statistics(const grevy_statistic* statistics, std::uint64_t count) {
  if (count > detail::max_count || (statistics == nullptr && count != 0))
    throw Error(ErrorCode::invalid_value, "the solver reported " + std::to_string(count) +
                                              " statistics; must be at most " +
                                              std::to_string(detail::max_count) + ", and there");
  Statistics found;
  for (std::uint64_t i = 0; i < count; ++i)
    found.push_back({detail::repaired(detail::view(statistics[i].name), detail::max_name),
                     statistics[i].value});
  return found;
}

}  // namespace

bool Trainer::Impl::is_due(const char* key, std::int64_t done) const {
  const json& frequency = experiment.at("/training").at(key);
  return !frequency.is_null() && done % frequency.get<std::int64_t>() == 0;
}

void Trainer::Impl::end_step(std::int64_t at, Statistics found, std::uint32_t* actions) {
  finish_step();
  for (const Statistic& s : found)
    if (!std::isfinite(s.value)) {
      is_bad_statistic = true;
      throw Error(ErrorCode::non_finite, "\"" + s.name + "\" is " + std::to_string(s.value));
    }
  if (at != step)
    throw Error(ErrorCode::invalid_state, "the solver reported step " + std::to_string(at) +
                                              "; expected " + std::to_string(step));
  pending = std::move(found);
  is_pending = true;
  validation.reset();
  validation_parts.clear();
  ++step;
  skipped.done();
  if (skips) skipped.keep(all_tensors(), *optimizer);
  ask_whether_to_stop();
  *actions = 0;
  if (stopped) *actions |= GREVY_ACTION_STOP;
  if (valid_loader && is_due("valid_frequency", step)) {
    *actions |= GREVY_ACTION_VALIDATE;
    return;
  }
  finish_step();
}

void Trainer::Impl::finish_step() {
  if (!is_pending) return;
  is_pending = false;
  tell({step - 1, experiment.num_steps(), pending, validation, validation_parts});
}

// What the application throws is its own: nothing is put around it.
template <class Call>
auto Trainer::Impl::ask_application(Call&& call) {
  try {
    return call();
  } catch (...) {
    is_of_application = true;
    throw;
  }
}

void Trainer::Impl::ask_whether_to_stop() {
  stopped = ask_application([&] { return callbacks->should_stop && callbacks->should_stop(); });
}

void Trainer::Impl::tell(const StepReport& report) {
  ask_application([&] {
    if (callbacks->on_step) callbacks->on_step(report);
    offer_checkpoint();
  });
}

void Trainer::Impl::offer_checkpoint() {
  const bool last = stopped || step == experiment.num_steps();
  if (callbacks->on_checkpoint && (last || is_due("save_frequency", step)))
    callbacks->on_checkpoint(step);
}

bool Trainer::Impl::is_to_skip(const Error& e) const {
  return skips && e.code() == ErrorCode::non_finite && !is_pending && !is_of_application &&
         (!failure || is_bad_statistic) && step < experiment.num_steps();
}

void Trainer::Impl::skip_step(const std::string& reason) {
  skipped.put_back(*optimizer);
  skipped.left_out(reason);
  if (skipped.count() == 1)
    network.host.log(LogLevel::warning, network.solver->component(),
                     reason + "; the step is left out, as are others like it");
  failure = nullptr;
  ++step;
  ask_whether_to_stop();
  const Statistics none;
  tell({step - 1, experiment.num_steps(), none, std::nullopt, none, reason});
}

template <class Body>
std::int32_t Trainer::Impl::service(const char* operation, const grevy_error_sink* errors,
                                    Body&& body) {
  return detail::guarded(errors, {"host", "training", operation}, [&] {
    const Measured measured(phases.services);
    try {
      body();
    } catch (...) {
      failure = std::current_exception();
      throw;
    }
  });
}

grevy_training Trainer::Impl::make_training(const MeasuredTables& measured) {
  grevy_training training{};
  training.struct_size = sizeof(training);
  training.context = this;
  training.loader = measured.loader();
  training.valid_loader = valid_loader ? valid_loader->table() : nullptr;
  training.optimizer = measured.optimizer();
  training.first_step = step;
  training.num_steps = experiment.num_steps();
  training.end_step = [](void* context, std::int64_t at, const grevy_statistic* statistics,
                         std::uint64_t count, std::uint32_t* actions,
                         const grevy_error_sink* errors) {
    auto& self = *static_cast<Impl*>(context);
    return self.service("end_step", errors,
                        [&] { self.end_step(at, read_statistics(statistics, count), actions); });
  };
  training.end_validation = [](void* context, std::int64_t, double loss,
                               const grevy_statistic* statistics, std::uint64_t count,
                               const grevy_error_sink* errors) {
    auto& self = *static_cast<Impl*>(context);
    return self.service("end_validation", errors, [&] {
      if (!std::isfinite(loss))
        throw Error(ErrorCode::non_finite, "the validation loss is " + std::to_string(loss));
      self.validation = loss;
      self.validation_parts = read_statistics(statistics, count);
      // A buffer may have changed since the step: the next one begins with it as it is now.
      if (self.skips) self.skipped.keep(self.all_tensors(), *self.optimizer);
      self.finish_step();
    });
  };
  return training;
}

void Trainer::Impl::rethrow(const Error& e, const std::string& where) const {
  if (e.code() != ErrorCode::non_finite || is_of_application) throw;
  throw Error(e.code(), in_step(e, where));
}

std::string Trainer::Impl::place_in_training() const {
  const std::string counted = " (counted from 0)";
  return is_pending ? "validation after step " + std::to_string(step - 1) + counted
                    : "step " + std::to_string(step) + counted;
}

std::string Trainer::Impl::in_step(const Error& e, const std::string& where) const {
  const auto* of_plugin = dynamic_cast<const PluginError*>(&e);
  const bool is_ours = of_plugin != nullptr && of_plugin->plugin() == "host";
  return where + ": " + (is_ours ? of_plugin->message() : e.what()) + " (criterion " +
         network.criterion->component() + ", model " + network.models[0]->component() +
         ", learning rate " + experiment.at("/optimizer/learning_rate").dump() + ")";
}

bool Trainer::Impl::run_solver() {
  failure = nullptr;
  is_bad_statistic = is_of_application = false;
  const MeasuredTables measured(loader->table(), optimizer->table(), phases);
  const grevy_training training = make_training(measured);
  try {
    const Measured whole(phases.total);
    network.solver->fit(training);
    if (failure) std::rethrow_exception(failure);  // the solver has passed over it
    finish_step();
    return true;
  } catch (const Error& e) {
    const bool skipping = is_to_skip(e);
    const std::string where = place_in_training();
    is_pending = false;
    if (!failure && !skipping) rethrow(e, where);
    try {
      if (failure) std::rethrow_exception(failure);
      throw;
    } catch (const Error& original) {
      if (!skipping) rethrow(original, where);
      skip_step(in_step(original, where));
    }
    return false;
  }
}

bool Trainer::Impl::fit(const FitCallbacks& given) {
  if (!loader) throw Error(ErrorCode::invalid_state, "this Trainer has no recording to train on");
  if (callbacks != nullptr)
    throw Error(ErrorCode::invalid_state, "fit() was called again before it had returned");
  struct Leave {
    const FitCallbacks*& callbacks;
    ~Leave() { callbacks = nullptr; }
  } leave{callbacks};
  if (step > experiment.num_steps())
    throw Error(ErrorCode::invalid_state, "has done " + std::to_string(step) +
                                              " steps already; the experiment has " +
                                              std::to_string(experiment.num_steps()));
  callbacks = &given;
  stopped = false;
  if (skips) skipped.keep(all_tensors(), *optimizer);
  while (!run_solver())
    if (stopped || step == experiment.num_steps()) return !stopped;
  if (!stopped && step != experiment.num_steps())
    throw PluginError(ErrorCode::invalid_state,
                      "returned after step " + std::to_string(step) + " of " +
                          std::to_string(experiment.num_steps()),
                      network.solver->plugin(), network.solver->component(), "fit");
  return !stopped;
}

}  // namespace grevy::host

// grevy/detail/calls.hpp: the bodies of what calls.hpp declares; included by it.
#ifndef GREVY_DETAIL_CALLS_HPP
#define GREVY_DETAIL_CALLS_HPP

#include <grevy/calls.hpp>

namespace grevy {

inline ModelInfo ModelRef::info() const {
  grevy_model_info c{};
  c.struct_size = sizeof(c);
  call("describe", [&](auto* errors) { return table_->describe(self_, &c, errors); });
  return {c.num_input,
          c.num_output,
          {c.offset_left, c.offset_right},
          (c.flags & GREVY_MODEL_CONVOLUTIONAL) != 0,
          (c.flags & GREVY_MODEL_NORMALIZED) != 0,
          c.resample_factor,
          c.num_tensors};
}

inline std::vector<at::Tensor> ModelRef::forward_all(const at::Tensor& windows,
                                                     std::int64_t count) const {
  if (count < 1 || count > detail::max_count)
    refuse("forward", "was asked for " + std::to_string(count) + " tensors; allowed: 1 to " +
                          std::to_string(detail::max_count));
  std::vector<grevy_tensor*> handles(static_cast<std::size_t>(count), nullptr);
  call("forward", [&](auto* errors) {
    return table_->forward(self_, lend(windows), handles.data(), handles.size(), errors);
  });
  std::vector<at::Tensor> outputs;
  for (grevy_tensor* handle : handles) outputs.push_back(take(handle));
  for (const at::Tensor& output : outputs)
    if (!output.defined()) refuse("forward", "returned no tensor");
  return outputs;
}

inline std::vector<std::vector<at::Tensor>> ModelRef::forward_samples(
    const at::Tensor& series, const std::vector<at::Tensor>& sets, std::int64_t count) const {
  const auto* table = static_cast<const grevy_series_table*>(extension(GREVY_SERIES_EXTENSION));
  if (table == nullptr || count < 1 || count > detail::max_count)
    refuse("forward_samples", table == nullptr ? "embeds windows only"
                                               : "was asked for " + std::to_string(count) +
                                                     " tensors; allowed: 1 to " +
                                                     std::to_string(detail::max_count));
  std::vector<grevy_tensor*> samples;
  for (const at::Tensor& set : sets) samples.push_back(lend(set));
  const auto each = static_cast<std::size_t>(count);
  std::vector<grevy_tensor*> handles(sets.size() * each, nullptr);
  call("forward_samples", [&](auto* errors) {
    GREVY_NEEDS(grevy_series_table, table, forward);
    return table->forward(self_, lend(series), samples.data(), samples.size(), handles.data(), each,
                          errors);
  });
  std::vector<std::vector<at::Tensor>> outputs(sets.size());
  for (std::size_t i = 0; i < handles.size(); ++i) outputs[i / each].push_back(take(handles[i]));
  for (const auto& set : outputs)
    for (const at::Tensor& output : set)
      if (!output.defined()) refuse("forward_samples", "returned no tensor");
  return outputs;
}

inline void ModelRef::set_training(bool training) const {
  call("set_training", [&](auto* errors) { return table_->set_training(self_, training, errors); });
}

inline CriterionInfo CriterionRef::info() const {
  grevy_criterion_info c{};
  c.struct_size = sizeof(c);
  call("describe", [&](auto* errors) { return table_->describe(self_, &c, errors); });
  CriterionInfo info;
  info.expects_normalized = (c.flags & GREVY_CRITERION_EXPECTS_NORMALIZED) != 0;
  info.parts_are_losses = (c.flags & GREVY_CRITERION_PARTS_ARE_LOSSES) != 0;
  if (c.part_count > detail::max_count || (c.parts == nullptr && c.part_count != 0))
    refuse("describe", "gave " + std::to_string(c.part_count) + " parts" +
                           (c.parts == nullptr ? " without names" : "") + "; allowed: 0 to " +
                           std::to_string(detail::max_count) + " with names");
  for (std::uint64_t i = 0; i < c.part_count; ++i) {
    info.parts.push_back(detail::name_of(c.parts[i]));
    check_name("describe", info.parts.back());
  }
  return info;
}

inline Evaluation CriterionRef::evaluate(const std::vector<Prediction>& predictions,
                                         std::size_t part_count) const {
  std::vector<grevy_prediction> c;
  for (const Prediction& p : predictions)
    c.push_back({lend(p.reference), lend(p.positive), lend(p.negative)});
  grevy_tensor* loss = nullptr;
  std::vector<grevy_tensor*> parts(part_count, nullptr);
  call("evaluate", [&](auto* errors) {
    return table_->evaluate(self_, c.data(), c.size(), &loss, parts.data(), parts.size(), errors);
  });
  Evaluation result{take(loss), {}};
  for (grevy_tensor* part : parts) result.parts.push_back(take(part));
  if (!result.loss.defined() || result.loss.numel() != 1)
    refuse("evaluate", "the loss must be a scalar tensor");
  for (const at::Tensor& part : result.parts)
    if (!part.defined() || part.numel() != 1)
      refuse("evaluate", "every part of the loss must be a scalar tensor");
  return result;
}

inline Statistics CriterionRef::statistics() const {
  return visited_statistics("visit_statistics", [&](auto* sink, auto* errors) {
    return table_->visit_statistics(self_, sink, errors);
  });
}

inline std::vector<Batch> LoaderRef::next() const {
  const grevy_batch* const* batches = nullptr;
  std::uint64_t count = 0;
  detail::ErrorCatcher({"host", "loader", "next"}).run([&](auto* errors) {
    return loader_->next(loader_->context, &batches, &count, errors);
  });
  std::vector<Batch> result;
  for (std::uint64_t i = 0; i < count; ++i) result.push_back(detail::from_c(batches[i]));
  return result;
}

inline TrainingRef::Actions TrainingRef::end_step(std::int64_t step,
                                                  const Statistics& statistics) const {
  const auto c = detail::to_c(statistics);
  std::uint32_t actions = 0;
  detail::ErrorCatcher({"host", "training", "end_step"}).run([&](auto* errors) {
    return training_->end_step(training_->context, step, c.data(), c.size(), &actions, errors);
  });
  return {(actions & GREVY_ACTION_VALIDATE) != 0, (actions & GREVY_ACTION_STOP) != 0};
}

inline void TrainingRef::end_validation(std::int64_t step, const Validation& validation) const {
  const auto parts = detail::to_c(validation.parts);
  detail::ErrorCatcher({"host", "training", "end_validation"}).run([&](auto* errors) {
    return training_->end_validation(training_->context, step, validation.loss, parts.data(),
                                     parts.size(), errors);
  });
}

inline SolverInfo SolverRef::info() const {
  grevy_solver_info c{};
  c.struct_size = sizeof(c);
  call("describe", [&](auto* errors) { return table_->describe(self_, &c, errors); });
  SolverInfo info;
  if (c.flags & GREVY_SOLVER_SEVERAL_SESSIONS) info.sessions = SolverInfo::Sessions::several;
  if (c.flags & GREVY_SOLVER_JOINED_SESSIONS) info.sessions = SolverInfo::Sessions::joined;
  info.reference_models = (c.flags & GREVY_SOLVER_REFERENCE_MODELS) != 0;
  info.full_batch = (c.flags & GREVY_SOLVER_FULL_BATCH) != 0;
  info.supervised = (c.flags & GREVY_SOLVER_SUPERVISED) != 0;
  info.num_positives = c.num_positives;
  if (info.num_positives < 0 || info.num_positives > detail::max_count)
    refuse("describe", "wants " + std::to_string(info.num_positives) +
                           " sets of positives; allowed: 0 (any number) to " +
                           std::to_string(detail::max_count));
  return info;
}

inline void SolverRef::attach(const std::vector<ModelRef>& models,
                              const std::vector<CriterionRef>& criterions) const {
  std::vector<grevy_instance> m, k;
  std::vector<grevy_component_name> model_names, criterion_names;
  const auto add = [](const auto& ref, auto& instances, auto& names) {
    instances.push_back(ref.instance());
    names.push_back({detail::text_of(ref.component()), detail::text_of(ref.plugin())});
  };
  for (const ModelRef& model : models) add(model, m, model_names);
  for (const CriterionRef& criterion : criterions) add(criterion, k, criterion_names);
  grevy_solver_parts parts{};
  parts.struct_size = sizeof(parts);
  parts.models = m.data();
  parts.model_count = m.size();
  parts.criterions = k.data();
  parts.criterion_count = k.size();
  parts.model_names = model_names.data();
  parts.criterion_names = criterion_names.data();
  call("attach", [&](auto* errors) { return table_->attach(self_, &parts, errors); });
}

inline void SolverRef::fit(const grevy_training& training) const {
  call("fit", [&](auto* errors) { return table_->fit(self_, &training, errors); });
}

inline Statistics SolverRef::step(const std::vector<Batch>& batches,
                                  const grevy_optimizer& optimizer) const {
  const detail::CBatches c(batches);
  return visited_statistics("step", [&](auto* sink, auto* errors) {
    return table_->step(self_, c.data(), c.size(), &optimizer, sink, errors);
  });
}

inline Validation SolverRef::validate(const grevy_loader& loader) const {
  Validation result;
  result.parts = visited_statistics("validate", [&](auto* sink, auto* errors) {
    return table_->validate(self_, &loader, &result.loss, sink, errors);
  });
  return result;
}

inline at::Tensor SolverRef::transform(std::int64_t session, const at::Tensor& samples) const {
  grevy_tensor* embedding = nullptr;
  call("transform", [&](auto* errors) {
    return table_->transform(self_, session, lend(samples), &embedding, errors);
  });
  at::Tensor result = take(embedding);
  if (!result.defined() || result.dim() != 2)
    refuse("transform", "the embedding must have two axes");
  return result;
}

inline std::string SolverRef::save_state() const {
  std::string state;
  grevy_text_sink sink{};
  sink.struct_size = sizeof(sink);
  sink.context = &state;
  sink.write = [](void* context, grevy_text piece) {
    static_cast<std::string*>(context)->append(detail::view(piece));
  };
  call("save_state", [&](auto* errors) { return table_->save_state(self_, &sink, errors); });
  return state;
}

inline void SolverRef::load_state(const std::string& state) const {
  call("load_state",
       [&](auto* errors) { return table_->load_state(self_, detail::text_of(state), errors); });
}

}  // namespace grevy
#endif

// The C tables of components that are written as C++ classes.
//
// Every function catches everything and reports it with plugin, component and operation.
#ifndef GREVY_DETAIL_TRAMPOLINE_HPP
#define GREVY_DETAIL_TRAMPOLINE_HPP

#include <grevy/criterion.hpp>
#include <grevy/model.hpp>
#include <grevy/solver.hpp>
#include <grevy/stamp.hpp>

#include <type_traits>
#include <utility>
#include <vector>

// What a front has to do before a component is made.
#ifndef GREVY_ENTER
#define GREVY_ENTER(host)
#endif

namespace grevy::detail {

constexpr std::uint32_t flag(bool set, std::uint32_t bit) { return set ? bit : 0; }

// What self points to: the component, and what its C view needs to keep alive.
template <class Class>
struct Box {
  explicit Box(const grevy_create_args& args)
      : name(view(args.name)),
        object(parse_options<typename Class::Options>(view(args.options)), Context(args)) {
    if constexpr (std::is_base_of_v<Criterion, Class>) part_names = object.info().parts;
    for (const std::string& part : part_names) parts.push_back(text_of(part));
  }
  std::string name;
  Class object;
  std::vector<std::string> part_names;
  std::vector<grevy_text> parts;
};

// Slots that all kinds have. Registration names the component for errors in create().
template <class Registration>
struct CommonSlots {
  using Class = typename Registration::Class;
  using BoxType = Box<Class>;

  static BoxType& box(void* self) { return *static_cast<BoxType*>(self); }
  static Class& object(void* self) { return box(self).object; }

  template <class Body>
  static std::int32_t guard(void* self, std::string_view operation, const grevy_error_sink* errors,
                            Body&& body) noexcept {
    return guarded(errors, {plugin_id, box(self).name, operation}, std::forward<Body>(body));
  }

  static std::int32_t create(const grevy_create_args* args, void** self,
                             const grevy_error_sink* errors) {
    return guarded(errors, {plugin_id, Registration::names[0], "create"}, [&] {
      GREVY_NEEDS(grevy_create_args, args, num_input);
      GREVY_NEEDS(grevy_host, args->host, extension);
      GREVY_ENTER(args->host);
      *self = new BoxType(*args);
    });
  }
  static void destroy(void* self) { delete static_cast<BoxType*>(self); }

  static std::int32_t visit_tensors(void* self, const grevy_tensor_sink* sink,
                                    const grevy_error_sink* errors) {
    return guard(self, "visit_tensors", errors, [&] {
      GREVY_NEEDS(grevy_tensor_sink, sink, add);
      for (const NamedTensor& t : object(self).tensors())
        sink->add(sink->context, text_of(t.name),
                  t.trained ? GREVY_TENSOR_PARAMETER : GREVY_TENSOR_BUFFER, lend(t.tensor));
    });
  }

  static const void* extension(void* self, grevy_text id) noexcept {
    return object(self).extension(view(id));
  }
};

template <class Registration>
struct ModelSlots : CommonSlots<Registration> {
  using Common = CommonSlots<Registration>;

  static std::int32_t describe(void* self, grevy_model_info* out, const grevy_error_sink* errors) {
    return Common::guard(self, "describe", errors, [&] {
      GREVY_NEEDS(grevy_model_info, out, num_tensors);
      const ModelInfo info = Common::object(self).info();
      out->flags = flag(info.convolutional, GREVY_MODEL_CONVOLUTIONAL) |
                   flag(info.normalized, GREVY_MODEL_NORMALIZED);
      out->num_input = info.num_input;
      out->num_output = info.num_output;
      out->offset_left = info.offset.left;
      out->offset_right = info.offset.right;
      out->resample_factor = info.resample_factor;
      out->num_tensors = info.num_tensors;
    });
  }
  static std::int32_t forward(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                              std::uint64_t output_count, const grevy_error_sink* errors) {
    return Common::guard(self, "forward", errors, [&] {
      auto& model = Common::object(self);
      if (output_count == 1) {
        outputs[0] = give(model.forward(borrow(windows)));
        return;
      }
      std::vector<at::Tensor> made = model.forward_all(borrow(windows));
      if (output_count > made.size())
        throw Error(ErrorCode::invalid_value, "returns " + std::to_string(made.size()) +
                                                  " tensor(s); asked for " +
                                                  std::to_string(output_count));
      for (std::size_t i = 0; i < output_count; ++i) outputs[i] = give(std::move(made[i]));
    });
  }
  static std::int32_t set_training(void* self, std::uint32_t training,
                                   const grevy_error_sink* errors) {
    return Common::guard(self, "set_training", errors,
                         [&] { Common::object(self).set_training(training != 0); });
  }

  static std::int32_t forward_samples(void* self, grevy_tensor* series, grevy_tensor* const* sets,
                                      std::uint64_t set_count, grevy_tensor** outputs,
                                      std::uint64_t output_count, const grevy_error_sink* errors) {
    return Common::guard(self, "forward_samples", errors, [&] {
      std::vector<at::Tensor> samples;
      for (std::uint64_t i = 0; i < set_count; ++i) samples.push_back(borrow(sets[i]));
      auto made = Common::object(self).forward_samples(borrow(series), samples);
      if (made.size() != set_count)
        throw Error(ErrorCode::invalid_value, "returns " + std::to_string(made.size()) +
                                                  " set(s); asked for " +
                                                  std::to_string(set_count));
      for (const auto& set : made)
        if (output_count > set.size())
          throw Error(ErrorCode::invalid_value, "returns " + std::to_string(set.size()) +
                                                    " tensor(s) per set; asked for " +
                                                    std::to_string(output_count));
      for (std::uint64_t i = 0; i < set_count * output_count; ++i)
        outputs[i] = give(std::move(made[i / output_count][i % output_count]));
    });
  }
  static constexpr grevy_series_table series_table = {sizeof(grevy_series_table), 0,
                                                      forward_samples};

  static const void* extension(void* self, grevy_text id) noexcept {
    if (view(id) == GREVY_SERIES_EXTENSION)
      return Common::object(self).embeds_samples() ? &series_table : nullptr;
    return Common::extension(self, id);
  }

  static constexpr grevy_model_table table = {sizeof(grevy_model_table),
                                              0,
                                              Common::create,
                                              Common::destroy,
                                              describe,
                                              forward,
                                              set_training,
                                              Common::visit_tensors,
                                              extension};
};

template <class Registration>
struct CriterionSlots : CommonSlots<Registration> {
  using Common = CommonSlots<Registration>;

  static std::int32_t describe(void* self, grevy_criterion_info* out,
                               const grevy_error_sink* errors) {
    return Common::guard(self, "describe", errors, [&] {
      GREVY_NEEDS(grevy_criterion_info, out, part_count);
      auto& box = Common::box(self);
      const CriterionInfo info = box.object.info();
      out->flags = flag(info.expects_normalized, GREVY_CRITERION_EXPECTS_NORMALIZED) |
                   flag(info.parts_are_losses, GREVY_CRITERION_PARTS_ARE_LOSSES);
      out->parts = box.parts.data();
      out->part_count = box.parts.size();
    });
  }
  static std::int32_t evaluate(void* self, const grevy_prediction* predictions,
                               std::uint64_t prediction_count, grevy_tensor** loss,
                               grevy_tensor** parts, std::uint64_t part_count,
                               const grevy_error_sink* errors) {
    return Common::guard(self, "evaluate", errors, [&] {
      std::vector<Prediction> borrowed;
      for (std::uint64_t i = 0; i < prediction_count; ++i)
        borrowed.push_back({borrow(predictions[i].reference), borrow(predictions[i].positive),
                            borrow(predictions[i].negative)});
      Evaluation result = Common::object(self).evaluate(borrowed);
      if (parts != nullptr && part_count != result.parts.size())
        throw Error(ErrorCode::invalid_value, "has " + std::to_string(result.parts.size()) +
                                                  " parts; asked for " +
                                                  std::to_string(part_count));
      for (std::size_t i = 0; parts != nullptr && i < result.parts.size(); ++i)
        parts[i] = give(std::move(result.parts[i]));
      *loss = give(std::move(result.loss));
    });
  }
  static std::int32_t visit_statistics(void* self, const grevy_statistic_sink* sink,
                                       const grevy_error_sink* errors) {
    return Common::guard(self, "visit_statistics", errors, [&] {
      GREVY_NEEDS(grevy_statistic_sink, sink, add);
      for (const Statistic& s : Common::object(self).statistics())
        sink->add(sink->context, {text_of(s.name), s.value});
    });
  }

  static constexpr grevy_criterion_table table = {sizeof(grevy_criterion_table),
                                                  0,
                                                  Common::create,
                                                  Common::destroy,
                                                  describe,
                                                  evaluate,
                                                  Common::visit_tensors,
                                                  visit_statistics,
                                                  Common::extension};
};

template <class Ref>
std::vector<Ref> refer(const grevy_instance* instances, std::uint64_t count,
                       const grevy_component_name* names, std::string_view unnamed) {
  std::vector<Ref> refs;
  for (std::uint64_t i = 0; i < count; ++i)
    refs.emplace_back(instances[i], names == nullptr ? unnamed : view(names[i].component),
                      names == nullptr ? std::string_view() : view(names[i].plugin));
  return refs;
}

template <class Registration>
struct SolverSlots : CommonSlots<Registration> {
  using Common = CommonSlots<Registration>;

  static std::int32_t describe(void* self, grevy_solver_info* out, const grevy_error_sink* errors) {
    return Common::guard(self, "describe", errors, [&] {
      GREVY_NEEDS(grevy_solver_info, out, num_positives);
      using Sessions = SolverInfo::Sessions;
      const SolverInfo info = Common::object(self).info();
      out->flags = flag(info.sessions == Sessions::several, GREVY_SOLVER_SEVERAL_SESSIONS) |
                   flag(info.sessions == Sessions::joined, GREVY_SOLVER_JOINED_SESSIONS) |
                   flag(info.reference_models, GREVY_SOLVER_REFERENCE_MODELS) |
                   flag(info.full_batch, GREVY_SOLVER_FULL_BATCH) |
                   flag(info.supervised, GREVY_SOLVER_SUPERVISED);
      out->num_positives = info.num_positives;
    });
  }
  static std::int32_t attach(void* self, const grevy_solver_parts* parts,
                             const grevy_error_sink* errors) {
    return Common::guard(self, "attach", errors, [&] {
      GREVY_NEEDS(grevy_solver_parts, parts, criterion_names);
      auto models =
          refer<ModelRef>(parts->models, parts->model_count, parts->model_names, "the model");
      auto criterions = refer<CriterionRef>(parts->criterions, parts->criterion_count,
                                            parts->criterion_names, "the criterion");
      Common::object(self).attach(std::move(models), std::move(criterions));
    });
  }
  static std::int32_t fit(void* self, const grevy_training* training,
                          const grevy_error_sink* errors) {
    return Common::guard(self, "fit", errors, [&] {
      GREVY_NEEDS(grevy_training, training, end_validation);
      GREVY_NEEDS(grevy_loader, training->loader, next);
      GREVY_NEEDS(grevy_optimizer, training->optimizer, step);
      if (training->valid_loader != nullptr)
        GREVY_NEEDS(grevy_loader, training->valid_loader, next);
      Common::object(self).fit(TrainingRef(training));
    });
  }
  static std::int32_t step(void* self, const grevy_batch* const* batches, std::uint64_t batch_count,
                           const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                           const grevy_error_sink* errors) {
    return Common::guard(self, "step", errors, [&] {
      GREVY_NEEDS(grevy_optimizer, optimizer, step);
      GREVY_NEEDS(grevy_statistic_sink, statistics, add);
      std::vector<Batch> borrowed;
      for (std::uint64_t i = 0; i < batch_count; ++i) borrowed.push_back(from_c(batches[i]));
      for (const Statistic& s : Common::object(self).step(borrowed, OptimizerRef(optimizer)))
        statistics->add(statistics->context, {text_of(s.name), s.value});
    });
  }
  static std::int32_t validate(void* self, const grevy_loader* loader, double* loss,
                               const grevy_statistic_sink* parts, const grevy_error_sink* errors) {
    return Common::guard(self, "validate", errors, [&] {
      GREVY_NEEDS(grevy_loader, loader, next);
      if (parts != nullptr) GREVY_NEEDS(grevy_statistic_sink, parts, add);
      const Validation validation = Common::object(self).validate(LoaderRef(loader));
      for (std::size_t i = 0; parts != nullptr && i < validation.parts.size(); ++i)
        parts->add(parts->context, {text_of(validation.parts[i].name), validation.parts[i].value});
      *loss = validation.loss;
    });
  }
  static std::int32_t transform(void* self, std::int64_t session, grevy_tensor* samples,
                                grevy_tensor** embedding, const grevy_error_sink* errors) {
    return Common::guard(self, "transform", errors, [&] {
      *embedding = give(Common::object(self).transform(session, borrow(samples)));
    });
  }
  static std::int32_t save_state(void* self, const grevy_text_sink* sink,
                                 const grevy_error_sink* errors) {
    return Common::guard(self, "save_state", errors, [&] {
      GREVY_NEEDS(grevy_text_sink, sink, write);
      const std::string state = Common::object(self).save_state();
      sink->write(sink->context, text_of(state));
    });
  }
  static std::int32_t load_state(void* self, grevy_text state, const grevy_error_sink* errors) {
    return Common::guard(self, "load_state", errors,
                         [&] { Common::object(self).load_state(view(state)); });
  }

  static constexpr grevy_series_solver series_mark = {sizeof(grevy_series_solver), 0};

  static const void* extension(void* self, grevy_text id) noexcept {
    if (view(id) == GREVY_SERIES_EXTENSION)
      return Common::object(self).takes_samples() ? &series_mark : nullptr;
    return Common::extension(self, id);
  }

  static constexpr grevy_solver_table table = {sizeof(grevy_solver_table),
                                               0,
                                               Common::create,
                                               Common::destroy,
                                               describe,
                                               attach,
                                               fit,
                                               step,
                                               validate,
                                               transform,
                                               Common::visit_tensors,
                                               save_state,
                                               load_state,
                                               extension};
};

template <class Registration>
constexpr auto slots_of() {
  using Class = typename Registration::Class;
  if constexpr (std::is_base_of_v<Model, Class>)
    return std::pair(GREVY_KIND_MODEL, &ModelSlots<Registration>::table);
  else if constexpr (std::is_base_of_v<Criterion, Class>)
    return std::pair(GREVY_KIND_CRITERION, &CriterionSlots<Registration>::table);
  else {
    static_assert(std::is_base_of_v<Solver, Class>,
                  "a component derives from Model, Criterion or Solver");
    return std::pair(GREVY_KIND_SOLVER, &SolverSlots<Registration>::table);
  }
}

}  // namespace grevy::detail

#endif

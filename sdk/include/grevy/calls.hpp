// grevy/calls.hpp: components seen from outside, as C++ objects.
//
// A reference (ModelRef, CriterionRef, SolverRef) calls a component through its C table and throws
// PluginError when the component reports an error. A reference is two pointers and two names: copy
// it freely; it does not own the component. Owned<Ref> does, and destroys it. Every reference has
// component() and plugin(), the names that errors give, instance(), the pair that the C side works
// with, and is true when it refers to a component.
// Threads: whoever calls a component sees to it that one thread does at a time; info() may be asked
// at any time.
#ifndef GREVY_CALLS_HPP
#define GREVY_CALLS_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/series.h>
#include <grevy/tensor.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace grevy {

// The samples that a model looks at to embed one: `left` before it and `right` from it on.
struct Offset {
  std::int64_t left = 0;                                // >= 0
  std::int64_t right = 1;                               // >= 1: counts the sample itself
  std::int64_t length() const { return left + right; }  // L, the samples of a window
  friend bool operator==(const Offset& a, const Offset& b) {
    return a.left == b.left && a.right == b.right;
  }
};

// What a model says of itself, constant for its life.
struct ModelInfo {
  std::int64_t num_input = 0;        // channels C, >= 1
  std::int64_t num_output = 0;       // embedding width D, >= 1
  Offset offset;                     // the receptive field, L = offset.length() samples
  bool convolutional = false;        // (n, C, T) -> (n, D, T - L + 1) for any T >= L
  bool normalized = false;           // outputs have Euclidean length 1
  std::int64_t resample_factor = 1;  // input samples per output sample, >= 1
  std::int64_t num_tensors = 1;      // that forward_all() gives, >= 1; the first is the embedding
};

// What a criterion says of itself, constant for its life.
struct CriterionInfo {
  std::vector<std::string> parts;   // names, in the order of Evaluation::parts
  bool expects_normalized = false;  // meant for embeddings of length 1
  bool parts_are_losses = false;    // one per prediction, with its graph; the loss is their sum
};

// What a solver wants to be given.
struct SolverInfo {
  // How many sessions (recordings) it works with.
  enum class Sessions {
    one,      // one batch, one model
    several,  // any number, each with a batch and a model
    joined    // any number, seen as one with the channels side by side: one batch, one model
  };
  Sessions sessions = Sessions::one;  // what batches and models there are
  bool reference_models = false;      // a further model per session, for the references
  bool full_batch = false;            // batches hold the series and sample numbers
  bool supervised = false;         // batches hold targets in place of positives, and no negatives
  std::int64_t num_positives = 1;  // sets of positives (or targets) in a batch; 0: any number
};

// A parameter or a buffer of a component.
struct NamedTensor {
  std::string name;     // unique in the component; part of every checkpoint
  at::Tensor tensor;    // shares storage with the component's own
  bool trained = true;  // a parameter; false: a buffer, stored but not trained
};
// In the component's order, which is the same every time.
using NamedTensors = std::vector<NamedTensor>;

// A named number for the log: a part of a loss, a temperature.
struct Statistic {
  std::string name;  // "pos", "total", "temperature", ...
  double value = 0;  // finite: anything else ends the run
};
// In the order of the log.
using Statistics = std::vector<Statistic>;

// Embeddings that a criterion compares: floating, of one dtype, on one device.
struct Prediction {
  // (n, d), (n, d) and (m, d). Supervised: the positive is the target, float32 (n, w) or int64 (n),
  // and the negative undefined.
  at::Tensor reference, positive, negative;
};

// What a criterion makes of predictions.
struct Evaluation {
  at::Tensor loss;                // a scalar with its graph
  std::vector<at::Tensor> parts;  // scalars, one per name in CriterionInfo::parts, detached unless
                                  // CriterionInfo::parts_are_losses
};

// One session's share of a step; windows are float32 (n, C, L) on the components' device. See
// grevy_batch for the pairing of several sessions and for full-batch training. Batches may be kept
// and keep their values; do not write into their tensors.
struct Batch {
  std::int64_t session = 0;           // counted from 0
  at::Tensor reference;               // windows
  std::vector<at::Tensor> positives;  // a set per objective; supervised: targets, float32 (n, w) or
                                      // int64 (n)
  at::Tensor negative;                // undefined in supervised training
  at::Tensor index, index_reversed;   // (S * n) or (sets, S * n), or undefined
  at::Tensor series;  // full batch, or where Solver::takes_samples(): float32 (T, C); reference,
                      // positives and negative are then sample numbers, int64 (n)
};

// A validation: means over its batches.
struct Validation {
  double loss = 0;   // NaN where there was no batch
  Statistics parts;  // of the loss
};

namespace detail {

constexpr std::int64_t max_count = 4096;  // of parts, of a model's tensors, of sets of positives

// One byte more than a name may have shows that it is too long.
inline std::string name_of(grevy_text text) {
  return std::string(view(text).substr(0, max_name + 1));
}

inline grevy_tensor_sink collect_into(NamedTensors& tensors) {
  grevy_tensor_sink sink{};
  sink.struct_size = sizeof(sink);
  sink.context = &tensors;
  sink.add = [](void* context, grevy_text name, std::uint32_t role, grevy_tensor* tensor) {
    static_cast<NamedTensors*>(context)->push_back(
        {name_of(name), borrow(tensor), role == GREVY_TENSOR_PARAMETER});
  };
  return sink;
}

inline grevy_statistic_sink collect_into(Statistics& statistics) {
  grevy_statistic_sink sink{};
  sink.struct_size = sizeof(sink);
  sink.context = &statistics;
  sink.add = [](void* context, grevy_statistic statistic) {
    static_cast<Statistics*>(context)->push_back({name_of(statistic.name), statistic.value});
  };
  return sink;
}

inline std::vector<grevy_statistic> to_c(const Statistics& statistics) {
  std::vector<grevy_statistic> c;
  for (const Statistic& s : statistics) c.push_back({text_of(s.name), s.value});
  return c;
}

inline Batch from_c(const grevy_batch* batch) {
  GREVY_NEEDS(grevy_batch, batch, series);
  Batch result;
  result.session = batch->session;
  result.reference = borrow(batch->reference);
  for (std::uint64_t i = 0; i < batch->positive_count; ++i)
    result.positives.push_back(borrow(batch->positives[i]));
  result.negative = borrow(batch->negative);
  result.index = borrow(batch->index);
  result.index_reversed = borrow(batch->index_reversed);
  result.series = borrow(batch->series);
  return result;
}

// Batches in C form; lends what it was made from.
class CBatches {
 public:
  explicit CBatches(const std::vector<Batch>& batches) {
    positives_.reserve(batches.size());
    structs_.reserve(batches.size());
    for (const Batch& batch : batches) add(batch);
    for (const grevy_batch& batch : structs_) pointers_.push_back(&batch);
  }
  const grevy_batch* const* data() const { return pointers_.data(); }
  std::uint64_t size() const { return pointers_.size(); }

 private:
  void add(const Batch& batch) {
    std::vector<grevy_tensor*> positives;
    for (const at::Tensor& positive : batch.positives) positives.push_back(lend(positive));
    positives_.push_back(std::move(positives));
    grevy_batch c{};
    c.struct_size = sizeof(c);
    c.session = static_cast<std::uint32_t>(batch.session);
    c.reference = lend(batch.reference);
    c.positives = positives_.back().data();
    c.positive_count = positives_.back().size();
    c.negative = lend(batch.negative);
    c.index = lend(batch.index);
    c.index_reversed = lend(batch.index_reversed);
    c.series = lend(batch.series);
    structs_.push_back(c);
  }
  std::vector<std::vector<grevy_tensor*>> positives_;
  std::vector<grevy_batch> structs_;
  std::vector<const grevy_batch*> pointers_;
};

// What every kind of reference has: table, instance, and names for errors.
template <class Table>
class Reference {
 public:
  Reference() = default;
  Reference(grevy_instance instance, std::string_view component, std::string_view plugin)
      : table_(static_cast<const Table*>(instance.table)),
        self_(instance.self),
        component_(component),
        plugin_(plugin) {}

  explicit operator bool() const { return self_ != nullptr; }
  const std::string& component() const { return component_; }
  const std::string& plugin() const { return plugin_; }
  grevy_instance instance() const { return {table_, self_}; }
  void destroy() const { table_->destroy(self_); }
  // The component's table of further services, null where it has none; see abi.h.
  const void* extension(std::string_view id) const {
    return table_->extension == nullptr ? nullptr : table_->extension(self_, text_of(id));
  }

 protected:
  template <class Call>
  void call(std::string_view operation, Call&& call) const {
    ErrorCatcher({plugin_, component_, operation}).run(std::forward<Call>(call));
  }
  [[noreturn]] void refuse(std::string_view operation, const std::string& message) const {
    throw PluginError(ErrorCode::invalid_value, message, plugin_, component_,
                      std::string(operation));
  }
  void check_name(std::string_view operation, const std::string& name) const {
    if (!is_name(name))
      refuse(operation, "gave the name \"" + repaired(name, 64) + "\"; a name is 1 to " +
                            std::to_string(max_name) + " bytes of UTF-8");
  }
  NamedTensors named_tensors() const {
    NamedTensors tensors;
    const grevy_tensor_sink sink = collect_into(tensors);
    call("visit_tensors",
         [&](auto* errors) { return table_->visit_tensors(self_, &sink, errors); });
    for (const NamedTensor& t : tensors) {
      check_name("visit_tensors", t.name);
      if (!t.tensor.defined()) refuse("visit_tensors", "gave no tensor for \"" + t.name + "\"");
    }
    return tensors;
  }
  // What `visit` adds, with its names checked.
  template <class Visit>
  Statistics visited_statistics(std::string_view operation, Visit&& visit) const {
    Statistics statistics;
    const grevy_statistic_sink sink = collect_into(statistics);
    call(operation, [&](auto* errors) { return visit(&sink, errors); });
    for (const Statistic& s : statistics) check_name(operation, s.name);
    return statistics;
  }

  const Table* table_ = nullptr;
  void* self_ = nullptr;
  std::string component_, plugin_;
};

}  // namespace detail

// A model, called from outside. Errors of all calls: PluginError.
class ModelRef : public detail::Reference<grevy_model_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_MODEL;  // for templates over references

  ModelInfo info() const;  // as Model::info
  // windows (n, C, T) -> (n, D) for T = L, else (n, D, T - L + 1): the first of the model's
  // tensors.
  at::Tensor forward(const at::Tensor& windows) const { return forward_all(windows, 1).front(); }
  // The first `count` of the model's tensors, 1 <= count <= info().num_tensors. One that is
  // undefined is an error of the model.
  std::vector<at::Tensor> forward_all(const at::Tensor& windows, std::int64_t count) const;
  // As Model::embeds_samples.
  bool embeds_samples() const { return extension(GREVY_SERIES_EXTENSION) != nullptr; }
  // As Model::forward_samples; of each set the first `count` tensors.
  std::vector<std::vector<at::Tensor>> forward_samples(const at::Tensor& series,
                                                       const std::vector<at::Tensor>& sets,
                                                       std::int64_t count) const;
  void set_training(bool training) const;                   // as Model::set_training
  NamedTensors tensors() const { return named_tensors(); }  // parameters and buffers
};

// A criterion, called from outside. Errors of all calls: PluginError.
class CriterionRef : public detail::Reference<grevy_criterion_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_CRITERION;  // for templates over references

  CriterionInfo info() const;  // as Criterion::info
  // part_count: as many as info().parts. A loss that is no scalar is an error of the criterion.
  Evaluation evaluate(const std::vector<Prediction>& predictions, std::size_t part_count) const;
  NamedTensors tensors() const { return named_tensors(); }  // parameters and buffers
  Statistics statistics() const;                            // as Criterion::statistics
};

// The host's optimiser over every parameter, seen by a solver. Valid until step() or fit(), which
// it was given to, returns. Errors: PluginError.
class OptimizerRef {
 public:
  // The pointer is not owned.
  explicit OptimizerRef(const grevy_optimizer* optimizer) : optimizer_(optimizer) {}
  // Takes the gradients away.
  void zero_grad() const { call("zero_grad", optimizer_->zero_grad); }
  // Changes the parameters in place; those without a gradient stay.
  void step() const { call("step", optimizer_->step); }
  const grevy_optimizer* get() const { return optimizer_; }  // for the C side

 private:
  void call(std::string_view operation,
            std::int32_t (*slot)(void*, const grevy_error_sink*)) const {
    detail::ErrorCatcher({"host", "optimizer", operation}).run([&](auto* errors) {
      return slot(optimizer_->context, errors);
    });
  }
  const grevy_optimizer* optimizer_;
};

// Batches made by the host, seen by a solver. Valid until fit() or validate(), which it was given
// to, returns.
class LoaderRef {
 public:
  // The pointer is not owned; null: no loader.
  explicit LoaderRef(const grevy_loader* loader) : loader_(loader) {}
  // Whether there is one. Nothing else may be asked where there is none.
  explicit operator bool() const { return loader_ != nullptr; }
  // How many a pass has; next() may be called on for ever.
  std::int64_t num_batches() const { return loader_->num_batches; }
  // One entry per session; the tensors are the caller's to keep. Errors: PluginError.
  std::vector<Batch> next() const;

 private:
  const grevy_loader* loader_;
};

// What fit() works with. Valid until fit() returns.
class TrainingRef {
 public:
  // The pointer is not owned.
  explicit TrainingRef(const grevy_training* training) : training_(training) {}
  LoaderRef loader() const { return LoaderRef(training_->loader); }              // to train on
  LoaderRef valid_loader() const { return LoaderRef(training_->valid_loader); }  // false: none
  OptimizerRef optimizer() const {
    return OptimizerRef(training_->optimizer);
  }  // of all parameters
  // fit() runs steps first_step() .. num_steps() - 1.
  std::int64_t first_step() const { return training_->first_step; }
  std::int64_t num_steps() const { return training_->num_steps; }
  // What the host wants after a step.
  struct Actions {
    bool validate = false, stop = false;  // end_validation() is due; fit() is to return
  };
  // To be called after every step, in order: the host logs, shows progress and stores. Errors, for
  // fit() to pass on: PluginError: non_finite (a statistic), invalid_state (another step than the
  // one that is due), io.
  Actions end_step(std::int64_t step, const Statistics& statistics) const;
  // To be called after the validation that end_step() of the same step asked for. Errors:
  // PluginError: non_finite (the loss), io.
  void end_validation(std::int64_t step, const Validation& validation) const;

 private:
  const grevy_training* training_;
};

// A solver, called from outside: by a host. Errors of all calls: PluginError.
class SolverRef : public detail::Reference<grevy_solver_table> {
 public:
  using Reference::Reference;
  static constexpr std::uint32_t kind = GREVY_KIND_SOLVER;  // for templates over references

  SolverInfo info() const;  // as Solver::info
  // Once, before anything below. The components must live as long as the solver.
  void attach(const std::vector<ModelRef>& models,
              const std::vector<CriterionRef>& criterions) const;
  // The whole loop; returns early when end_step of `training` asks for it.
  void fit(const grevy_training& training) const;
  // One optimiser step on one batch per session; returns the parts of the loss, "total" and more.
  Statistics step(const std::vector<Batch>& batches, const grevy_optimizer& optimizer) const;
  // Mean loss over loader.num_batches batches; leaves the training mode as it was.
  Validation validate(const grevy_loader& loader) const;
  // samples float32 (T, C), T >= L -> (T - L + 1, D)
  at::Tensor transform(std::int64_t session, const at::Tensor& samples) const;
  NamedTensors tensors() const { return named_tensors(); }  // the solver's own
  std::string save_state() const;                           // JSON text, see Solver::save_state
  // As Solver::takes_samples.
  bool takes_samples() const { return extension(GREVY_SERIES_EXTENSION) != nullptr; }
  void load_state(const std::string& state) const;  // what save_state() gave
};

// Owns a component: destroys it with itself. Ref is ModelRef, CriterionRef or SolverRef. The host
// that made the component must live longer. Movable; what was moved from owns nothing.
template <class Ref>
class Owned {
 public:
  Owned() = default;                                 // owns nothing
  explicit Owned(Ref ref) : ref_(std::move(ref)) {}  // takes the component over
  ~Owned() { reset(); }
  // Takes the other's component over.
  Owned(Owned&& other) noexcept : ref_(std::exchange(other.ref_, Ref{})) {}
  // The same; a component owned so far is destroyed.
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      ref_ = std::exchange(other.ref_, Ref{});
    }
    return *this;
  }
  // To call it; copies of the reference are valid as long as this owner.
  const Ref& operator*() const { return ref_; }
  const Ref* operator->() const { return &ref_; }
  // Whether there is a component.
  explicit operator bool() const { return static_cast<bool>(ref_); }

 private:
  void reset() {
    if (ref_) ref_.destroy();
  }
  Ref ref_;
};

// ---- Implementation ------------------------------------------------------------------------

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

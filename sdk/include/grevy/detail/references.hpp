// grevy/detail/references.hpp: C tables and structs behind the objects of calls.hpp.
#ifndef GREVY_DETAIL_REFERENCES_HPP
#define GREVY_DETAIL_REFERENCES_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/values.hpp>

#include <string>
#include <utility>
#include <vector>

namespace grevy::detail {

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

}  // namespace grevy::detail
#endif

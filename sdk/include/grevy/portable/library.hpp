// The host's operations, as C++: what grevy/portable/tensor.hpp is made of.
#ifndef GREVY_PORTABLE_LIBRARY_HPP
#define GREVY_PORTABLE_LIBRARY_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/ops.h>

#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace grevy::portable {

// Each plugin has its own.
__attribute__((visibility("hidden"))) inline std::atomic<const grevy_ops*> table{nullptr};

// The table of the host that made the first component of this plugin, null before that.
inline const grevy_ops* operations() { return table; }

// Called before anything of a component is made. Errors: incompatible.
inline void enter(const grevy_host* host) {
  if (operations() != nullptr) return;
  const auto* found =
      static_cast<const grevy_ops*>(host->extension(host, detail::text_of(GREVY_OPS_EXTENSION)));
  if (found == nullptr || !GREVY_COVERS(found, release_generator))
    throw Error(ErrorCode::incompatible, "needs a host with " GREVY_OPS_EXTENSION);
  table = found;
}

// The component whose code runs on this thread; empty: none. What it leaves in a graph takes these
// names along, for errors of the backward pass.
struct Running {
  std::string_view plugin, component;
};
__attribute__((visibility("hidden"))) inline thread_local Running running;

// Sets it for a scope.
class RunningScope {
 public:
  RunningScope(std::string_view plugin, std::string_view component)
      : before_(std::exchange(running, {plugin, component})) {}
  ~RunningScope() { running = before_; }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  Running before_;
};

// Calls with a sink: what is reported is thrown, as a PluginError where it names a component.
template <class Call>
void checked(Call&& call) {
  if (operations() == nullptr)
    throw Error(ErrorCode::invalid_state, "tensors exist from a component's constructor on");
  try {
    detail::ErrorCatcher({}).run([&](auto* errors) { return call(*operations(), errors); });
  } catch (const PluginError& e) {
    if (!e.component().empty()) throw;
    throw Error(e.code(), e.message());
  }
}

// Lists of whole numbers: sizes, axes. Lent.
class IntArrayRef {
 public:
  IntArrayRef() = default;
  IntArrayRef(const std::int64_t* data, std::size_t size) : data_(data), size_(size) {}
  IntArrayRef(const std::int64_t& one) : data_(&one), size_(1) {}
  IntArrayRef(const std::vector<std::int64_t>& values)
      : data_(values.data()), size_(values.size()) {}
  IntArrayRef(const std::initializer_list<std::int64_t>& values)
      : IntArrayRef(values.begin(), values.size()) {}

  const std::int64_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::int64_t* begin() const { return data_; }
  const std::int64_t* end() const { return data_ + size_; }
  std::int64_t operator[](std::size_t i) const { return data_[i]; }
  IntArrayRef slice(std::size_t from, std::size_t count) const { return {data_ + from, count}; }
  IntArrayRef slice(std::size_t from) const { return slice(from, size_ - from); }
  std::vector<std::int64_t> vec() const { return {begin(), end()}; }
  friend bool operator==(IntArrayRef a, IntArrayRef b) { return a.vec() == b.vec(); }
  friend bool operator!=(IntArrayRef a, IntArrayRef b) { return !(a == b); }
  template <class Stream>
  friend Stream& operator<<(Stream& stream, IntArrayRef list) {
    stream << '[';
    for (std::size_t i = 0; i < list.size(); ++i) stream << (i == 0 ? "" : ", ") << list[i];
    stream << ']';
    return stream;
  }

 private:
  const std::int64_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// A number of any kind.
struct Scalar {
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  Scalar(T value) {
    attribute.kind = std::is_same_v<T, bool>       ? GREVY_ATTRIBUTE_BOOLEAN
                     : std::is_floating_point_v<T> ? GREVY_ATTRIBUTE_NUMBER
                                                   : GREVY_ATTRIBUTE_INTEGER;
    attribute.number = static_cast<double>(value);
    if constexpr (!std::is_floating_point_v<T>)
      attribute.integer = static_cast<std::int64_t>(value);
  }
  bool is_boolean() const { return attribute.kind == GREVY_ATTRIBUTE_BOOLEAN; }
  // Booleans as well.
  bool is_integral() const { return attribute.kind != GREVY_ATTRIBUTE_NUMBER; }
  grevy_attribute attribute{};
};

// What an operation is told; lends lists and texts.
inline grevy_attribute none() { return {}; }
inline grevy_attribute number(const Scalar& value) { return value.attribute; }
inline grevy_attribute list(IntArrayRef values) {
  return {GREVY_ATTRIBUTE_INTEGERS, 0, 0, 0, values.data(), values.size()};
}
inline grevy_attribute text(std::string_view value) {
  return {GREVY_ATTRIBUTE_TEXT, 0, 0, 0, value.data(), value.size()};
}

}  // namespace grevy::portable

#endif

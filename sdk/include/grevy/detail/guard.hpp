// Errors on their way across the C boundary, in both directions.
#ifndef GREVY_DETAIL_GUARD_HPP
#define GREVY_DETAIL_GUARD_HPP

#include <grevy/detail/text.hpp>
#include <grevy/error.hpp>

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace grevy {

// An error of a component, with the place it arose: the innermost one when components nest. what()
// is "COMPONENT (PLUGIN) OPERATION: message".
class PluginError : public Error {
 public:
  // where: goes before what(), such as "experiment.json: /model: ".
  PluginError(ErrorCode code, std::string message, std::string plugin, std::string component,
              std::string operation, const std::string& where = {})
      : Error(code, where + component + " (" + (plugin.empty() ? "unknown plugin" : plugin) + ") " +
                        operation + ": " + message),
        message_(std::move(message)),
        plugin_(std::move(plugin)),
        component_(std::move(component)),
        operation_(std::move(operation)) {}

  const std::string& message() const { return message_; }      // what() without the place
  const std::string& plugin() const { return plugin_; }        // its id; empty: unknown
  const std::string& component() const { return component_; }  // its name
  const std::string& operation() const { return operation_; }  // "create", "forward", ...

  // The same error, with a place in a file before it.
  PluginError at(const std::string& where) const {
    return {code(), message_, plugin_, component_, operation_, where};
  }

 private:
  std::string message_, plugin_, component_, operation_;
};

namespace detail {

// Whether a struct that says it has `struct_size` bytes holds the member that ends at `end`.
constexpr bool covers(std::uint32_t struct_size, std::size_t end) { return struct_size >= end; }
#define GREVY_COVERS(pointer, member)                                                     \
  ::grevy::detail::covers(                                                                \
      (pointer)->struct_size,                                                             \
      offsetof(std::remove_cv_t<std::remove_reference_t<decltype(*(pointer))>>, member) + \
          sizeof((pointer)->member))

// Throws unless a struct from the other side reaches to `member`. What 1.0 has must be there; what
// comes later is asked for with GREVY_COVERS.
#define GREVY_NEEDS(type, pointer, member)                                                    \
  ::grevy::detail::need(                                                                      \
      (pointer) != nullptr && GREVY_COVERS(static_cast<const type*>(pointer), member), #type, \
      #member)

inline void need(bool is_whole, const char* type, const char* member) {
  if (!is_whole)
    throw Error(ErrorCode::incompatible, std::string("was given no whole ") + type +
                                             ": it must reach to \"" + member + "\"");
}

// Who is running: the names that an error is given at the trampoline where it leaves.
struct Place {
  std::string_view plugin, component, operation;
};

inline std::int32_t report(const grevy_error_sink* sink, ErrorCode code, std::string_view message,
                           const Place& place) noexcept {
  if (sink != nullptr && GREVY_COVERS(sink, report) && sink->report != nullptr) {
    grevy_error_info info{};
    info.struct_size = sizeof(info);
    info.code = static_cast<std::int32_t>(code);
    info.message = text_of(message);
    info.plugin = text_of(place.plugin);
    info.component = text_of(place.component);
    info.operation = text_of(place.operation);
    sink->report(sink->context, &info);
  }
  return static_cast<std::int32_t>(code);
}

// LibTorch's messages carry a stack trace after the first line(s); people need the reason.
inline std::string reason(const c10::Error& error) {
  std::string text = error.what_without_backtrace();
  const auto trace = text.find("\nException raised from");
  if (trace != std::string::npos) text.resize(trace);
  return text;
}

// Runs `body`; whatever it throws becomes a code and a report.
template <class Body>
std::int32_t guarded(const grevy_error_sink* sink, const Place& place, Body&& body) noexcept {
  try {
    body();
    return GREVY_OK;
  } catch (const PluginError& e) {
    return report(sink, e.code(), e.message(), {e.plugin(), e.component(), e.operation()});
  } catch (const Error& e) {
    return report(sink, e.code(), e.what(), place);
  } catch (const c10::Error& e) {
    return report(sink, ErrorCode::internal, reason(e), place);
  } catch (const std::exception& e) {
    return report(sink, ErrorCode::internal, e.what(), place);
  } catch (...) {
    return report(sink, ErrorCode::internal, "threw something that is no std::exception", place);
  }
}

// The receiving end: calls a C function with a sink and throws PluginError if it fails.
class ErrorCatcher {
 public:
  explicit ErrorCatcher(Place fallback) : fallback_(fallback) {}

  template <class Call>
  void run(Call&& call) {
    grevy_error_sink sink{};
    sink.struct_size = sizeof(sink);
    sink.context = this;
    sink.report = [](void* context, const grevy_error_info* info) {
      if (info != nullptr) static_cast<ErrorCatcher*>(context)->keep(*info);
    };
    const std::int32_t code = call(&sink);
    if (code == GREVY_OK) return;
    const auto kind = code >= GREVY_ERROR_INTERNAL && code <= GREVY_ERROR_INCOMPATIBLE
                          ? static_cast<ErrorCode>(code)
                          : ErrorCode::internal;
    if (message_.empty()) message_ = "failed with code " + std::to_string(code) + " and no message";
    // Another component that does not say its plugin may be of any.
    const bool is_other = !component_.empty() && component_ != fallback_.component;
    throw PluginError(kind, message_, is_other ? plugin_ : or_else(plugin_, fallback_.plugin),
                      or_else(component_, fallback_.component),
                      or_else(operation_, fallback_.operation));
  }

 private:
  void keep(const grevy_error_info& info) {
    if (!GREVY_COVERS(&info, message)) return;
    message_ = repaired(view(info.message));
    if (!GREVY_COVERS(&info, operation)) return;
    plugin_ = repaired(view(info.plugin), max_name);
    component_ = repaired(view(info.component), max_name);
    operation_ = repaired(view(info.operation), max_name);
  }
  static std::string or_else(const std::string& text, std::string_view fallback) {
    return text.empty() ? std::string(fallback) : text;
  }

  Place fallback_;
  std::string message_, plugin_, component_, operation_;
};

}  // namespace detail
}  // namespace grevy

#endif

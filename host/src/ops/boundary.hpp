// What the functions of the tables in grevy/ops.h and grevy/kernel.h have in common.
#ifndef GREVY_HOST_OPS_BOUNDARY_HPP
#define GREVY_HOST_OPS_BOUNDARY_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/tensor.hpp>

#include <new>
#include <string>
#include <utility>
#include <vector>

namespace grevy::host {

inline std::string no_hint() { return {}; }

// Runs `body`; what it throws becomes a report that begins with `what` and ends with hint().
// LibTorch's own errors, of whichever type, are complaints about arguments: invalid_value.
template <class Body, class Hint = std::string (*)()>
std::int32_t answer(std::string_view what, const grevy_error_sink* errors, Body&& body,
                    Hint&& hint = no_hint) noexcept {
  const auto worded = [&](ErrorCode code, const std::string& reason) {
    return Error(code, std::string(what) + ": " + reason + hint());
  };
  return detail::guarded(errors, {}, [&] {
    try {
      body();
    } catch (const PluginError&) {
      throw;
    } catch (const Error& e) {
      throw worded(e.code(), e.what());
    } catch (const c10::Error& e) {
      throw worded(ErrorCode::invalid_value, detail::reason(e));
    } catch (const std::bad_alloc& e) {
      throw worded(ErrorCode::internal, e.what());
    } catch (const std::exception& e) {
      throw worded(ErrorCode::invalid_value, e.what());
    }
  });
}

// A tensor that must be there. Errors: invalid_value.
inline at::Tensor needed(grevy_tensor* handle, const char* what) {
  if (handle == nullptr)
    throw Error(ErrorCode::invalid_value, std::string("found NULL for ") + what);
  return borrow(handle);
}

constexpr std::uint64_t max_tensors = 4096;  // of one list

// Tensors of a list, all of which must be there. Errors: invalid_value.
inline std::vector<at::Tensor> needed(grevy_tensor* const* handles, std::uint64_t count,
                                      const char* what) {
  if (count > max_tensors || (count > 0 && handles == nullptr))
    throw Error(ErrorCode::invalid_value, "found " + std::to_string(count) + " of " + what +
                                              "; allowed: " + std::to_string(max_tensors));
  std::vector<at::Tensor> tensors;
  for (std::uint64_t i = 0; i < count; ++i) tensors.push_back(needed(handles[i], what));
  return tensors;
}

// Hands tensors out, after everything that can fail.
inline void give_all(std::vector<at::Tensor> tensors, grevy_tensor** slots) {
  for (std::size_t i = 0; i < tensors.size(); ++i) slots[i] = give(std::move(tensors[i]));
}

}  // namespace grevy::host

#endif

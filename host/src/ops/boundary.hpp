// What the functions of the tables in grevy/ops.h and grevy/kernel.h have in common.
#ifndef GREVY_HOST_OPS_BOUNDARY_HPP
#define GREVY_HOST_OPS_BOUNDARY_HPP

#include <grevy/detail/guard.hpp>
#include <grevy/tensor.hpp>

#include <algorithm>
#include <cstring>
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

// A struct of a plugin as far as it reaches and this host knows it; zero beyond.
template <class T>
T known_part(const T& given) {
  T part{};
  std::memcpy(&part, &given, std::min<std::size_t>(given.struct_size, sizeof(T)));
  return part;
}

// A function or a kernel of a plugin; its context ends with it. What the struct does not cover is
// empty.
template <class T>
class Adopted {
 public:
  explicit Adopted(const T& given) : part_(known_part(given)) {
    if (!GREVY_COVERS(&given, plugin)) part_.plugin = {};
    if (!GREVY_COVERS(&given, component)) part_.component = {};
  }
  Adopted(Adopted&& other) noexcept : part_(std::exchange(other.part_, T{})) {}
  Adopted& operator=(Adopted&&) = delete;
  ~Adopted() {
    if (part_.destroy != nullptr) part_.destroy(part_.context);
  }
  const T& operator*() const { return part_; }
  const T* operator->() const { return &part_; }

 private:
  T part_;
};

// Says how much of a struct of a plugin this host has filled.
template <class T>
void say_filled(T& info) {
  info.struct_size = std::min<std::uint32_t>(info.struct_size, sizeof(T));
}

// What a pointer of a plugin points to, `count` of it. Errors: invalid_value for NULL.
template <class T>
T* needed_room(T* room, const char* what, std::uint64_t count = 1) {
  if (room == nullptr && count > 0)
    throw Error(ErrorCode::invalid_value, std::string("found NULL for ") + what);
  return room;
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

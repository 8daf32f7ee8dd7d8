// Structs of the extensions of every size: used as far as they reach, or refused. Pages that cannot
// be read lie behind each of them.
#include "host/ops_support.hpp"

#include <grevy/portable/library.hpp>

#include <cstddef>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

using namespace grevy;
using namespace grevy::tests;

namespace {

// Bytes that end, up to what an alignment of 8 needs, where a page begins that cannot be touched.
class Edge {
 public:
  explicit Edge(std::size_t size) : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    REQUIRE(size <= page_);
    pages_ = static_cast<char*>(
        ::mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(pages_ != MAP_FAILED);
    REQUIRE(::mprotect(pages_ + page_, page_, PROT_NONE) == 0);
    bytes_ = pages_ + page_ - (size + 7) / 8 * 8;
  }
  ~Edge() { ::munmap(pages_, 2 * page_); }
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;
  char* bytes() const { return bytes_; }

 private:
  std::size_t page_;
  char *pages_, *bytes_;
};

// Two unknown members behind what the headers have.
constexpr std::size_t beyond = 16;

// body(struct, size) with a struct of every size, from one that has only struct_size on.
template <class T, class Body>
void for_sizes(const T& whole, Body&& body) {
  for (std::size_t size = sizeof(std::uint32_t); size <= sizeof(T) + beyond; ++size) {
    CAPTURE(size);
    const Edge edge(size);
    std::memset(edge.bytes(), 0x55, size);
    std::memcpy(edge.bytes(), &whole, std::min(size, sizeof(T)));
    const auto said = static_cast<std::uint32_t>(size);
    std::memcpy(edge.bytes(), &said, sizeof(said));
    body(reinterpret_cast<T*>(edge.bytes()), size);
  }
}

#define END_OF(type, member) (offsetof(type, member) + sizeof(type::member))

std::int32_t refuse(void*, grevy_tensor* const*, std::uint64_t, grevy_tensor* const*, std::uint64_t,
                    const std::uint32_t*, grevy_tensor**, std::uint64_t,
                    const grevy_error_sink* errors) {
  return grevy::detail::report(errors, ErrorCode::io, "why", {});
}
std::int32_t refuse_forward(void*, const grevy_kernel_views*, const grevy_error_sink* errors) {
  return grevy::detail::report(errors, ErrorCode::io, "why", {});
}

// The names that an error has, of what a struct of some size reaches to.
template <class T>
void check_names(const Caught& error, std::size_t size) {
  CHECK(error.code == ErrorCode::io);
  CHECK(error.plugin == (size >= END_OF(T, plugin) ? "its.plugin" : ""));
  CHECK(error.component == (size >= END_OF(T, component) ? "its-loss" : "its-function"));
}

grevy_text text_of(std::string_view text) { return grevy::detail::text_of(text); }

const grevy_ops* found_table = nullptr;
const void* answer_with_table(const grevy_host*, grevy_text) { return found_table; }

}  // namespace

TEST_CASE("a function of every size") {
  const grevy_function function = {sizeof(grevy_function),
                                   0,
                                   text_of("its-function"),
                                   nullptr,
                                   refuse,
                                   nullptr,
                                   text_of("its.plugin"),
                                   text_of("its-loss")};
  const at::Tensor x = at::ones({2}).requires_grad_(true), value = at::ones({});
  const auto inputs = lend_all({x}), values = lend_all({value});
  for_sizes(function, [&](const grevy_function* given, std::size_t size) {
    grevy_tensor* output = nullptr;
    const Caught error = catch_error([&] {
      checked([&](auto* errors) {
        return ops().attach_function(given, inputs.data(), 1, nullptr, 0, values.data(), &output, 1,
                                     errors);
      });
    });
    if (size < END_OF(grevy_function, destroy)) {
      CHECK(error.code == ErrorCode::incompatible);
      CHECK(error.says("was given no whole grevy_function: it must reach to \"destroy\""));
      return;
    }
    REQUIRE_MESSAGE(error.code == ErrorCode{}, error.text);
    const at::Tensor y = take(output);
    check_names<grevy_function>(catch_error([&] { y.backward(); }), size);
  });
}

TEST_CASE("a kernel of every size") {
  const grevy_kernel kernel = {sizeof(grevy_kernel),
                               0,
                               text_of("its-function"),
                               nullptr,
                               refuse_forward,
                               nullptr,
                               nullptr,
                               text_of("its.plugin"),
                               text_of("its-loss")};
  const at::Tensor x = at::ones({2});
  const auto inputs = lend_all({x});
  for_sizes(kernel, [&](const grevy_kernel* given, std::size_t size) {
    const Caught error = catch_error([&] {
      checked([&](auto* errors) {
        return kernels().run(given, inputs.data(), 1, nullptr, 0, nullptr, 0, nullptr, errors);
      });
    });
    if (size < END_OF(grevy_kernel, destroy)) {
      CHECK(error.code == ErrorCode::incompatible);
      CHECK(error.says("was given no whole grevy_kernel: it must reach to \"destroy\""));
      return;
    }
    check_names<grevy_kernel>(error, size);
  });
}

// A struct that the host fills: refused where it is too short, else filled as far as the host knows
// it, which its size then says.
template <class T, class Fill>
void check_filled(const char* type, Fill&& fill) {
  for_sizes(T{}, [&](T* given, std::size_t size) {
    const Caught error =
        catch_error([&] { checked([&](auto* errors) { return fill(given, errors); }); });
    if (size < sizeof(T)) {
      CHECK(error.code == ErrorCode::incompatible);
      CHECK(error.says(std::string("was given no whole ") + type));
      CHECK(given->struct_size == size);
      return;
    }
    REQUIRE_MESSAGE(error.code == ErrorCode{}, error.text);
    CHECK(given->struct_size == sizeof(T));
    for (std::size_t i = sizeof(T); i < size; ++i)
      CHECK(reinterpret_cast<const char*>(given)[i] == 0x55);
  });
}

TEST_CASE("what the host fills, of every size") {
  const at::Tensor x = at::ones({2});
  check_filled<grevy_tensor_info>("grevy_tensor_info", [&](auto* info, auto* errors) {
    return ops().inspect(lend(x), info, errors);
  });
  check_filled<grevy_op_info>("grevy_op_info", [&](auto* info, auto* errors) {
    return ops().describe(GREVY_OP_ADD, info, errors);
  });
}

TEST_CASE("an error sink that does not reach to its function is not called") {
  grevy_error_sink sink{};
  sink.report = [](void*, const grevy_error_info*) { FAIL("was called"); };
  for_sizes(sink, [&](const grevy_error_sink* given, std::size_t size) {
    if (size >= sizeof(sink)) return;
    CHECK(ops().inspect(nullptr, nullptr, given) == GREVY_ERROR_INCOMPATIBLE);
  });
}

TEST_CASE("the portable front takes a host's table that reaches as far as its own header") {
  grevy_host host = plugin_host();
  host.extension = answer_with_table;
  for_sizes(ops(), [&](const grevy_ops* given, std::size_t size) {
    portable::table = nullptr;
    found_table = given;
    const Caught error = catch_error([&] { portable::enter(&host); });
    if (size >= sizeof(grevy_ops)) {
      CHECK(error.code == ErrorCode{});
      CHECK(portable::operations() == given);
      return;
    }
    CHECK(error.code == ErrorCode::incompatible);
    CHECK(error.says("needs a host with grevy.ops/1"));
    CHECK(portable::operations() == nullptr);
  });
  portable::table = nullptr;
  found_table = nullptr;
  CHECK(catch_error([&] { portable::enter(&host); }).says("needs a host with grevy.ops/1"));
  CHECK(catch_error([] {
          portable::checked([](auto&, auto*) { return 0; });
        }).says("tensors exist from a component's constructor on"));
}

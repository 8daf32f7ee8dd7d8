// Components that are written with the SDK, under hosts that give them structs of any size: longer
// ones, of newer hosts, are as good as today's; shorter ones are refused, and nothing behind them
// is read or written.
#include "plugin_support.hpp"

#include <grevy/abi.h>

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

using namespace grevy;
using namespace grevy::host;
using namespace grevy::tests;

namespace {

// A struct that says it has `size` bytes, and has them; the page behind it cannot be touched. What
// abi.h does not know of it is 0xab.
template <class T>
class Sized {
 public:
  Sized(T whole, std::size_t size) : size_(size) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t used = std::max((size + 7) / 8 * 8, std::size_t{8});
    memory_ = static_cast<unsigned char*>(
        ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(::mprotect(memory_ + page, page, PROT_NONE) == 0);
    mapped_ = 2 * page;
    std::memset(memory_, 0xab, page);
    whole.struct_size = static_cast<std::uint32_t>(size);
    struct_ = memory_ + page - used;
    std::memcpy(struct_, &whole, std::max(std::min(size, sizeof(T)), sizeof(std::uint32_t)));
  }
  ~Sized() { ::munmap(memory_, mapped_); }
  Sized(const Sized&) = delete;
  Sized& operator=(const Sized&) = delete;

  T* get() const { return reinterpret_cast<T*>(struct_); }
  // Whether nothing was written behind what today's struct has.
  bool is_clean() const {
    for (std::size_t i = sizeof(T); i < size_; ++i)
      if (struct_[i] != 0xab) return false;
    return true;
  }

 private:
  std::size_t size_, mapped_ = 0;
  unsigned char *memory_ = nullptr, *struct_ = nullptr;
};

// Calls `call(struct, errors)` with every size; the whole struct and longer ones must do, shorter
// ones must be refused with the struct's name.
template <class T, class Call>
void for_sizes(const char* type, const T& whole, Call&& call) {
  for (std::size_t size = 0; size <= sizeof(T) + 16; ++size) {
    CAPTURE(type);
    CAPTURE(size);
    const Sized<T> given(whole, size);
    const Caught error = catch_error([&] {
      grevy::detail::ErrorCatcher({"the plugin", "the component", "call"}).run([&](auto* errors) {
        return call(given.get(), errors);
      });
    });
    CHECK(given.is_clean());
    if (size >= sizeof(T)) {
      CHECK_MESSAGE(error.code == ErrorCode{}, error.text);
      continue;
    }
    CHECK(error.code == ErrorCode::incompatible);
    CHECK_MESSAGE(error.says(std::string("was given no whole ") + type + ": it must reach to \""),
                  error.text);
  }
}

Host& host_of_tests() {
  static Host host(only({GREVY_BUILTIN_PLUGINS}));
  return host;
}

template <class Table, class Ref>
const Table& table_of(const Ref& ref) {
  return *static_cast<const Table*>(ref.instance().table);
}

grevy_tensor_sink tensor_sink() {
  grevy_tensor_sink sink{};
  sink.add = [](void*, grevy_text, std::uint32_t, grevy_tensor*) {};
  return sink;
}
grevy_statistic_sink statistic_sink() {
  grevy_statistic_sink sink{};
  sink.add = [](void*, grevy_statistic) {};
  return sink;
}

// A solver with its model and criterion, and what a step needs.
struct Attached {
  Owned<ModelRef> model = host_of_tests().create_model(
      "offset1-model-mse", R"({"num_units": 4, "num_output": 2})", channels(3));
  Owned<CriterionRef> loss = criterion(host_of_tests(), "InfoNCE");
  Owned<SolverRef> solver = host_of_tests().create_solver("single-session", "{}", channels(3));
  at::Tensor windows = at::rand({4, 3, 1});
  grevy_tensor* positive = lend(windows);
  grevy_batch batch{};
  grevy_optimizer optimizer{};
  grevy_loader loader{};
  const grevy_batch* batches[1] = {&batch};

  explicit Attached(bool attach = true) {
    if (attach) solver->attach({*model}, {*loss});
    batch.struct_size = sizeof(batch);
    batch.reference = batch.negative = lend(windows);
    batch.positives = &positive;
    batch.positive_count = 1;
    optimizer.struct_size = sizeof(optimizer);
    optimizer.zero_grad = [](void*, const grevy_error_sink*) { return GREVY_OK + 0; };
    optimizer.step = optimizer.zero_grad;
    loader.struct_size = sizeof(loader);
    loader.context = this;
    loader.num_batches = 1;
    loader.next = [](void* context, const grevy_batch* const** out, std::uint64_t* count,
                     const grevy_error_sink*) {
      *out = static_cast<Attached*>(context)->batches;
      *count = 1;
      return GREVY_OK + 0;
    };
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

  const grevy_solver_table& table() const { return table_of<grevy_solver_table>(*solver); }
  void* self() const { return solver->instance().self; }
  grevy_training training() const {
    grevy_training training{};
    training.struct_size = sizeof(training);
    training.loader = &loader;
    training.valid_loader = &loader;
    training.optimizer = &optimizer;
    training.num_steps = 1;
    training.end_step = [](void*, std::int64_t, const grevy_statistic*, std::uint64_t,
                           std::uint32_t* actions, const grevy_error_sink*) {
      *actions = GREVY_ACTION_VALIDATE;
      return GREVY_OK + 0;
    };
    training.end_validation = [](void*, std::int64_t, double, const grevy_statistic*, std::uint64_t,
                                 const grevy_error_sink*) { return GREVY_OK + 0; };
    return training;
  }
};

}  // namespace

TEST_CASE("infos of every size") {
  const Attached a;
  for_sizes("grevy_model_info", grevy_model_info{}, [&](auto* info, auto* errors) {
    const auto code =
        table_of<grevy_model_table>(*a.model).describe(a.model->instance().self, info, errors);
    if (code == GREVY_OK) CHECK(info->num_output == 2);
    return code;
  });
  for_sizes("grevy_criterion_info", grevy_criterion_info{}, [&](auto* info, auto* errors) {
    const auto code =
        table_of<grevy_criterion_table>(*a.loss).describe(a.loss->instance().self, info, errors);
    if (code == GREVY_OK) CHECK(info->part_count == 2);
    return code;
  });
  for_sizes("grevy_solver_info", grevy_solver_info{}, [&](auto* info, auto* errors) {
    const auto code = a.table().describe(a.self(), info, errors);
    if (code == GREVY_OK) CHECK(info->num_positives == 1);
    return code;
  });
}

TEST_CASE("sinks of every size") {
  const Attached a;
  for_sizes("grevy_tensor_sink", tensor_sink(), [&](auto* sink, auto* errors) {
    return table_of<grevy_model_table>(*a.model).visit_tensors(a.model->instance().self, sink,
                                                               errors);
  });
  for_sizes("grevy_statistic_sink", statistic_sink(), [&](auto* sink, auto* errors) {
    return table_of<grevy_criterion_table>(*a.loss).visit_statistics(a.loss->instance().self, sink,
                                                                     errors);
  });
  for_sizes("grevy_statistic_sink", statistic_sink(), [&](auto* sink, auto* errors) {
    double loss = 0;
    return a.table().validate(a.self(), &a.loader, &loss, sink, errors);
  });
  grevy_text_sink text{};
  text.write = [](void*, grevy_text) {};
  for_sizes("grevy_text_sink", text,
            [&](auto* sink, auto* errors) { return a.table().save_state(a.self(), sink, errors); });
}

TEST_CASE("error sinks of every size: one without its function is not called") {
  const Attached a;
  for (std::size_t size = 0; size <= sizeof(grevy_error_sink) + 16; ++size) {
    CAPTURE(size);
    bool reported = false;
    grevy_error_sink whole{};
    whole.context = &reported;
    whole.report = [](void* context, const grevy_error_info* info) {
      *static_cast<bool*>(context) = info->struct_size == sizeof(grevy_error_info);
    };
    const Sized<grevy_error_sink> sink(whole, size);
    CHECK(a.table().describe(a.self(), nullptr, sink.get()) == GREVY_ERROR_INCOMPATIBLE);
    CHECK(reported == (size >= sizeof(grevy_error_sink)));
  }
  CHECK(a.table().describe(a.self(), nullptr, nullptr) == GREVY_ERROR_INCOMPATIBLE);
}

TEST_CASE("what a solver is given, of every size") {
  Attached a;
  const grevy_statistic_sink sink = [] {
    grevy_statistic_sink made = statistic_sink();
    made.struct_size = sizeof(made);
    return made;
  }();
  for_sizes("grevy_batch", a.batch, [&](auto* batch, auto* errors) {
    const grevy_batch* const batches[] = {batch};
    return a.table().step(a.self(), batches, 1, &a.optimizer, &sink, errors);
  });
  for_sizes("grevy_optimizer", a.optimizer, [&](auto* optimizer, auto* errors) {
    return a.table().step(a.self(), a.batches, 1, optimizer, &sink, errors);
  });
  for_sizes("grevy_loader", a.loader, [&](auto* loader, auto* errors) {
    double loss = 0;
    return a.table().validate(a.self(), loader, &loss, &sink, errors);
  });
  for_sizes("grevy_training", a.training(), [&](auto* training, auto* errors) {
    return a.table().fit(a.self(), training, errors);
  });
  for_sizes("grevy_loader", a.loader, [&](auto* loader, auto* errors) {
    grevy_training training = a.training();
    training.valid_loader = loader;
    return a.table().fit(a.self(), &training, errors);
  });
  const Attached b(false);
  const grevy_instance model = b.model->instance(), loss = b.loss->instance();
  grevy_solver_parts parts{};
  parts.models = &model;
  parts.criterions = &loss;
  parts.model_count = parts.criterion_count = 1;
  for_sizes("grevy_solver_parts", parts,
            [&](auto* given, auto* errors) { return b.table().attach(b.self(), given, errors); });
}

TEST_CASE("what a component is made with, of every size") {
  const Attached a;
  const auto& table = table_of<grevy_criterion_table>(*a.loss);
  grevy_host some_host{};
  some_host.struct_size = sizeof(some_host);
  grevy_create_args args{};
  args.struct_size = sizeof(args);
  args.host = &some_host;
  args.options = grevy::detail::text_of("{}");
  args.device = grevy::detail::text_of("cpu");
  const auto make = [&](const grevy_create_args* given, const grevy_error_sink* errors) {
    void* self = nullptr;
    const std::int32_t code = table.create(given, &self, errors);
    if (code == GREVY_OK) table.destroy(self);
    CHECK((self != nullptr) == (code == GREVY_OK));
    return code;
  };
  for_sizes("grevy_create_args", args, make);
  for_sizes("grevy_host", some_host, [&](auto* given, auto* errors) {
    grevy_create_args with_host = args;
    with_host.host = given;
    return make(&with_host, errors);
  });
}

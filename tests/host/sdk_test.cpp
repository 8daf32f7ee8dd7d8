// The SDK's classes, used as no good author, host or component would.
#include "function_model.hpp"
#include "golden_support.hpp"
#include "host/ops_support.hpp"

#include <grevy/criterion.hpp>
#include <grevy/detail/trampoline.hpp>
#include <grevy/jacobian.hpp>
#include <grevy/kernel.hpp>
#include <grevy/model.hpp>
#include <grevy/solver.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace grevy;
using namespace grevy::tests;

namespace {

class Means : public ContrastiveCriterion {
 public:
  Loss compute(const Prediction& p) override {
    const at::Tensor pos = p.positive.mean(), neg = p.negative.mean();
    return {pos + neg, pos, neg};
  }
};

class Plain : public Model {
 public:
  ModelInfo info() const override { return shape(3, 3); }
  at::Tensor forward(const at::Tensor& windows) override { return windows.flatten(1); }
  using Model::buffer;
  using Model::parameter;
};

// Says that it embeds samples, and gives no set of them.
class Few : public Plain {
 public:
  using Options = NoOptions;
  Few(const Options&, const Context&) {}
  bool embeds_samples() const override { return true; }
  std::vector<std::vector<at::Tensor>> forward_samples(const at::Tensor&,
                                                       const std::vector<at::Tensor>&) override {
    return {};
  }
};
struct RegisteredFew {
  using Class = Few;
  static constexpr std::string_view names[] = {"few", "Gives less than it is asked for."};
};

grevy_create_args arguments() {
  grevy_create_args args{};
  args.struct_size = sizeof(args);
  args.name = grevy::detail::text_of("tests");
  args.options = grevy::detail::text_of("{}");
  args.device = grevy::detail::text_of("cpu");
  args.host = &plugin_host();
  return args;
}

// Lets the tests in.
class Open : public Solver {
 public:
  explicit Open(const SolverInfo& wanted = {}) : wanted_(wanted) {}
  SolverInfo info() const override { return wanted_; }
  Statistics step(const std::vector<Batch>&, const OptimizerRef&) override { return {}; }
  using Solver::buffer;
  using Solver::embed;
  using Solver::is_training;
  using Solver::num_sessions;
  using Solver::parameter;
  using Solver::reference_model;
  using Solver::trained;

 private:
  SolverInfo wanted_;
};

SolverInfo wanting(SolverInfo::Sessions sessions, std::int64_t num_positives = 1) {
  SolverInfo info;
  info.sessions = sessions;
  info.num_positives = num_positives;
  return info;
}

at::Tensor flat(const at::Tensor& windows) { return windows.flatten(1); }

Batch batch_of(std::size_t sets) {
  Batch batch;
  batch.reference = at::arange(4, at::kFloat).view({2, 2, 1});
  batch.positives.assign(sets, batch.reference + 1);
  batch.negative = batch.reference + 2;
  return batch;
}

std::int32_t fails(void*, const grevy_batch* const**, std::uint64_t*, const grevy_error_sink*) {
  return GREVY_ERROR_IO;
}
grevy_loader loader_of(std::int64_t num_batches) {
  grevy_loader loader{};
  loader.struct_size = sizeof(loader);
  loader.num_batches = num_batches;
  loader.next = fails;
  return loader;
}

}  // namespace

TEST_CASE("a contrastive criterion computes what fits, and says what it needs") {
  Means means;
  const auto error = [&](const std::vector<Prediction>& predictions) {
    return catch_error([&] { means.evaluate(predictions); });
  };
  const at::Tensor x = at::ones({2, 3}), row = at::ones({3}), empty = at::ones({0, 3});
  CHECK(error({{x, x, at::ones({5, 3})}}).code == ErrorCode{});
  CHECK(error({}).says("takes 1 prediction; found 0"));
  CHECK(error({{x, x, x}, {x, x, x}}).says("takes 1 prediction; found 2"));
  const std::vector<Prediction> misshapen = {{{}, x, x},
                                             {x, {}, x},
                                             {x, x, {}},
                                             {row, x, x},
                                             {x, row, x},
                                             {x, x, row},
                                             {empty, empty, x},
                                             {x, x, empty},
                                             {x, at::ones({3, 3}), x},
                                             {x, x, at::ones({2, 4})}};
  for (const Prediction& p : misshapen) {
    const Caught caught = error({p});
    INFO(caught.text);
    CHECK(caught.code == ErrorCode::invalid_value);
    CHECK(caught.says("needs reference (n, d), positive (n, d) and negative (m, d)"));
  }
  CHECK(error({{x, {}, x}}).says("found [2, 3], nothing, [2, 3]"));
  const at::Tensor precise = x.to(at::kDouble), far = x.to(at::kMeta), whole = x.to(at::kLong);
  for (const Prediction& p : std::vector<Prediction>{
           {x, precise, x}, {x, x, precise}, {x, far, x}, {x, x, far}, {whole, whole, whole}}) {
    const Caught caught = error({p});
    CHECK(caught.code == ErrorCode::invalid_type);
    CHECK(caught.says("needs three floating-point tensors of one dtype on one device"));
  }
}

TEST_CASE("a model has one tensor, windows and no extension of its own accord") {
  Plain plain;
  const at::Tensor windows = at::ones({2, 3, 1});
  REQUIRE(plain.forward_all(windows).size() == 1);
  CHECK(plain.forward_all(windows)[0].equal(windows.flatten(1)));
  CHECK_FALSE(plain.embeds_samples());
  CHECK(catch_error([&] { plain.forward_samples(windows, {}); }).code == ErrorCode::unimplemented);
  CHECK(plain.extension("tests.none/1") == nullptr);
  plain.set_training(false);
  CHECK_FALSE(plain.is_training());
  plain.parameter("scale", at::ones({1}));
  const Caught twice = catch_error([&] { plain.buffer("scale", at::ones({1})); });
  CHECK(twice.says("two tensors are called \"scale\""));
  CHECK(plain.tensors().size() == 1);
  CHECK_FALSE(Offset{1, 2} == Offset{1, 3});
}

TEST_CASE("a component that is made with the SDK has no extension that it does not know") {
  const auto model = builtin_model("offset10-model", 3, 4, 2);
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  const auto solver = builtin_host().create_solver("single-session", "{}", {});
  CHECK(model->extension("tests.none/1") == nullptr);
  CHECK(criterion->extension("tests.none/1") == nullptr);
  CHECK(solver->extension("tests.none/1") == nullptr);
  CHECK(catch_error([&] {
          model->forward_samples(at::ones({20, 3}), {at::tensor({5}, at::kLong)}, 2);
        }).says("returns 1 tensor(s) per set; asked for 2"));
}

TEST_CASE("a model that gives less than it is asked for is an error with the numbers") {
  const auto& table = grevy::detail::ModelSlots<RegisteredFew>::table;
  const grevy_create_args args = arguments();
  void* self = nullptr;
  REQUIRE(table.create(&args, &self, nullptr) == GREVY_OK);
  const Owned<ModelRef> few(ModelRef({&table, self}, "few", "tests"));
  CHECK(catch_error([&] {
          few->forward_all(at::ones({2, 3, 1}), 2);
        }).says("forward: returns 1 tensor(s); asked for 2"));
  CHECK(catch_error([&] {
          few->forward_samples(at::ones({5, 3}), {at::arange(2), at::arange(2)}, 1);
        }).says("forward_samples: returns 0 set(s); asked for 2"));
}

TEST_CASE("parts of a loss may be left out, and are asked for in their number") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  const at::Tensor x = at::ones({2, 3});
  const grevy_instance instance = criterion->instance();
  const auto* table = static_cast<const grevy_criterion_table*>(instance.table);
  const grevy_prediction prediction = {lend(x), lend(x), lend(x)};
  grevy_tensor* loss = nullptr;
  CHECK(table->evaluate(instance.self, &prediction, 1, &loss, nullptr, 0, nullptr) == GREVY_OK);
  CHECK(take(loss).equal(criterion->evaluate({{x, x, x}}, 2).loss));
  CHECK(catch_error([&] { criterion->evaluate({{x, x, x}}, 3); }).says("has 2 parts; asked for 3"));

  const auto model = builtin_model("offset1-model", 3, 4, 2);
  const auto solver = builtin_host().create_solver("single-session", "{}", {});
  solver->attach({*model}, {*criterion});
  const auto* solver_table = static_cast<const grevy_solver_table*>(solver->instance().table);
  const grevy_loader no_batches = loader_of(0);
  double mean = 0;
  CHECK(solver_table->validate(solver->instance().self, &no_batches, &mean, nullptr, nullptr) == 0);
  CHECK(std::isnan(mean));
}

TEST_CASE("a component that says that all is well and returns nothing") {
  grevy_criterion_table criterion{};
  criterion.struct_size = sizeof(criterion);
  criterion.evaluate = [](void*, const grevy_prediction*, std::uint64_t, grevy_tensor** loss,
                          grevy_tensor**, std::uint64_t, const grevy_error_sink*) {
    *loss = give(at::ones({}));
    return std::int32_t{GREVY_OK};
  };
  const CriterionRef without_parts({&criterion, &criterion}, "empty", "tests");
  CHECK(catch_error([&] {
          without_parts.evaluate({}, 1);
        }).says("empty (tests) evaluate: every part of the loss must be a scalar tensor"));
  criterion.evaluate = [](void*, const grevy_prediction*, std::uint64_t, grevy_tensor** loss,
                          grevy_tensor** parts, std::uint64_t, const grevy_error_sink*) {
    *loss = give(at::ones({}));
    *parts = give(at::ones({2}));
    return std::int32_t{GREVY_OK};
  };
  CHECK(catch_error([&] {
          without_parts.evaluate({}, 1);
        }).says("every part of the loss must be a scalar tensor"));
  grevy_solver_table solver{};
  solver.struct_size = sizeof(solver);
  solver.transform = [](void*, std::int64_t, grevy_tensor*, grevy_tensor**,
                        const grevy_error_sink*) { return std::int32_t{GREVY_OK}; };
  const SolverRef without_embedding({&solver, &solver}, "empty", "tests");
  CHECK(catch_error([&] {
          without_embedding.transform(0, at::ones({2, 2}));
        }).says("empty (tests) transform: the embedding must have two axes"));
  solver.transform = [](void*, std::int64_t, grevy_tensor*, grevy_tensor** embedding,
                        const grevy_error_sink*) {
    *embedding = give(at::ones({2}));
    return std::int32_t{GREVY_OK};
  };
  CHECK(catch_error([&] {
          without_embedding.transform(0, at::ones({2, 2}));
        }).says("the embedding must have two axes"));
  grevy_model_table model{};
  model.struct_size = sizeof(model);
  model.extension = [](void*, grevy_text) noexcept -> const void* {
    static const grevy_series_table series = {
        sizeof(series), 0,
        [](void*, grevy_tensor*, grevy_tensor* const*, std::uint64_t, grevy_tensor**, std::uint64_t,
           const grevy_error_sink*) { return std::int32_t{GREVY_OK}; }};
    return &series;
  };
  const ModelRef without_rows({&model, &model}, "empty", "tests");
  const auto error = [&](std::int64_t count) {
    return catch_error([&] { without_rows.forward_samples(at::ones({2, 2}), {{}}, count); });
  };
  CHECK(error(1).says("empty (tests) forward_samples: returned no tensor"));
  CHECK(error(4097).says("was asked for 4097 tensors; allowed: 1 to 4096"));
}

TEST_CASE("errors without a report, and those of LibTorch's that hold another") {
  const Caught silent = catch_error([] {
    grevy::detail::ErrorCatcher({"tests", "silent", "forward"})
        .run([](const grevy_error_sink* errors) {
          errors->report(errors->context, nullptr);
          return std::int32_t{GREVY_ERROR_IO};
        });
  });
  CHECK(silent.code == ErrorCode::io);
  CHECK(silent.text == "silent (tests) forward: failed with code 8 and no message");
  grevy_error_sink deaf{};
  deaf.struct_size = sizeof(deaf);
  CHECK(grevy::detail::report(&deaf, ErrorCode::io, "nobody hears it", {}) == GREVY_ERROR_IO);
  const c10::Error outer({__func__, __FILE__, __LINE__},
                         "the reason\nException raised from inner at file.cpp:1\nframes");
  CHECK(grevy::detail::reason(outer) == "the reason");
}

TEST_CASE("an owner that is assigned to itself keeps its component") {
  auto model = builtin_model("offset1-model", 3, 4, 2);
  auto& same = model;
  model = std::move(same);
  REQUIRE(model);
  CHECK(model->info().num_input == 3);
}

TEST_CASE("a solver is attached to as many models and criterions as it wants") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), flat);
  const ModelRef model = encoder.ref();
  const auto error = [&](const SolverInfo& wanted, const std::vector<ModelRef>& models,
                         const std::vector<CriterionRef>& criterions) {
    return catch_error([&] { Open(wanted).attach(models, criterions); });
  };
  const SolverInfo one = wanting(SolverInfo::Sessions::one);
  SolverInfo several = wanting(SolverInfo::Sessions::several);
  CHECK(error(one, {}, {*criterion}).says("works with 1 model(s) and 1 criterion; found 0 and 1"));
  CHECK(error(one, {model}, {}).says("found 1 and 0"));
  CHECK(error(several, {}, {*criterion}).says("1 model(s) per session and 1 criterion; found 0"));
  several.reference_models = true;
  CHECK(error(several, {model, model, model}, {*criterion})
            .says("works with 2 model(s) per session and 1 criterion; found 3 and 1"));
  Open solver(one);
  solver.attach({model}, {*criterion});
  CHECK(solver.reference_model().instance().self == model.instance().self);
  CHECK(solver.num_sessions() == 1);
  CHECK(solver.is_training());
  const grevy_optimizer optimizer{};
  CHECK(OptimizerRef(&optimizer).get() == &optimizer);
  CHECK(catch_error([&] {
          solver.transform(1, at::ones({3, 2}));
        }).says("session 1 does not exist"));
  CHECK(catch_error([&] {
          solver.transform(-1, at::ones({3, 2}));
        }).says("session -1 does not exist; there are 1, counted from 0"));
}

TEST_CASE("a solver refuses batches that are not what it wants") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), flat);
  const auto error = [&](const SolverInfo& wanted, const std::vector<Batch>& batches) {
    Open solver(wanted);
    solver.attach({encoder.ref()}, {*criterion});
    return catch_error([&] { solver.embed(batches); });
  };
  using Sessions = SolverInfo::Sessions;
  const Batch batch = batch_of(1);
  const SolverInfo one = wanting(Sessions::one), any = wanting(Sessions::several, 0);
  CHECK(error(one, {batch}).code == ErrorCode{});
  CHECK(error(one, {}).says("works with the batch of one session; found 0"));
  CHECK(error(one, {batch, batch}).says("works with the batch of one session; found 2"));
  CHECK(error(one, {batch_of(0)}).says("works with 1 set(s) of positives; found 0"));
  CHECK(error(one, {batch_of(2)}).says("works with 1 set(s) of positives; found 2"));
  CHECK(error(any, {batch, batch_of(2)})
            .says("works with equally many set(s) of positives; found 2"));
  Batch whole = batch;
  whole.series = at::ones({5, 2});
  CHECK(error(one, {whole}).says("works with windows; found a whole series"));
  Batch positive_only = batch;
  positive_only.negative = at::Tensor();
  CHECK(error(one, {positive_only}).says("needs negatives"));
  SolverInfo full = one, supervised = one;
  full.full_batch = true;
  CHECK(error(full, {batch}).says("works with whole series; found windows"));
  supervised.supervised = true;
  CHECK(error(supervised, {batch}).says("is supervised; found negatives"));
}

TEST_CASE("the targets of supervised training stay as they are") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), [](const at::Tensor& windows) { return windows.flatten(1) * 2; });
  SolverInfo wanted;
  wanted.supervised = true;
  Open solver(wanted);
  solver.attach({encoder.ref()}, {*criterion});
  Batch batch = batch_of(1);
  batch.negative = at::Tensor();
  const Solver::Embedded embedded = solver.embed({batch});
  CHECK(embedded.reference.equal(batch.reference.flatten(1) * 2));
  CHECK(embedded.positives[0].is_same(batch.positives[0]));
  CHECK_FALSE(embedded.negative.defined());
}

TEST_CASE("a solver trains parameters that want it: no buffers, none that are kept fixed") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), flat);
  Open solver;
  solver.attach({encoder.ref()}, {*criterion});
  const at::Tensor trained = solver.parameter("trained", at::ones({1}));
  solver.buffer("buffer", at::ones({1}));
  solver.parameter("fixed", at::ones({1})).requires_grad_(false);
  REQUIRE(solver.trained().size() == 1);
  CHECK(solver.trained()[0].is_same(trained));
}

TEST_CASE("a solver embeds with a convolutional model of one sample, window by window") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  ModelInfo info = shape(2, 2);
  info.convolutional = true;
  Encoder encoder(info, flat);
  Open solver;
  solver.attach({encoder.ref()}, {*criterion});
  const at::Tensor samples = at::arange(10, at::kFloat).view({5, 2});
  CHECK(solver.transform(0, samples).equal(samples));
}

TEST_CASE("what failed first is said, not that the model's mode did not come back") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), flat);
  encoder.keep_evaluating();
  Open solver;
  solver.attach({encoder.ref()}, {*criterion});
  const grevy_loader loader = loader_of(1);
  const Caught caught = catch_error([&] { solver.validate(LoaderRef(&loader)); });
  CHECK(caught.text == "loader (host) next: failed with code 8 and no message");
  CHECK(encoder.modes() == std::vector<bool>{false, true});
}

TEST_CASE("a validation that is due without a loader for it is none") {
  const auto criterion = builtin_criterion("InfoNCE", "{}");
  Encoder encoder(shape(2, 2), flat);
  Open solver;
  solver.attach({encoder.ref()}, {*criterion});
  grevy_loader loader = loader_of(1);
  loader.next = [](void*, const grevy_batch* const**, std::uint64_t* count,
                   const grevy_error_sink*) {
    *count = 0;
    return std::int32_t{GREVY_OK};
  };
  int steps = 0;
  grevy_training training{};
  training.struct_size = sizeof(training);
  training.context = &steps;
  training.loader = &loader;
  training.num_steps = 3;
  training.end_step = [](void* context, std::int64_t, const grevy_statistic*, std::uint64_t,
                         std::uint32_t* actions, const grevy_error_sink*) {
    ++*static_cast<int*>(context);
    *actions = GREVY_ACTION_VALIDATE;
    return std::int32_t{GREVY_OK};
  };
  solver.fit(TrainingRef(&training));
  CHECK(steps == 3);
}

TEST_CASE("memory of a kernel is read as what it is, and no further") {
  float data[] = {1, 2};
  std::int64_t sizes[] = {2};
  grevy_view memory{};
  memory.data = data;
  memory.device_type = GREVY_CPU;
  memory.dims = 1;
  memory.type_code = 2;
  memory.type_bits = 32;
  memory.shape = sizes;
  const KernelView view(memory);
  CHECK(view.read<float>()[1] == 2);
  CHECK(catch_error([&] { view.size(-1); }).says("there is no axis -1 of 1"));
  CHECK(catch_error([&] { view.size(1); }).code == ErrorCode::out_of_range);
  CHECK(catch_error([&] { view.read<double>(); }).says("found elements of another type"));
  CHECK(catch_error([&] { view.read<std::int32_t>(); }).code == ErrorCode::invalid_type);
  grevy_kernel_views lent{};
  lent.inputs = &memory;
  lent.input_count = 1;
  const KernelViews views(lent);
  CHECK(views.input(0).count() == 2);
  CHECK(catch_error([&] { views.input(1); }).says("there is no view 1"));
  CHECK(catch_error([&] { views.kept(0); }).code == ErrorCode::out_of_range);
  CHECK(catch_error([&] { views.input_gradient(0); }).says("there is no view 0"));
  memory.device_type = GREVY_CUDA;
  CHECK(catch_error([&] { view.read<float>(); }).says("works on the CPU alone"));
}

TEST_CASE("kernels need a host that has them, a kernel and elements that it makes") {
  struct Nothing : Kernel {
    void forward(const KernelViews&) const override {}
  };
  grevy_create_args args = arguments();
  const Kernels runner{Context(args)};
  const at::Tensor x = at::ones({2});
  CHECK(catch_error([&] { runner.run("none", nullptr, {x}, {}); }).says("none: found no kernel"));
  CHECK(catch_error([&] {
          runner.run("short", std::make_unique<Nothing>(), {x}, {{at::kShort, {2}}});
        }).says("types are GREVY_FLOAT32 (0) to GREVY_BOOL (5)"));
  grevy_host bare = plugin_host();
  bare.extension = [](const grevy_host*, grevy_text) -> const void* { return nullptr; };
  args.host = &bare;
  const Context context(args);
  const Caught caught = catch_error([&] { const Kernels kernels(context); });
  CHECK(caught.code == ErrorCode::incompatible);
  CHECK(caught.says("needs a host with grevy.kernel/1"));
}

TEST_CASE("the Jacobian's norm where a gradient shares its memory, and no parameter to train") {
  // Every derivative of a sum is 1, one number in memory.
  const at::Tensor x = at::arange(6, at::kFloat).view({2, 3}).requires_grad_(true);
  CHECK(exact_jacobian_penalty(x, x.sum(1, true)).item<double>() == doctest::Approx(1.5));
  CHECK_THROWS_WITH_AS(backward_for({}, at::ones({})), doctest::Contains("does not require grad"),
                       c10::Error);
}

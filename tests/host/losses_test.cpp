// Losses of objectives: supervised ones against their formulas, several in one criterion, and the
// schedulers of their weights.
#include "trainer_support.hpp"

#include <grevy/jacobian.hpp>
#include <grevy/scheduler.hpp>

#include <ATen/CPUGeneratorImpl.h>

using namespace grevy;
using namespace grevy::tests;
using nlohmann::json;

namespace {

// Predictions and targets of 4 samples with 3 features; classes one per sample.
const at::Tensor& found() {
  static const at::Tensor made = at::sin(counted({4, 3})).to(at::kFloat);
  return made;
}
const at::Tensor& values() {
  static const at::Tensor made = at::cos(0.7 * counted({4, 3})).to(at::kFloat);
  return made;
}
const at::Tensor& classes() {
  static const at::Tensor made = at::tensor({2, 0, 1, 2}, at::kLong);
  return made;
}

double loss_of(const std::string& name, const at::Tensor& reference, const at::Tensor& target,
               const json& options = json::object()) {
  const auto criterion = builtin_criterion(name, options.dump());
  CHECK(criterion->info().parts.empty());
  return criterion->evaluate({{reference, target, {}}}, 0).loss.item<double>();
}

// The mean over elements, by a formula of prediction and target.
template <class Formula>
double mean_of(const at::Tensor& reference, const at::Tensor& target, Formula&& formula) {
  const at::Tensor x = reference.to(at::kDouble).contiguous().flatten(),
                   y = target.to(at::kDouble).contiguous().flatten();
  double sum = 0;
  for (std::int64_t i = 0; i < x.numel(); ++i)
    sum += formula(x.data_ptr<double>()[i], y.data_ptr<double>()[i]);
  return sum / static_cast<double>(x.numel());
}

at::Tensor log_softmax(const at::Tensor& scores) {
  return scores.to(at::kDouble) - scores.to(at::kDouble).logsumexp(1, true);
}

// The mean over samples of minus the value in the column of the class.
double picked(const at::Tensor& logarithms) {
  return -logarithms.gather(1, classes().unsqueeze(1)).mean().item<double>();
}

Prediction contrastive_prediction(std::int64_t width) {
  return {inp({5, width}), at::sin(inp({5, width})), at::cos(2 * inp({6, width}))};
}

json entry(const char* mode, const json& loss) { return {{std::string(mode) + "_loss", loss}}; }

Owned<CriterionRef> multi(const json& losses, const char* mode = "contrastive") {
  return builtin_criterion("MultiCriterions", json{{"losses", losses}, {"mode", mode}}.dump());
}

double inverse(double x) { return std::exp(-x); }
double sigmoid(double x) { return 1 / (1 + inverse(x)); }

}  // namespace

TEST_CASE("losses of values follow their formulas, as a mean or a sum") {
  struct Row {
    std::string name;
    json options;
    at::Tensor reference, target;
    double (*formula)(double x, double y);
  };
  const at::Tensor rates = found().square() + 0.1, shares = at::sigmoid(values()),
                   counts = (5 * values()).square().floor(), signs = values().sign();
  const Row rows[] = {
      {"nn.MSELoss", json::object(), found(), values(),
       [](double x, double y) { return (x - y) * (x - y); }},
      {"nn.L1Loss", json::object(), found(), values(),
       [](double x, double y) { return std::abs(x - y); }},
      {"nn.SmoothL1Loss", json::object(), found(), values(),
       [](double x, double y) {
         const double d = std::abs(x - y);
         return d < 1 ? 0.5 * d * d : d - 0.5;
       }},
      {"nn.SmoothL1Loss",
       {{"beta", 0.4}},
       found(),
       values(),
       [](double x, double y) {
         const double d = std::abs(x - y);
         return d < 0.4 ? 0.5 * d * d / 0.4 : d - 0.2;
       }},
      {"nn.SmoothL1Loss",
       {{"beta", 0}},
       found(),
       values(),
       [](double x, double y) { return std::abs(x - y); }},
      {"nn.HuberLoss", json::object(), found(), values(),
       [](double x, double y) {
         const double d = std::abs(x - y);
         return d < 1 ? 0.5 * d * d : d - 0.5;
       }},
      {"nn.HuberLoss",
       {{"delta", 0.4}},
       found(),
       values(),
       [](double x, double y) {
         const double d = std::abs(x - y);
         return d < 0.4 ? 0.5 * d * d : 0.4 * (d - 0.2);
       }},
      {"nn.PoissonNLLLoss", json::object(), found(), counts,
       [](double x, double y) { return std::exp(x) - y * x; }},
      {"nn.PoissonNLLLoss",
       {{"log_input", false}},
       rates,
       counts,
       [](double x, double y) { return x - y * std::log(x + 1e-8); }},
      {"nn.PoissonNLLLoss",
       {{"log_input", false}, {"eps", 0.5}},
       rates,
       counts,
       [](double x, double y) { return x - y * std::log(x + 0.5); }},
      {"nn.PoissonNLLLoss",
       {{"full", true}},
       found(),
       counts,
       [](double x, double y) {
         const double stirling = y * std::log(y) - y + 0.5 * std::log(2 * std::acos(-1.) * y);
         return std::exp(x) - y * x + (y > 1 ? stirling : 0);
       }},
      {"nn.BCELoss", json::object(), at::sigmoid(found()), shares,
       [](double x, double y) { return -y * std::log(x) - (1 - y) * std::log(1 - x); }},
      {"nn.BCEWithLogitsLoss", json::object(), found(), shares,
       [](double x, double y) {
         return -y * std::log(sigmoid(x)) - (1 - y) * std::log(1 - sigmoid(x));
       }},
      {"nn.KLDivLoss", json::object(), log_softmax(found()).to(at::kFloat), shares,
       [](double x, double y) { return y * (std::log(y) - x); }},
      {"nn.KLDivLoss",
       {{"log_target", true}},
       log_softmax(found()).to(at::kFloat),
       values(),
       [](double x, double y) { return std::exp(y) * (y - x); }},
      {"nn.SoftMarginLoss", json::object(), found(), signs,
       [](double x, double y) { return std::log(1 + std::exp(-x * y)); }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(row.options.dump());
    const double wanted = mean_of(row.reference, row.target, row.formula);
    CHECK(loss_of(row.name, row.reference, row.target, row.options) ==
          doctest::Approx(wanted).epsilon(1e-5));
    CHECK(loss_of(row.name.substr(3), row.reference, row.target,
                  merged(row.options, {{"reduction", "sum"}})) ==
          doctest::Approx(12 * wanted).epsilon(1e-5));
  }
}

TEST_CASE("losses of classes follow their formulas") {
  const at::Tensor logarithms = log_softmax(found());
  const double wanted = picked(logarithms);
  CHECK(loss_of("nn.CrossEntropyLoss", found(), classes()) == doctest::Approx(wanted));
  CHECK(loss_of("nn.CrossEntropyLoss", found(), classes(), {{"reduction", "sum"}}) ==
        doctest::Approx(4 * wanted));
  const double all = -logarithms.mean().item<double>();
  CHECK(loss_of("nn.CrossEntropyLoss", found(), classes(), {{"label_smoothing", 0.3}}) ==
        doctest::Approx(0.7 * wanted + 0.3 * all));
  CHECK(loss_of("nn.NLLLoss", found(), classes()) == doctest::Approx(picked(found())));
  CHECK(loss_of("nn.NLLLoss", found(), classes(), {{"reduction", "sum"}}) ==
        doctest::Approx(4 * picked(found())));
  CHECK(loss_of("nn.NLLLoss", found(), classes().unsqueeze(1)) == doctest::Approx(picked(found())));
}

TEST_CASE("a target in one column may lie flat, and has the prediction's type") {
  const at::Tensor column = found().slice(1, 0, 1), target = values().slice(1, 0, 1);
  CHECK(loss_of("nn.MSELoss", column, target.squeeze(1)) == loss_of("nn.MSELoss", column, target));
  CHECK(loss_of("nn.MSELoss", column, target.to(at::kDouble)) ==
        loss_of("nn.MSELoss", column, target));
}

TEST_CASE("predictions and targets that do not fit a loss are refused") {
  const auto refused = [](const char* name, const at::Tensor& reference, const at::Tensor& target,
                          const char* text) {
    const std::string message = refusal([&] { loss_of(name, reference, target); });
    CHECK_MESSAGE(contains(message, text), message);
  };
  refused("nn.MSELoss", found(), values().slice(1, 0, 1),
          "needs a target of the prediction's shape, [4, 3]; found [4, 1]");
  refused("nn.MSELoss", found(), values().slice(1, 0, 1).squeeze(1), "found [4, 1]");
  refused("nn.MSELoss", found(), {}, "found nothing");
  refused("nn.MSELoss", found().flatten(), values(), "needs predictions (n, d); found [12]");
  refused("nn.MSELoss", found().slice(0, 0, 0), values(), "needs predictions (n, d)");
  refused("nn.CrossEntropyLoss", found(), values(), "needs integer classes, one per row");
  refused("nn.CrossEntropyLoss", found(), classes().slice(0, 0, 3), "one per row");
  refused("nn.CrossEntropyLoss", found(), {}, "found nothing");
  refused("nn.CrossEntropyLoss", found(), classes() + 1, "needs classes from 0 to 2; found 1 to 3");
  refused("nn.NLLLoss", found(), classes() - 1, "needs classes from 0 to 2; found -1 to 1");
  const std::string none = refusal([] { builtin_criterion("nn.MSELoss", "{}")->evaluate({}, 0); });
  CHECK_MESSAGE(contains(none, "takes 1 prediction; found 0"), none);
  const std::pair<const char*, const char*> options[] = {
      {"nn.MSELoss", R"({"reduction": "none"})"},
      {"nn.SmoothL1Loss", R"({"beta": -1})"},
      {"nn.HuberLoss", R"({"delta": 0})"},
      {"nn.CrossEntropyLoss", R"({"label_smoothing": 1.5})"},
      {"nn.PoissonNLLLoss", R"({"eps": 0})"}};
  for (const auto& [name, bad] : options) {
    const std::string message = refusal([&, n = name, b = bad] { builtin_criterion(n, b); });
    CHECK_MESSAGE(contains(message, "must be"), message);
  }
}

// ---- several losses
// ------------------------------------------------------------------------------

TEST_CASE("each loss sees its own prediction; the sum is minimised") {
  const auto criterion =
      multi({entry("contrastive", {{"name", "InfoNCE"}}),
             entry("contrastive", {{"name", "InfoMSE"}, {"kwargs", {{"temperature", 0.5}}}})});
  CHECK(criterion->info().parts == std::vector<std::string>{"loss_0", "loss_1"});
  CHECK(criterion->info().parts_are_losses);
  const Prediction first = contrastive_prediction(2), second = contrastive_prediction(3);
  const Evaluation sum = criterion->evaluate({first, second}, 2);
  const auto alone = [](const char* name, const char* options, const Prediction& p) {
    return builtin_criterion(name, options)->evaluate({p}, 2).loss.item<double>();
  };
  const double losses[] = {alone("InfoNCE", "{}", first),
                           alone("InfoMSE", R"({"temperature": 0.5})", second)};
  CHECK(sum.parts[0].item<double>() == losses[0]);
  CHECK(sum.parts[1].item<double>() == losses[1]);
  CHECK(sum.loss.item<double>() == doctest::Approx(losses[0] + losses[1]));
  Statistics statistics = criterion->statistics();
  REQUIRE(statistics.size() == 2);
  CHECK(value_of(statistics, "temperature_0") == 1);
  CHECK(value_of(statistics, "temperature_1") == 0.5);
}

TEST_CASE("an entry has a loss for each mode, and torch's names are known") {
  const json both = {{"contrastive_loss", {{"name", "InfoNCE"}}},
                     {"supervised_loss", {{"name", "torch.nn.L1Loss"}}}};
  const auto supervised =
      multi({both, entry("supervised", {{"name", "nn.MSELoss"}})}, "supervised");
  const Evaluation sum =
      supervised->evaluate({{found(), values(), {}}, {found(), values(), {}}}, 2);
  CHECK(sum.parts[0].item<double>() == loss_of("nn.L1Loss", found(), values()));
  CHECK(sum.parts[1].item<double>() == loss_of("nn.MSELoss", found(), values()));
  CHECK(multi(json::array({both}))->evaluate({contrastive_prediction(2)}, 1).parts.size() == 1);
}

TEST_CASE("losses that are not there, and predictions that do not fit, are refused") {
  const json info_nce = entry("contrastive", {{"name", "InfoNCE"}});
  struct Case {
    json losses;
    const char* mode;
    std::string text;
  };
  json backwards = info_nce, wide = info_nce;
  backwards["indices"] = {2, 2};
  const Case cases[] = {
      {json::array(), "contrastive", "losses is empty; needs at least 1"},
      {json::array({info_nce}), "supervised",
       "losses[0] has no \"supervised_loss\", which mode \"supervised\" needs"},
      {json::array({info_nce, entry("supervised", {{"name", "nn.MSELoss"}})}), "contrastive",
       "losses[1] has no \"contrastive_loss\""},
      {json::array({entry("contrastive", {{"name", "InfoN"}})}), "contrastive",
       "there is no criterion \"InfoN\""},
      {json::array({entry("supervised", {{"name", "nn.HingeLoss"}})}), "supervised",
       "there is no criterion \"nn.HingeLoss\""},
      {json::array({entry("contrastive", {{"name", "InfoNCE"}, {"kwargs", {{"temp", 1}}}})}),
       "contrastive", "unknown option \"temp\"; known: temperature"},
      {json::array({backwards}), "contrastive", "losses[0].indices: found [2,2]; must be"},
      {json::array({info_nce}), "mixed",
       "found \"mixed\"; must be one of \"contrastive\", \"supervised\""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.losses.dump());
    const std::string message = refusal([&] { multi(c.losses, c.mode); });
    CHECK_MESSAGE(contains(message, c.text), message);
  }
  const std::pair<json, std::string> by_schema[] = {
      {json::array(), "/criterion/losses: found []"},
      {json::array({json{{"loss", {{"name", "InfoNCE"}}}}}),
       "/criterion/losses/0/loss: unknown key"},
      {json::array({entry("contrastive", {{"kwargs", json::object()}})}),
       "/criterion/losses/0/contrastive_loss: the key \"name\" is missing"},
      {json::array({merged(info_nce, {{"indices", {1, 2, 3}}})}),
       "/criterion/losses/0/indices: found"}};
  for (const auto& [losses, text] : by_schema) {
    const json experiment = {{"model", {{"name", "offset1-model"}}},
                             {"criterion", {{"name", "MultiCriterions"}, {"losses", losses}}}};
    const std::string message = refusal([&] { host::Experiment(builtin_host(), experiment); });
    CHECK_MESSAGE(contains(message, text), message);
  }
  wide["indices"] = {1, 4};
  const auto one = multi(json::array({wide}));
  CHECK_NOTHROW(one->evaluate({contrastive_prediction(3)}, 1));
  CHECK(contains(refusal([&] { one->evaluate({contrastive_prediction(2)}, 1); }),
                 "losses[0] is for 3 features; the prediction has 2"));
  CHECK(contains(refusal([&] {
                   one->evaluate({contrastive_prediction(3), contrastive_prediction(3)}, 1);
                 }),
                 "takes 1 prediction(s), one per loss; found 2"));
}

// ---- schedulers and the regulariser
// --------------------------------------------------------------

TEST_CASE("schedulers give weights by the step") {
  using Weights = Scheduler::Weights;
  const json line = {{"name", "linear-scheduler"},  {"n_splits", 2},
                     {"step_to_switch_on_reg", 10}, {"step_to_switch_off_reg", 20},
                     {"start_weight", 0},           {"end_weight", 1}};
  const auto with = [&](const json& changes) { return Scheduler(merged(line, changes), 2); };
  const Scheduler plain = with(json::object()), ramp = with({{"name", "linear-ramp-up"}}),
                  staying = with({{"stay_constant_after_switch_off", true}});
  for (const Scheduler* s : {&plain, &ramp, &staying}) {
    CHECK(s->get_weights(9) == Weights());
    CHECK(s->get_weights(10) == std::vector<double>{0, 0});
    CHECK(s->get_weights(15) == std::vector<double>{0.5, 0.5});
    CHECK(s->get_weights(20) == std::vector<double>{1, 1});
    CHECK(s->num_weights() == 2);
  }
  CHECK(plain.get_weights(21) == Weights());
  CHECK(ramp.get_weights(21) == std::vector<double>{1, 1});
  CHECK(staying.get_weights(1000) == std::vector<double>{1, 1});
  const Scheduler falling = with({{"start_weight", 2}, {"end_weight", -1}});
  CHECK(falling.get_weights(15) == std::vector<double>{0.5, 0.5});

  json counted_elsewhere = line;
  counted_elsewhere.erase("n_splits");
  CHECK(Scheduler(counted_elsewhere, 3).get_weights(20) == std::vector<double>{1, 1, 1});

  const Scheduler constant({{"name", "constant-weight"}, {"initial_weights", {0.2, 3}}}, 2);
  for (const std::int64_t step : {0, 7, 1000000})
    CHECK(constant.get_weights(step) == std::vector<double>{0.2, 3});
  const Scheduler empty({{"name", "constant-weight"}, {"initial_weights", json::array()}}, 2);
  CHECK(empty.get_weights(0) == Weights());
  CHECK(empty.empty());
  CHECK(Scheduler(nullptr, 2).get_weights(5) == Weights());
  CHECK(Scheduler(nullptr, 2).num_weights() == 0);
}

TEST_CASE("schedulers that cannot be are refused") {
  const json line = {{"name", "linear-ramp-up"},
                     {"step_to_switch_on_reg", 10},
                     {"step_to_switch_off_reg", 20},
                     {"start_weight", 0},
                     {"end_weight", 1}};
  const auto changed = [&](const char* key, const json& value) {
    json spec = line;
    spec[key] = value;
    return spec;
  };
  json incomplete = line;
  incomplete.erase("end_weight");
  const std::pair<json, const char*> cases[] = {
      {changed("step_to_switch_off_reg", 10),
       "step_to_switch_off_reg is 10; must be above step_to_switch_on_reg, 10"},
      {changed("n_splits", 0), "n_splits is 0; must be at least 1"},
      {changed("n_splits", -3), "n_splits is -3; must be at least 1"},
      {changed("slope", 1), "unknown argument \"slope\"; known: n_splits, step_to_switch_on_reg"},
      {changed("name", "cosine"), "there is no scheduler \"cosine\"; known: constant-weight"},
      {changed("start_weight", "much"), "must be number"},
      {incomplete, "'end_weight' not found"},
      {{{"name", "constant-weight"}}, "'initial_weights' not found"},
      {{{"name", "constant-weight"}, {"initial_weights", {1}}, {"n_splits", 1}},
       "unknown argument \"n_splits\"; known: initial_weights"},
      {{{"initial_weights", {1}}}, "'name' not found"},
      {json::array(), "scheduler []"},
  };
  for (const auto& [spec, text] : cases) {
    const std::string message = refusal([&, given = spec] { Scheduler(given, 2); });
    CHECK_MESSAGE(contains(message, text), message);
    CHECK(refusal_code([&, given = spec] { Scheduler(given, 2); }) == ErrorCode::invalid_value);
  }
}

TEST_CASE("the penalty is half the mean squared norm of the Jacobian") {
  // y = A x: the Jacobian is A for every sample.
  const at::Tensor a = inp({3, 4});
  const at::Tensor x = at::sin(counted({6, 4})).to(at::kFloat).requires_grad_(true);
  const double wanted = 0.5 * a.square().sum().item<double>();
  CHECK(exact_jacobian_penalty(x, x.matmul(a.t())).item<double>() == doctest::Approx(wanted));
  auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
  const at::Tensor directions = random_directions(3000, {6, 3}, generator);
  CHECK(directions.sizes() == at::IntArrayRef({3000, 6, 3}));
  CHECK(at::allclose(directions.norm(2, 2), at::ones({3000, 6}), 0, 1e-5));
  CHECK(projected_jacobian_penalty(x, x.matmul(a.t()), directions).item<double>() ==
        doctest::Approx(wanted).epsilon(0.02));
  // One output: a projection on it is exact.
  const at::Tensor one = x.matmul(a.slice(0, 0, 1).t());
  CHECK(
      projected_jacobian_penalty(x, one, random_directions(1, {6, 1}, generator)).item<double>() ==
      doctest::Approx(exact_jacobian_penalty(x, one).item<double>()));
  // The graph goes on: d/ds of half the squared norm of s A is s |A|^2.
  const at::Tensor s = at::full({}, 2, at::kFloat).requires_grad_(true);
  exact_jacobian_penalty(x, s * x.matmul(a.t())).backward();
  CHECK(s.grad().item<double>() == doctest::Approx(2 * a.square().sum().item<double>()));
}

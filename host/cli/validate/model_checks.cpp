// Models: does the description hold, and do parameters and mode say all there is to say?
#include "check.hpp"

#include <ATen/core/grad_mode.h>

#include <map>

namespace grevy::cli {
namespace {

constexpr double kTolerance = 1e-4;  // float32, sums in another order

at::Tensor windows_of(host::Random& random, const ModelInfo& info, std::int64_t n,
                      std::int64_t length) {
  return normal(random, {n, info.num_input, length}).to(at::kFloat);
}

// In evaluation mode and without gradients.
at::Tensor embed(const ModelRef& model, const at::Tensor& windows) {
  const at::NoGradGuard no_grad;
  model.set_training(false);
  return model.forward(windows);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

void description(const Subject& subject) {
  const auto model = subject.make_model();
  host::check_model(*model, subject.create_options("component"));
  std::map<std::string, int> names;
  for (const NamedTensor& t : model->tensors())
    if (!t.tensor.defined() || ++names[t.name] > 1)
      throw Failed("the tensor \"" + t.name + "\" is there twice, or undefined");
}

void shapes(const Subject& subject) {
  const auto model = subject.make_model();
  const ModelInfo info = model->info();
  host::Random random = subject.random("windows");
  for (const std::int64_t n : {1, 2, 7}) {
    const at::Tensor output = embed(*model, windows_of(random, info, n, info.offset.length()));
    if (output.sizes() != at::IntArrayRef({n, info.num_output}))
      throw Failed("a batch of " + std::to_string(n) + " gives shape " + text_of_shape(output) +
                   "; must be [" + std::to_string(n) + ", " + std::to_string(info.num_output) +
                   "]");
    if (!output.isfinite().all().item<bool>())
      throw Failed("normally distributed windows give NaN or infinity");
  }
}

void length(const Subject& subject) {
  const auto model = subject.make_model();
  const ModelInfo info = model->info();
  if (!info.normalized) throw Skipped("does not say that it normalises");
  host::Random random = subject.random("windows");
  const at::Tensor lengths =
      embed(*model, windows_of(random, info, 9, info.offset.length())).norm(2, 1);
  const double off = largest_difference(lengths, at::ones_like(lengths));
  if (!(off <= kTolerance))
    throw Failed("an embedding's length is off 1 by " + std::to_string(off));
}

std::vector<at::Tensor> copies(const NamedTensors& tensors) {
  std::vector<at::Tensor> values;
  for (const NamedTensor& t : tensors) values.push_back(t.tensor.detach().clone());
  return values;
}

void evaluation(const Subject& subject) {
  const auto model = subject.make_model();
  const ModelInfo info = model->info();
  host::Random random = subject.random("windows");
  const at::Tensor windows = windows_of(random, info, 5, info.offset.length());
  const std::vector<at::Tensor> before = copies(model->tensors());
  const at::Tensor first = embed(*model, windows).clone();
  embed(*model, windows_of(random, info, 3, info.offset.length()));
  const at::Tensor second = embed(*model, windows);
  if (!at::equal(first, second))
    throw Failed("the same windows gave embeddings that differ by up to " +
                 std::to_string(largest_difference(first, second)));
  const NamedTensors after = model->tensors();
  for (std::size_t i = 0; i < after.size(); ++i)
    if (!at::equal(before.at(i), after[i].tensor))
      throw Failed("evaluation changed the tensor \"" + after[i].name + "\"");
}

void round_trip(const Subject& subject) {
  const auto model = subject.make_model(), other = subject.make_model("another component");
  const NamedTensors from = model->tensors(), into = other->tensors();
  if (from.size() != into.size()) throw Failed("another seed gives another number of tensors");
  {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i].name != into[i].name || from[i].tensor.sizes() != into[i].tensor.sizes())
        throw Failed("another seed gives other tensors: \"" + from[i].name + "\" and \"" +
                     into[i].name + "\"");
      at::Tensor target = into[i].tensor;
      target.copy_(from[i].tensor);
    }
  }
  const ModelInfo info = model->info();
  host::Random random = subject.random("windows");
  const at::Tensor windows = windows_of(random, info, 5, info.offset.length());
  const double difference = largest_difference(embed(*model, windows), embed(*other, windows));
  if (!(difference <= kTolerance))
    throw Failed("two models with the same tensors differ by up to " + std::to_string(difference));
}

// Some networks start with zeros that hold gradients back: a little noise lets them through.
void disturb(const NamedTensors& tensors, host::Random& random) {
  const at::NoGradGuard no_grad;
  for (const NamedTensor& t : tensors) {
    if (!t.trained) continue;
    at::Tensor target = t.tensor;
    target.add_(normal(random, target.sizes()).to(target.options()), 0.05);
  }
}

void gradient(const Subject& subject) {
  const auto model = subject.make_model();
  const ModelInfo info = model->info();
  const NamedTensors tensors = model->tensors();
  host::Random random = subject.random("windows");
  disturb(tensors, random);
  model->set_training(true);
  for (int repetition = 0; repetition < 3; ++repetition) {
    at::Tensor sum = at::zeros({});
    const at::Tensor windows = windows_of(random, info, 16, info.offset.length());
    for (const at::Tensor& output : model->forward_all(windows, info.num_tensors))
      sum = sum + (output * normal(random, output.sizes()).to(output.options())).sum();
    if (sum.requires_grad()) sum.backward();
  }
  for (const NamedTensor& t : tensors) {
    if (!t.trained) continue;
    if (!t.tensor.grad().defined()) throw Failed("no gradient reaches \"" + t.name + "\"");
    if (!t.tensor.grad().isfinite().all().item<bool>())
      throw Failed("the gradient of \"" + t.name + "\" is not finite");
    if (!t.tensor.grad().ne(0).any().item<bool>())
      throw Failed("the gradient of \"" + t.name + "\" is zero everywhere");
  }
}

void sequence(const Subject& subject) {
  const auto model = subject.make_model();
  const ModelInfo info = model->info();
  if (!info.convolutional) throw Skipped("is not convolutional");
  host::Random random = subject.random("series");
  const std::int64_t window = info.offset.length(), rows = 6;
  const std::int64_t samples = window + (rows - 1) * info.resample_factor;
  const at::Tensor series = windows_of(random, info, 1, samples);
  const at::Tensor whole = embed(*model, series);
  if (whole.sizes() != at::IntArrayRef({1, info.num_output, rows}))
    throw Failed(std::to_string(samples) + " samples give shape " + text_of_shape(whole) +
                 "; must be [1, " + std::to_string(info.num_output) + ", " + std::to_string(rows) +
                 "]");
  const at::Tensor cut = series[0].t().unfold(0, window, info.resample_factor);
  const double difference = largest_difference(whole[0].t(), embed(*model, cut));
  if (!(difference <= kTolerance))
    throw Failed("a sequence and its windows give embeddings that differ by up to " +
                 std::to_string(difference));
}

// Windows that overlap, lie apart, come twice, and reach both ends.
void samples(const Subject& subject) {
  const auto model = subject.make_model();
  if (!model->embeds_samples()) throw Skipped("embeds windows only");
  const ModelInfo info = model->info();
  host::Random random = subject.random("series");
  const std::int64_t length = info.offset.length(), rows = 3 * length + 20, last = rows - length;
  const at::Tensor series = normal(random, {rows, info.num_input}).to(at::kFloat);
  const at::Tensor windows = series.unfold(0, length, 1);
  std::vector<at::Tensor> starts = {at::tensor({last, std::int64_t{0}, std::int64_t{2}}),
                                    at::tensor({std::int64_t{1}, last, last, last / 2})};
  std::vector<at::Tensor> sets;
  for (const at::Tensor& set : starts) sets.push_back(set + info.offset.left);
  model->set_training(false);
  const at::NoGradGuard no_grad;
  const auto found = model->forward_samples(series, sets, info.num_tensors);
  for (std::size_t s = 0; s < sets.size(); ++s) {
    const auto expected = model->forward_all(windows.index_select(0, starts[s]), info.num_tensors);
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (found[s][i].sizes() != expected[i].sizes() ||
          !(largest_difference(found[s][i], expected[i]) <= kTolerance))
        throw Failed("set " + std::to_string(s) + ", output " + std::to_string(i) + ", " +
                     text_of_shape(found[s][i]) + ": differs from that of its windows, " +
                     text_of_shape(expected[i]));
  }
}

void seed(const Subject& subject) {
  const auto model = subject.make_model(), twin = subject.make_model();
  const NamedTensors first = model->tensors(), second = twin->tensors();
  for (std::size_t i = 0; i < first.size(); ++i)
    if (!at::equal(first[i].tensor, second.at(i).tensor))
      throw Failed("\"" + first[i].name + "\" differs between two models of one seed");
  const ModelInfo info = model->info();
  host::Random random = subject.random("windows");
  const at::Tensor windows = windows_of(random, info, 5, info.offset.length());
  if (!at::equal(embed(*model, windows), embed(*twin, windows)))
    throw Failed("two models of one seed give different embeddings");
}

}  // namespace

Checks model_checks() {
  return {
      {"description", description, "info() is valid and the outputs have the shapes it promises",
       "num_input must be Context::num_input; forward() gives (n, num_output) for one window each",
       true},
      {"shapes", shapes, "batches of any size give finite embeddings, (n, num_output)",
       "squeeze() without an axis drops the batch's when n is 1"},
      {"length", length, "embeddings have length 1 where info().normalized says so",
       "divide by norm(2, 1, true), or leave info().normalized false"},
      {"evaluation", evaluation, "in evaluation mode the same windows give the same embeddings",
       "dropout and running means belong to is_training() alone"},
      {"round-trip", round_trip, "a model with the parameters and buffers of another is like it",
       "register all state with parameter() and buffer(); checkpoints hold nothing else"},
      {"gradient", gradient, "a gradient reaches every parameter",
       "a parameter without effect is a buffer or a mistake; look for detach() and item()"},
      {"sequence", sequence, "a convolutional model gives for a sequence what it gives for windows",
       "no padding, offset as long as the receptive field; or leave info().convolutional false"},
      {"samples", samples, "sample numbers are embedded like the windows they stand for",
       "sample s has the window from row s - offset.left on; or leave embeds_samples() false"},
      {"seed", seed, "the same seed gives the same parameters and embeddings",
       "draw from Context::generator(), never from LibTorch's global generator"},
  };
}

}  // namespace grevy::cli

#include <grevy/host/random.hpp>
#include <grevy/host/stream.hpp>
#include <grevy/stream.h>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace grevy::host {
namespace {

// How samples become embeddings, without padding.
class Pusher {
 public:
  virtual ~Pusher() = default;
  virtual bool push(const float* sample, float* embedding) = 0;
  virtual void reset() = 0;
};

// By the model's own stream.
class Incremental : public Pusher {
 public:
  Incremental(const grevy_stream_table& table, const ModelRef& model) : table_(table) {
    detail::ErrorCatcher({model.plugin(), model.component(), "open a stream"})
        .run([&](auto* errors) { return table_.open(table_.context, &stream_, errors); });
  }
  ~Incremental() override { table_.close(stream_); }
  Incremental(const Incremental&) = delete;
  Incremental& operator=(const Incremental&) = delete;

  bool push(const float* sample, float* embedding) override {
    return table_.push(stream_, sample, embedding) != 0;
  }
  void reset() override { table_.reset(stream_); }

 private:
  grevy_stream_table table_;
  grevy_stream* stream_ = nullptr;
};

// By transforming the last L samples. They lie side by side: each is written twice.
class Windows : public Pusher {
 public:
  Windows(SolverRef solver, std::int64_t session, const ModelInfo& info, at::Device device)
      : solver_(std::move(solver)),
        session_(session),
        length_(info.offset.length()),
        num_output_(info.num_output),
        device_(device),
        rows_(at::zeros({2 * length_, info.num_input}, at::kFloat)) {}

  bool push(const float* sample, float* embedding) override {
    const std::int64_t width = rows_.size(1);
    for (const std::int64_t row : {next_, next_ + length_})
      std::copy_n(sample, width, rows_.data_ptr<float>() + row * width);
    next_ = (next_ + 1) % length_;
    count_ = std::min(count_ + 1, length_);
    if (count_ < length_) return false;
    const at::Tensor window = rows_.slice(0, next_, next_ + length_).to(device_);
    const at::Tensor row = solver_.transform(session_, window).to(at::kCPU, at::kFloat);
    if (row.numel() != num_output_)
      throw PluginError(ErrorCode::invalid_value,
                        "returned " + std::to_string(row.numel()) +
                            " numbers for one window; needed: " + std::to_string(num_output_),
                        solver_.plugin(), solver_.component(), "transform");
    std::copy_n(row.contiguous().data_ptr<float>(), row.numel(), embedding);
    return true;
  }
  void reset() override { next_ = count_ = 0; }

 private:
  SolverRef solver_;
  std::int64_t session_, length_, num_output_;
  at::Device device_;
  at::Tensor rows_;
  std::int64_t next_ = 0, count_ = 0;
};

bool is_whole(const grevy_stream_table* table) {
  return table != nullptr && GREVY_COVERS(table, push) && table->open != nullptr &&
         table->close != nullptr && table->reset != nullptr && table->push != nullptr;
}

// Whether both embed a few made-up samples alike: a solver may do more than ask the model.
bool agree(Pusher& a, Pusher& b, const ModelInfo& info) {
  Random random(1, "stream");
  std::vector<float> sample(static_cast<std::size_t>(info.num_input));
  std::vector<float> of_a(static_cast<std::size_t>(info.num_output)), of_b = of_a;
  bool alike = true;
  for (std::int64_t i = 0; i < info.offset.length() + 3; ++i) {
    for (float& x : sample) x = static_cast<float>(random.normal());
    const bool a_gave = a.push(sample.data(), of_a.data());
    if (a_gave != b.push(sample.data(), of_b.data())) alike = false;
    for (std::size_t d = 0; alike && a_gave && d < of_a.size(); ++d)
      alike = std::abs(of_a[d] - of_b[d]) <= 1e-4F * std::max(1.0F, std::abs(of_b[d]));
  }
  a.reset();
  b.reset();
  return alike;
}

}  // namespace

struct Stream::Impl {
  ModelInfo info;
  bool pad = true, incremental = false, started = false;
  std::unique_ptr<Pusher> pusher;
};

Stream::Stream(const Trainer& trainer, const StreamOptions& options)
    : impl_(std::make_unique<Impl>()) {
  Impl& s = *impl_;
  s.info = trainer.model_info(options.session);
  s.pad = options.pad;
  if (s.info.resample_factor != 1)
    throw Error(ErrorCode::unimplemented,
                trainer.model(options.session).component() + " gives one embedding for " +
                    std::to_string(s.info.resample_factor) + " samples; streams give one for each");
  const bool joined = trainer.solver_info().sessions == SolverInfo::Sessions::joined;
  s.pusher = std::make_unique<Windows>(trainer.solver(), joined ? 0 : options.session, s.info,
                                       parse_device(trainer.experiment().device()));
  const ModelRef model = trainer.model(options.session);
  const auto* table =
      static_cast<const grevy_stream_table*>(model.extension(GREVY_STREAM_EXTENSION));
  if (!is_whole(table)) return;
  auto incremental = std::make_unique<Incremental>(*table, model);
  s.incremental = agree(*incremental, *s.pusher, s.info);
  if (s.incremental) s.pusher = std::move(incremental);
}

Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;

Stream::Impl& Stream::impl() const {
  if (!impl_) throw Error(ErrorCode::invalid_state, "this Stream was moved from");
  return *impl_;
}

std::int64_t Stream::num_input() const { return impl().info.num_input; }
std::int64_t Stream::num_output() const { return impl().info.num_output; }
std::int64_t Stream::delay() const { return impl().info.offset.right - 1; }
bool Stream::is_incremental() const { return impl().incremental; }

bool Stream::push(const float* sample, float* embedding) {
  Impl& s = impl();
  if (sample == nullptr || embedding == nullptr)
    throw Error(ErrorCode::invalid_value, "push() needs a sample and a place for the embedding");
  if (s.pad && !s.started)
    for (std::int64_t i = 0; i < s.info.offset.left; ++i) s.pusher->push(sample, embedding);
  s.started = true;
  return s.pusher->push(sample, embedding);
}

void Stream::reset() {
  Impl& s = impl();
  s.pusher->reset();
  s.started = false;
}

}  // namespace grevy::host

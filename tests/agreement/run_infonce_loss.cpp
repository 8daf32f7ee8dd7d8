// metric with num_batches: mean loss over stored batches, as a validation computes it.
#include "runners.hpp"
#include "sampling/window_gather.hpp"
#include "session.hpp"

#include <cmath>

namespace grevy::agreement {
namespace {

class StoredLoader {
 public:
  explicit StoredLoader(std::vector<Batch> batches) : batches_(std::move(batches)) {
    table_.struct_size = sizeof(table_);
    table_.context = this;
    table_.num_batches = static_cast<std::int64_t>(batches_.size());
    table_.next = [](void* context, const grevy_batch* const** next, std::uint64_t* count,
                     const grevy_error_sink* errors) {
      return detail::guarded(errors, {"agreement", "loader", "next"}, [&] {
        auto& self = *static_cast<StoredLoader*>(context);
        const Batch& batch = self.batches_.at(self.next_++);
        self.lent_ = std::make_unique<detail::CBatches>(std::vector<Batch>{batch});
        *next = self.lent_->data();
        *count = self.lent_->size();
      });
    };
  }
  StoredLoader(const StoredLoader&) = delete;
  StoredLoader& operator=(const StoredLoader&) = delete;
  const grevy_loader& table() const { return table_; }

 private:
  std::vector<Batch> batches_;
  std::size_t next_ = 0;
  std::unique_ptr<detail::CBatches> lent_;
  grevy_loader table_{};
};

}  // namespace

void run_infonce_loss(const Case& c, const Bench& bench, Comparison& result) {
  const at::Tensor neural = c.tensor("neural");
  const Session session(c, bench, {neural.size(1)}, "state/");
  const host::WindowGather windows(neural, session.model().info().offset, at::kCPU);
  const auto gather = [&](const at::Tensor& indices) {
    at::Tensor fresh;
    return windows.gather(whole_numbers(indices), fresh);
  };
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < c.param<std::int64_t>("num_batches"); ++i) {
    const Batch indices = stored_batches(c, i).front();
    batches.emplace_back();
    batches.back().reference = gather(indices.reference);
    batches.back().positives = {gather(indices.positives.front())};
    batches.back().negative = gather(indices.negative);
  }
  const StoredLoader loader(std::move(batches));
  const double loss = session.solver().validate(loader.table()).loss;
  const double expected = c.number("value");
  const double chance = std::log(c.param<double>("batch_size"));
  result.number("value", loss, expected, tolerance::forward);
  // The difference of two numbers keeps their rounding.
  const Tolerance corrected{0, tolerance::forward.relative * expected, 0};
  result.number("corrected", loss - chance, c.number("corrected"), corrected);
}

}  // namespace grevy::agreement

// Noise-contrastive estimation: each pair is classified as positive or negative by its similarity.
//
// align_i = log sigmoid(reference_i . positive_i / T), uniform_i = reduce_j log
// sigmoid(-reference_i . negative_j / T). The reference's class returns these as quantities to
// maximise, one per sample; here the loss is -mean_i(align_i + negative_weight * uniform_i), so
// that a solver can minimise it.
#include <grevy/plugin.hpp>

namespace grevy::criterions {
namespace {

class NCE : public ContrastiveCriterion {
 public:
  struct Options {
    double temperature = 1.0;
    double negative_weight = 1.0;
    std::string_view reduce = "mean";
    static constexpr auto fields() {
      return grevy::fields(
          field("temperature", &Options::temperature, "Similarities are divided by it.").above(0),
          field("negative_weight", &Options::negative_weight, "Weight of the negatives.")
              .at_least(0),
          field("reduce", &Options::reduce, "How the negatives of a reference are combined.")
              .one_of("mean", "sum"));
    }
  };
  NCE(const Options& options, const Context&) : options_(options) {}

  bool expects_normalized() const override { return true; }

  Loss compute(const Prediction& p) override {
    const at::Tensor align =
        at::log_sigmoid((p.reference * p.positive).sum(1) / options_.temperature);
    const at::Tensor each =
        at::log_sigmoid(-at::mm(p.reference, p.negative.t()) / options_.temperature);
    const at::Tensor uniform = options_.reduce == "sum" ? each.sum(1) : each.mean(1);
    const at::Tensor pos = -align.mean(), neg = -options_.negative_weight * uniform.mean();
    return {pos + neg, pos, neg};
  }

  Statistics statistics() override { return {{"temperature", options_.temperature}}; }

 private:
  Options options_;
};

}  // namespace
}  // namespace grevy::criterions

GREVY_REGISTER(grevy::criterions::NCE, "NCE", "Noise-contrastive estimation on dot products.")

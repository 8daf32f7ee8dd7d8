// Takes memory until there is none.
#include <grevy/plugin.hpp>

namespace {

class Hoards : public grevy::ContrastiveCriterion {
 public:
  using Options = grevy::NoOptions;
  Hoards(const Options&, const grevy::Context&) {}
  Loss compute(const grevy::Prediction&) override {
    for (;;) hoard_.push_back(at::empty({std::int64_t{1} << 26}));
  }

 private:
  std::vector<at::Tensor> hoard_;
};

}  // namespace

GREVY_REGISTER(Hoards, "hoards", "For tests.")
GREVY_PLUGIN("zoo.hoards", "1.0.0")

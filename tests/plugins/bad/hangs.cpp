// Never comes back: busy in one model, asleep in the other.
#include <grevy/plugin.hpp>

#include <unistd.h>

namespace {

class Hanging : public grevy::Model {
 public:
  using Options = grevy::NoOptions;
  grevy::ModelInfo info() const override {
    grevy::ModelInfo info;
    info.num_input = num_input_;
    info.num_output = 3;
    return info;
  }

 protected:
  explicit Hanging(const grevy::Context& context) : num_input_(context.num_input) {}

 private:
  std::int64_t num_input_;
};

class Busy : public Hanging {
 public:
  Busy(const Options&, const grevy::Context& context) : Hanging(context) {}
  at::Tensor forward(const at::Tensor& windows) override {
    for (volatile bool goes_on = true; goes_on;) {
    }
    return windows;
  }
};

class Asleep : public Hanging {
 public:
  Asleep(const Options&, const grevy::Context& context) : Hanging(context) {}
  at::Tensor forward(const at::Tensor& windows) override {
    for (volatile bool goes_on = true; goes_on;) pause();
    return windows;
  }
};

}  // namespace

GREVY_REGISTER(Busy, "busy", "For tests.")
GREVY_REGISTER(Asleep, "asleep", "For tests.")
GREVY_PLUGIN("zoo.hangs", "1.0.0")

// grevy/host/random.hpp: explicit, portable, storable random numbers.
//
// One generator per purpose, derived from the experiment's seed: adding a consumer to one purpose
// never shifts the numbers of another. Same seed, same numbers on every platform; normal() goes
// through the C library's log and cos, whose last bit may differ between platforms.
// Engine: xoshiro256++ (Blackman & Vigna 2021, doi:10.1145/3460772), seeded through SplitMix64
// from the seed and the FNV-1a hash of the purpose's name.
#ifndef GREVY_HOST_RANDOM_HPP
#define GREVY_HOST_RANDOM_HPP

#include <array>
#include <cstdint>
#include <string_view>

namespace grevy::host {

// A generator. Copies go on by themselves from the same state; an object belongs to one thread at a
// time.
class Random {
 public:
  // All there is to store; never all zero.
  using State = std::array<std::uint64_t, 4>;

  // Any seed and purpose are allowed; other ones give unrelated numbers.
  Random(std::uint64_t seed, std::string_view purpose);

  std::uint64_t next();                    // 64 random bits
  std::int64_t below(std::int64_t bound);  // uniform on [0, bound), unbiased; bound >= 1, else
                                           // invalid_value
  double uniform();                        // uniform on [0, 1), 53 bits
  double normal();                         // standard normal; two uniforms a draw, no cached half

  const State& state() const { return state_; }  // after the numbers drawn so far
  // Goes on from one that state() gave. Errors: invalid_value for all zero, which none has and none
  // leaves.
  void restore(const State& state);

 private:
  State state_;
};

// The seed of a purpose, for generators that are not ours (LibTorch's, a plugin's).
std::uint64_t derive_seed(std::uint64_t seed, std::string_view purpose);

}  // namespace grevy::host

#endif

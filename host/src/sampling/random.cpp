#include <grevy/error.hpp>
#include <grevy/host/random.hpp>

#include <cmath>
#include <limits>
#include <string>

namespace grevy::host {
namespace {

constexpr double two_pi = 6.283185307179586476925286766559;

std::uint64_t rotate_left(std::uint64_t value, unsigned bits) {
  return (value << bits) | (value >> (64U - bits));
}

// SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195).
std::uint64_t split_mix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31U);
}

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char letter : text) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace

// The seed is mixed before the hash joins, so no two (seed, purpose) pairs meet by simple XOR.
std::uint64_t derive_seed(std::uint64_t seed, std::string_view purpose) {
  std::uint64_t state = seed;
  state = split_mix(state) ^ fnv1a(purpose);
  return split_mix(state);
}

// Four successive SplitMix64 outputs are distinct, so the state is never all zero.
Random::Random(std::uint64_t seed, std::string_view purpose) : state_{} {
  std::uint64_t source = derive_seed(seed, purpose);
  for (std::uint64_t& word : state_) word = split_mix(source);
}

void Random::restore(const State& state) {
  if (state == State{})
    throw Error(ErrorCode::invalid_value,
                "found a generator's state that is all zero; must be one that a generator had");
  state_ = state;
}

std::uint64_t Random::next() {
  auto& [a, b, c, d] = state_;
  const std::uint64_t result = rotate_left(a + d, 23) + a;
  const std::uint64_t shifted = b << 17U;
  c ^= a;
  d ^= b;
  b ^= c;
  a ^= d;
  c ^= shifted;
  d = rotate_left(d, 45);
  return result;
}

// Rejects the top of the range, not the bottom: even an all-zero state then ends the loop.
std::int64_t Random::below(std::int64_t bound) {
  if (bound < 1) {
    throw Error(ErrorCode::invalid_value,
                "random number below " + std::to_string(bound) + ": the bound must be at least 1");
  }
  const auto range = static_cast<std::uint64_t>(bound);
  const std::uint64_t surplus = (0 - range) % range;  // 2^64 mod range
  const std::uint64_t last = std::numeric_limits<std::uint64_t>::max() - surplus;
  std::uint64_t bits = next();
  while (bits > last) bits = next();
  return static_cast<std::int64_t>(bits % range);
}

double Random::uniform() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

// Box & Muller 1958; the radius takes 1 - u because u may be 0.
double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(two_pi * uniform());
}

}  // namespace grevy::host

// grevy/host/masking.hpp: parts of the windows set to zero, so that an encoder learns to do without
// them.
//
// A spec is a JSON object with up to four kinds of mask:
//   {"RandomNeuronMask": 0.2, "NeuronBlockMask": [0.1, 0.3],
//    "RandomTimestepMask": {"min": 0.1, "max": 0.5, "step": 0.1},
//    "TimeBlockMask": {"rate": 0.05, "length": 3}}
// For windows of L time steps and C channels, with the ratio r:
//   RandomNeuronMask    each channel of a sample is dropped with probability r, at all times
//   RandomTimestepMask  each time step of a sample is dropped with probability r, in all channels
//   NeuronBlockMask     floor(C r) consecutive channels; every place is equally likely
//   TimeBlockMask       floor(L rate) different time steps, each with the length - 1 that follow,
//                       as far as the window goes; the blocks may overlap
// A ratio is a number above 0 and below 1, an array of such numbers to draw from, or min, max and
// step, which stand for min, min + step, ... up to and including max. Where max is not reached by
// whole steps the last value stays below it: the reference goes past max there.
// Products are floored as doubles hold them: 100 * 0.29 gives 28.
#ifndef GREVY_HOST_MASKING_HPP
#define GREVY_HOST_MASKING_HPP

#include <grevy/host/random.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grevy::host {

// JSON Schema of a spec, for a schema that holds one. It cannot say min < max and
// step < max - min; the constructor of Masks does.
constexpr const char* masks_schema() {
  return R"json({
    "type": "object", "additionalProperties": false,
    "description": "Parts of the training windows to set to zero; of several kinds one is drawn each time.",
    "properties": {
      "RandomNeuronMask": {"description": "Drops each channel with this probability.", "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "array", "minItems": 1,
         "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
        {"type": "object", "additionalProperties": false, "required": ["min", "max", "step"],
         "properties": {"min": {"type": "number", "minimum": 0, "maximum": 1},
                        "max": {"type": "number", "minimum": 0, "maximum": 1},
                        "step": {"type": "number", "minimum": 0.0001, "maximum": 1}}}]},
      "RandomTimestepMask": {"description": "Drops each time step with this probability.", "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "array", "minItems": 1,
         "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
        {"type": "object", "additionalProperties": false, "required": ["min", "max", "step"],
         "properties": {"min": {"type": "number", "minimum": 0, "maximum": 1},
                        "max": {"type": "number", "minimum": 0, "maximum": 1},
                        "step": {"type": "number", "minimum": 0.0001, "maximum": 1}}}]},
      "NeuronBlockMask": {"description": "Drops this share of the channels, in one block.", "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "array", "minItems": 1,
         "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}},
        {"type": "object", "additionalProperties": false, "required": ["min", "max", "step"],
         "properties": {"min": {"type": "number", "minimum": 0, "maximum": 1},
                        "max": {"type": "number", "minimum": 0, "maximum": 1},
                        "step": {"type": "number", "minimum": 0.0001, "maximum": 1}}}]},
      "TimeBlockMask": {"description": "Drops blocks of time steps.",
        "type": "object", "additionalProperties": false, "required": ["rate", "length"],
        "properties": {
          "rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1,
            "description": "Blocks per time step of the window."},
          "length": {"type": "integer", "minimum": 1, "description": "Time steps in a block."}}}
    }
  })json";
}

// Immutable and safe to use from several threads, each with a Random of its own.
class Masks {
 public:
  // Errors: invalid_type for a wrong JSON type, invalid_value for an unknown or missing key and for
  // a number outside its range (min must be below max, step from 0.0001 to below max - min). The
  // text is "masks: /KIND: found ...; must be ...".
  explicit Masks(const nlohmann::json& spec);

  bool empty() const { return masks_.empty(); }  // of {}: nothing is masked

  // Sets parts of n windows to zero, in place. `rows` is (n, length, channels), channel fastest.
  // Draws one kind where there are several, then its ratio where there are several, both for the
  // whole call; then the mask of each sample. Draws nothing and changes nothing where empty().
  // Same spec, shape and state of `random`: same masks.
  void apply(Random& random, float* rows, std::int64_t n, std::int64_t length,
             std::int64_t channels) const;

 private:
  struct Mask {
    std::size_t kind;            // place in the table of kinds
    std::vector<double> ratios;  // never empty
    std::int64_t block_length;   // of TimeBlockMask
  };
  std::vector<Mask> masks_;  // in the order of the table, whatever that of the spec
};

}  // namespace grevy::host

#endif

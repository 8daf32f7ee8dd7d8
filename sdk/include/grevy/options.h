/* grevy/options.h: the extension "grevy.options/1" of the host: it reads the options of a component
 * that is written in C. (In C++ grevy/options.hpp does, from a table of fields.)
 */
#ifndef GREVY_OPTIONS_H
#define GREVY_OPTIONS_H

#include <grevy/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The id of this extension. */
#define GREVY_OPTIONS_EXTENSION "grevy.options/1"

/* Flags of grevy_number_option. */
enum {
  GREVY_OPTION_ABOVE = 1u << 0,   /* lowest itself is not allowed */
  GREVY_OPTION_BELOW = 1u << 1,   /* highest itself is not allowed */
  GREVY_OPTION_INTEGER = 1u << 2, /* a whole number */
  GREVY_OPTION_BOOLEAN = 1u << 3  /* true or false: 1 or 0 */
};

/* A number among the options, and where it goes. FROZEN. */
typedef struct grevy_number_option {
  grevy_text name; /* the key */
  double* value;   /* the default at first; stays where the key is missing */
  double lowest;   /* allowed from here, -INFINITY: no bound */
  double highest;  /* allowed to here, INFINITY: no bound */
  uint32_t flags;  /* GREVY_OPTION_* */
  uint32_t reserved;
} grevy_number_option;

/* What the host gives for GREVY_OPTIONS_EXTENSION; constant until the process ends. */
typedef struct grevy_options {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Reads all options of a component that has numbers alone. Errors: INVALID_VALUE (what was
   * found and what is allowed; a key that has no row), INVALID_TYPE (no JSON object). Nothing has
   * been written then. */
  int32_t (*read_numbers)(grevy_text options, const grevy_number_option* rows, uint64_t row_count,
                          const grevy_error_sink* errors);
} grevy_options;

#ifdef __cplusplus
}
#endif

#endif

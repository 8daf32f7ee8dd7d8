/* grevy/options.h: the extension "grevy.options/1" of the host: it reads the options of a component
 * that is written in C. (In C++ grevy/options.hpp does, from a table of fields.)
 *
 * Numbers alone are read by one call, read_numbers. Texts, lists and objects are read one by one:
 *
 *   grevy_options_reader* reader = 0;
 *   const grevy_text name = GREVY_C_TEXT("/schedule/name"), widths = GREVY_C_TEXT("/widths");
 *   code = options->open(args->options, &reader, errors);
 *   if (code == GREVY_OK) code = options->text(reader, name, choices, 2, 0, &schedule, errors);
 *   if (code == GREVY_OK) code = options->count(reader, widths, 0, &width_count, errors);
 *   ...
 *   if (code == GREVY_OK) code = options->finish(reader, errors);
 *   options->close(reader);
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
  GREVY_OPTION_BOOLEAN = 1u << 3, /* true or false: 1 or 0 */
  GREVY_OPTION_REQUIRED = 1u << 4 /* must be there: there is no default */
};

/* Kinds of values. */
enum {
  GREVY_VALUE_MISSING = 0, /* nothing is there */
  GREVY_VALUE_NULL = 1,
  GREVY_VALUE_BOOLEAN = 2,
  GREVY_VALUE_INTEGER = 3, /* a number without a fraction or an exponent, of 64 bits */
  GREVY_VALUE_NUMBER = 4,  /* any other number */
  GREVY_VALUE_TEXT = 5,
  GREVY_VALUE_LIST = 6,
  GREVY_VALUE_OBJECT = 7
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

/* Options that have been opened. Opaque; one thread at a time. */
typedef struct grevy_options_reader grevy_options_reader;

/* What the host gives for GREVY_OPTIONS_EXTENSION; constant until the process ends. */
typedef struct grevy_options {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Reads all options of a component that has numbers alone. Errors: INVALID_VALUE (what was
   * found and what is allowed; a key that has no row), INVALID_TYPE (no JSON object). Nothing has
   * been written then. */
  int32_t (*read_numbers)(grevy_text options, const grevy_number_option* rows, uint64_t row_count,
                          const grevy_error_sink* errors);

  /* [any] All that follow. Opens options; empty text is an empty object. close takes the reader;
   * NULL is ignored. Errors: INVALID_TYPE (no JSON object, nested deeper than 32 levels). */
  int32_t (*open)(grevy_text options, grevy_options_reader** reader,
                  const grevy_error_sink* errors);
  void (*close)(grevy_options_reader* reader);

  /* A value is named by a JSON pointer (RFC 6901): "/widths/0", "" for all. The functions below
   * that read one into a variable leave the variable as it is, its default, where nothing is there.
   * All take flags: GREVY_OPTION_REQUIRED, number() and integer() those of bounds as well. Errors
   * of all: INVALID_VALUE with the pointer, what was found and what is allowed; a pointer that is
   * none. */

  /* The kind of a value, GREVY_VALUE_*; GREVY_VALUE_MISSING also where the pointer is none. */
  uint32_t (*kind)(grevy_options_reader* reader, grevy_text pointer);
  /* Any finite number within bounds, -INFINITY and INFINITY: none. */
  int32_t (*number)(grevy_options_reader* reader, grevy_text pointer, double lowest, double highest,
                    uint32_t flags, double* value, const grevy_error_sink* errors);
  /* A GREVY_VALUE_INTEGER within bounds, INT64_MIN and INT64_MAX: none. */
  int32_t (*integer)(grevy_options_reader* reader, grevy_text pointer, int64_t lowest,
                     int64_t highest, uint32_t flags, int64_t* value,
                     const grevy_error_sink* errors);
  /* true or false: 1 or 0. */
  int32_t (*boolean)(grevy_options_reader* reader, grevy_text pointer, uint32_t flags,
                     uint32_t* value, const grevy_error_sink* errors);
  /* A text, one of the choices where there are any; lent until close. */
  int32_t (*text)(grevy_options_reader* reader, grevy_text pointer, const grevy_text* choices,
                  uint64_t choice_count, uint32_t flags, grevy_text* value,
                  const grevy_error_sink* errors);
  /* The JSON text of a value of any kind, such as the options of another component for
   * grevy_host.create; lent until close. finish() takes all that it holds for known. */
  int32_t (*json)(grevy_options_reader* reader, grevy_text pointer, uint32_t flags,
                  grevy_text* value, const grevy_error_sink* errors);
  /* The elements of a list or the members of an object; the default stays where nothing is there.
   */
  int32_t (*count)(grevy_options_reader* reader, grevy_text pointer, uint32_t flags,
                   uint64_t* value, const grevy_error_sink* errors);
  /* The key of an object's member, 0 .. count - 1 in the order of the keys' bytes; lent until
   * close. Errors also: OUT_OF_RANGE. */
  int32_t (*key)(grevy_options_reader* reader, grevy_text pointer, uint64_t index,
                 grevy_text* value, const grevy_error_sink* errors);
  /* Elements of a list of numbers into `values`, which has room for `capacity`; each within bounds
   * as number() has them. count: how many there are; both stay as they are where nothing is there.
   * Errors also: INVALID_VALUE where there are more than capacity. */
  int32_t (*numbers)(grevy_options_reader* reader, grevy_text pointer, double lowest,
                     double highest, uint32_t flags, double* values, uint64_t capacity,
                     uint64_t* count, const grevy_error_sink* errors);
  /* Last: a value that nobody has asked for is an error with its pointer, as a misspelt key. Of
   * a list or an object that kind(), count() and key() were asked about, this holds for what is in
   * it. */
  int32_t (*finish)(grevy_options_reader* reader, const grevy_error_sink* errors);
} grevy_options;

#ifdef __cplusplus
}
#endif

#endif

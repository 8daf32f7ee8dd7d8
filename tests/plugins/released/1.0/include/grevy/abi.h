/* grevy/abi.h: the contract between the Grevy host and its plugins.
 *
 * C11, no C++ type. A plugin is a shared library that exports one function,
 * grevy_plugin_entry_v1, and carries a manifest in ELF notes (see "Manifest" below). Plugin authors
 * in C++ never touch this file: grevy/plugin.hpp does it for them.
 *
 * Rules that hold for everything here
 *   Growth     Every struct begins with struct_size, set by whoever fills it to its own sizeof. A
 *              member is read only if struct_size covers it. Members are appended, never moved,
 *              removed or given a new meaning within a major version. Structs marked FROZEN have
 *              no struct_size and never change. A member called reserved is 0.
 *   Ownership  Text, arrays and tensors passed as arguments are borrowed: valid until the call
 *              returns. Who keeps a tensor longer takes a reference of its own (tensor_retain); a
 *              text is copied. A tensor handed out through an out-parameter carries one reference,
 *              which the receiver releases. No memory of one side is freed by the other.
 *   Errors     A function that returns int32_t returns GREVY_OK or an error code; before it returns
 *              a code it calls errors->report once. Out-parameters are untouched on failure. No C++
 *              exception may leave a function of this file.
 *   Threads    Tags at each slot: [main] the host calls it from one thread at a time per instance,
 *              [any] from any thread at any time. Different instances are independent. A sink is
 *              used on the thread and during the call that it was given to.
 *   Limits     Names of components, ids and versions have 1 to 255 bytes, names of parts, tensors
 *              and statistics 1 to 1024, all of them UTF-8. Parts, tensors of a model and sets of
 *              positives: at most 4096. What goes beyond is an error. Messages and lines of the log
 *              are cut after 64 KiB; of a text that says it has more than 1 GiB nothing is read.
 *   Lifetime   A plugin is never unloaded: its tables and descriptors are valid until the process
 *              ends. The grevy_host given to create() outlives the instance.
 *   Context    A member called context is the first argument of the functions beside it.
 */
#ifndef GREVY_ABI_H
#define GREVY_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The contract's version. A host takes plugins of its own major, of any minor: see docs/abi.md. */
#define GREVY_ABI_MAJOR 1u
#define GREVY_ABI_MINOR 0u
/* The symbol that a plugin exports, a grevy_plugin_entry_function. */
#define GREVY_ENTRY_NAME "grevy_plugin_entry_v1"

/* ---- Codes ------------------------------------------------------------------------------- */

/* What a function that can fail returns. A host takes a code that it does not know for
 * GREVY_ERROR_INTERNAL. */
enum {
  GREVY_OK = 0,                  /* done */
  GREVY_ERROR_INTERNAL = 1,      /* a defect, or an exception of unknown type */
  GREVY_ERROR_INVALID_VALUE = 2, /* right type, value not allowed */
  GREVY_ERROR_INVALID_TYPE = 3,  /* wrong type of value or tensor */
  GREVY_ERROR_NOT_FOUND = 4,     /* no such component, key, device */
  GREVY_ERROR_OUT_OF_RANGE = 5,  /* index or session outside the data */
  GREVY_ERROR_INVALID_STATE = 6, /* call in the wrong order */
  GREVY_ERROR_UNIMPLEMENTED = 7, /* this component does not offer the operation */
  GREVY_ERROR_IO = 8,            /* reading or writing failed */
  GREVY_ERROR_NON_FINITE = 9,    /* NaN or infinity where a number is needed */
  GREVY_ERROR_CANCELLED = 10,    /* stopped on request */
  GREVY_ERROR_INCOMPATIBLE = 11  /* other ABI, other LibTorch, damaged plugin */
};

/* What a component is, and so which table it has. */
enum { GREVY_KIND_MODEL = 1, GREVY_KIND_CRITERION = 2, GREVY_KIND_SOLVER = 3 };

/* Levels of grevy_host::log; a host takes one above for GREVY_LOG_ERROR. */
enum { GREVY_LOG_DEBUG = 0, GREVY_LOG_INFO = 1, GREVY_LOG_WARNING = 2, GREVY_LOG_ERROR = 3 };

/* ---- Plain values ------------------------------------------------------------------------ */

/* UTF-8, not terminated. data may be NULL when size is 0. FROZEN. */
typedef struct grevy_text {
  const char* data; /* no byte after the last is read */
  uint64_t size;    /* bytes */
} grevy_text;

/* A tensor is opaque. In a plugin whose stamp names LibTorch it is a c10::TensorImpl* that carries
 * its autograd graph; the loader checks the stamp before any code of the plugin runs. NULL stands
 * for "no tensor". */
typedef struct grevy_tensor grevy_tensor;

/* An error; all of it is lent for the call of report. */
typedef struct grevy_error_info {
  uint32_t struct_size;
  int32_t code;         /* GREVY_ERROR_* */
  grevy_text message;   /* what was found and what is allowed */
  grevy_text plugin;    /* where the error arose; empty if unknown */
  grevy_text component; /* name of the component */
  grevy_text operation; /* "create", "forward", ... */
} grevy_error_info;

/* Receives at most one error per call. report copies what it keeps. */
typedef struct grevy_error_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  void (*report)(void* context, const grevy_error_info* info); /* before the code is returned */
} grevy_error_sink;

/* Receives text in any number of pieces. */
typedef struct grevy_text_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  void (*write)(void* context, grevy_text piece); /* copies the piece */
} grevy_text_sink;

/* A named number: a part of a loss, a temperature. FROZEN. */
typedef struct grevy_statistic {
  grevy_text name; /* same names and order every time */
  double value;    /* finite, or the run ends with GREVY_ERROR_NON_FINITE */
} grevy_statistic;

/* Receives numbers. */
typedef struct grevy_statistic_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  void (*add)(void* context, grevy_statistic statistic); /* copies the name */
} grevy_statistic_sink;

/* What the host does with a tensor of a component. */
enum {
  GREVY_TENSOR_PARAMETER = 0, /* trained: the host gives it to the optimiser and stores it */
  GREVY_TENSOR_BUFFER = 1     /* stored, not trained */
};

/* Receives the named tensors of a component, in a fixed order, each lent for the call; the host
 * retains those that it keeps and may write new values into their storage. */
typedef struct grevy_tensor_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  /* name: unique in the component, part of every checkpoint; role: GREVY_TENSOR_*. */
  void (*add)(void* context, grevy_text name, uint32_t role, grevy_tensor* tensor);
} grevy_tensor_sink;

/* ---- The host ---------------------------------------------------------------------------- */

/* A component: its table (grevy_model_table, ...) and its instance. FROZEN. */
typedef struct grevy_instance {
  const void* table; /* of the component's kind, each slot filled; lives as long as the host */
  void* self;        /* what create() made: first argument of the slots */
} grevy_instance;

typedef struct grevy_host grevy_host;

/* What a component is made with. All but host is lent for the call of create(). */
typedef struct grevy_create_args {
  uint32_t struct_size;
  uint32_t reserved;
  const grevy_host* host; /* may be kept: outlives the instance */
  grevy_text name;        /* the name asked for: may be an alias */
  grevy_text options;     /* JSON object; keys the schema does not have are an error */
  grevy_text device;      /* "cpu", "cuda" or "cuda:N" */
  uint64_t seed;          /* for everything random in the component */
  int64_t num_input; /* models: number of input channels, >= 1; solvers: that of the first model;
                        criterions: 0 */
} grevy_create_args;

/* The services of the host. */
struct grevy_host {
  uint32_t struct_size;
  uint32_t abi_major; /* the contract that the host keeps */
  uint32_t abi_minor; /* likewise */
  uint32_t reserved;
  void* context; /* the host's own: its functions are given the grevy_host itself */

  /* [any] One more reference to a tensor, one less. NULL is ignored. */
  void (*tensor_retain)(const grevy_host* host, grevy_tensor* tensor);
  void (*tensor_release)(const grevy_host* host, grevy_tensor* tensor);

  /* [any] One line for the log, GREVY_LOG_*; the host adds time and level. Calls of several threads
   * may overlap. */
  void (*log)(const grevy_host* host, uint32_t level, grevy_text component, grevy_text message);

  /* [main] Makes a component of any plugin, as an experiment would: name or "plugin-id/name".
   * args->host and args->name are ignored. The caller destroys it through its table. One thread
   * makes components of a host at a time, whichever instances ask. Errors: NOT_FOUND (lists what
   * exists), whatever the component reports, INVALID_STATE when components nest deeper than 16. */
  int32_t (*create)(const grevy_host* host, uint32_t kind, grevy_text name,
                    const grevy_create_args* args, grevy_instance* instance,
                    const grevy_error_sink* errors);

  /* [any] A table of further services by id ("grevy.something/1"), NULL if the host has none. */
  const void* (*extension)(const grevy_host* host, grevy_text id);
};

/* ---- Model ------------------------------------------------------------------------------- */

/* Flags of grevy_model_info. */
enum {
  GREVY_MODEL_CONVOLUTIONAL = 1u << 0, /* (n, C, T) -> (n, D, T - L + 1) for any T >= L */
  GREVY_MODEL_NORMALIZED = 1u << 1     /* every output vector has Euclidean length 1 */
};

/* What a model says of itself. */
typedef struct grevy_model_info {
  uint32_t struct_size;
  uint32_t flags;          /* GREVY_MODEL_* */
  int64_t num_input;       /* C, channels, >= 1 */
  int64_t num_output;      /* D, embedding width, >= 1 */
  int64_t offset_left;     /* samples before the one embedded, >= 0 */
  int64_t offset_right;    /* samples from it on, itself included, >= 1; L = left + right */
  int64_t resample_factor; /* input samples per output sample, >= 1 */
  int64_t num_tensors;     /* tensors that forward returns, >= 1 */
} grevy_model_info;

/* The slots of a model. */
typedef struct grevy_model_table {
  uint32_t struct_size;
  uint32_t reserved;
  /* [main] Errors: INVALID_VALUE, INVALID_TYPE (options), whatever making it meets. */
  int32_t (*create)(const grevy_create_args* args, void** self, const grevy_error_sink* errors);
  /* [main] */
  void (*destroy)(void* self);
  /* [any] The same answer for the whole life of the instance. The caller sets info->struct_size. */
  int32_t (*describe)(void* self, grevy_model_info* info, const grevy_error_sink* errors);
  /* [main] windows: float32 or float64 (n, C, T), T = L in training; outputs: slots for the first
   * output_count of the model's num_tensors, the first of them (n, D) when T = L, else
   * (n, D, T - L + 1). */
  int32_t (*forward)(void* self, grevy_tensor* windows, grevy_tensor** outputs,
                     uint64_t output_count, const grevy_error_sink* errors);
  /* [main] Non-zero: training behaviour (dropout). New instances train. */
  int32_t (*set_training)(void* self, uint32_t training, const grevy_error_sink* errors);
  /* [main] Parameters and buffers by name, same names and order every time. */
  int32_t (*visit_tensors)(void* self, const grevy_tensor_sink* sink,
                           const grevy_error_sink* errors);
  /* [any] A table of further services of this instance by id ("grevy.something/1"), alive as long
   * as the instance; NULL if it has none. The slot may be NULL. */
  const void* (*extension)(void* self, grevy_text id);
} grevy_model_table;

/* ---- Criterion --------------------------------------------------------------------------- */

/* Embeddings, float: reference (n, d), positive (n, d), negative (m, d) or NULL (supervised; then
 * positive is the target). FROZEN. */
typedef struct grevy_prediction {
  grevy_tensor* reference; /* (n, d) */
  grevy_tensor* positive;  /* (n, d), or the target */
  grevy_tensor* negative;  /* (m, d), or NULL */
} grevy_prediction;

/* Flags of grevy_criterion_info. */
enum {
  GREVY_CRITERION_EXPECTS_NORMALIZED = 1u << 0, /* meant for embeddings of length 1 */
  GREVY_CRITERION_PARTS_ARE_LOSSES = 1u << 1    /* one part per prediction, with its graph; the
                                                   loss is their sum */
};

/* What a criterion says of itself. */
typedef struct grevy_criterion_info {
  uint32_t struct_size;
  uint32_t flags;          /* GREVY_CRITERION_* */
  const grevy_text* parts; /* names of the parts of the loss; live as long as the instance */
  uint64_t part_count;     /* 0: the loss has no parts */
} grevy_criterion_info;

/* The slots of a criterion. */
typedef struct grevy_criterion_table {
  uint32_t struct_size;
  uint32_t reserved;
  /* [main] As a model's. */
  int32_t (*create)(const grevy_create_args* args, void** self, const grevy_error_sink* errors);
  /* [main] */
  void (*destroy)(void* self);
  /* [any] The same answer for the whole life of the instance. The caller sets info->struct_size. */
  int32_t (*describe)(void* self, grevy_criterion_info* info, const grevy_error_sink* errors);
  /* [main] loss: a scalar, differentiable. parts: part_count slots for scalars, detached unless
   * GREVY_CRITERION_PARTS_ARE_LOSSES, or NULL. Errors: INVALID_VALUE (number of predictions,
   * shapes, part_count), INVALID_TYPE. */
  int32_t (*evaluate)(void* self, const grevy_prediction* predictions, uint64_t prediction_count,
                      grevy_tensor** loss, grevy_tensor** parts, uint64_t part_count,
                      const grevy_error_sink* errors);
  /* [main] Parameters and buffers by name, same names and order every time. */
  int32_t (*visit_tensors)(void* self, const grevy_tensor_sink* sink,
                           const grevy_error_sink* errors);
  /* [main] Numbers for the log that are no part of the loss, such as the temperature. */
  int32_t (*visit_statistics)(void* self, const grevy_statistic_sink* sink,
                              const grevy_error_sink* errors);
  /* [any] A table of further services of this instance by id ("grevy.something/1"), alive as long
   * as the instance; NULL if it has none. The slot may be NULL. */
  const void* (*extension)(void* self, grevy_text id);
} grevy_criterion_table;

/* ---- Solver ------------------------------------------------------------------------------ */

/* One session's share of a training step. Windows are float32 (n, C, L).
 *
 * Pairing. With several sessions, the positives of all S sessions laid end to end, S * n rows, may
 * be in another order than the references: row i of the positives belongs to reference index[i],
 * and row index_reversed[i] holds the positive of reference i. All batches of a step carry the same
 * two tensors, (S * n), or (sets, S * n) where there are several sets of positives. */
typedef struct grevy_batch {
  uint32_t struct_size;
  uint32_t session;               /* 0-based */
  grevy_tensor* reference;        /* windows, or sample numbers; see series */
  grevy_tensor* const* positives; /* one set per objective; usually one. Supervised: targets,
                                     float32 (n, w) or int64 classes (n) */
  uint64_t positive_count;        /* sets, >= 1 */
  grevy_tensor* negative;         /* NULL in supervised training */
  grevy_tensor* index;            /* int64; NULL: rows already correspond */
  grevy_tensor* index_reversed;   /* inverse of index, or NULL */
  grevy_tensor* series; /* NULL, or in full-batch training the whole session, float32 (T, C):
                           reference, positives and negative are int64 sample numbers then */
} grevy_batch;

/* Batches made by the host, on the device of the components. */
typedef struct grevy_loader {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  int64_t num_batches; /* how many a pass has; next() may be called on for ever */
  /* [main] One batch per session, lent until the next call. A tensor of it that was retained keeps
   * its values; none may be written to, some are the recording itself. */
  int32_t (*next)(void* context, const grevy_batch* const** batches, uint64_t* batch_count,
                  const grevy_error_sink* errors);
} grevy_loader;

/* The optimiser over every parameter of models, criterions and solver. */
typedef struct grevy_optimizer {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  /* [main] Takes the gradients away. */
  int32_t (*zero_grad)(void* context, const grevy_error_sink* errors);
  /* [main] Changes the parameters in place; those without a gradient stay. */
  int32_t (*step)(void* context, const grevy_error_sink* errors);
} grevy_optimizer;

/* What the host wants after a step. */
enum {
  GREVY_ACTION_VALIDATE = 1u << 0, /* run a validation and report it with end_validation */
  GREVY_ACTION_STOP = 1u << 1      /* leave fit() with GREVY_OK now */
};

/* What fit() works with. Lives until fit() returns. */
typedef struct grevy_training {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  const grevy_loader* loader;       /* to train on */
  const grevy_loader* valid_loader; /* NULL: no validation */
  const grevy_optimizer* optimizer; /* of all that is trained */
  int64_t first_step;               /* 0, or where a resumed run goes on */
  int64_t num_steps;                /* fit() runs steps first_step .. num_steps - 1 */
  /* [main] After every step: the host logs, shows progress, writes checkpoints, and answers with
   * GREVY_ACTION_*. Errors: NON_FINITE (names statistic and step), INVALID_STATE (another step than
   * the one that is due), IO; fit() then returns that code. */
  int32_t (*end_step)(void* context, int64_t step, const grevy_statistic* statistics,
                      uint64_t statistic_count, uint32_t* actions, const grevy_error_sink* errors);
  /* [main] After a validation that end_step asked for; the statistics are parts of the loss.
   * Errors: NON_FINITE (the loss), IO. */
  int32_t (*end_validation)(void* context, int64_t step, double loss,
                            const grevy_statistic* statistics, uint64_t statistic_count,
                            const grevy_error_sink* errors);
} grevy_training;

/* For errors. FROZEN. */
typedef struct grevy_component_name {
  grevy_text component; /* its name */
  grevy_text plugin;    /* the plugin's id; empty: unknown */
} grevy_component_name;

/* What a solver works with: components that the host owns and that live as long as the solver, so
 * that the instances may be kept. The arrays and names are lent for the call. */
typedef struct grevy_solver_parts {
  uint32_t struct_size;
  uint32_t reserved;
  const grevy_instance* models;     /* one per session, then the references', if any; see info */
  uint64_t model_count;             /* as info() asks for */
  const grevy_instance* criterions; /* what makes the loss */
  uint64_t criterion_count;         /* the host gives one */
  const grevy_component_name* model_names;     /* one per model, or NULL */
  const grevy_component_name* criterion_names; /* one per criterion, or NULL */
} grevy_solver_parts;

/* Flags of grevy_solver_info. */
enum {
  GREVY_SOLVER_SEVERAL_SESSIONS = 1u << 0, /* any number, each with a batch and a model; else one */
  GREVY_SOLVER_JOINED_SESSIONS = 1u << 1,  /* any number, seen as one: channels side by side */
  GREVY_SOLVER_REFERENCE_MODELS = 1u << 2, /* a further model per session, for the references */
  GREVY_SOLVER_FULL_BATCH = 1u << 3,       /* batches hold the series and sample numbers */
  GREVY_SOLVER_SUPERVISED = 1u << 4        /* batches hold targets; no negatives */
};

/* What a solver wants to be given. */
typedef struct grevy_solver_info {
  uint32_t struct_size;
  uint32_t flags;        /* GREVY_SOLVER_*: what attach() and the batches must look like */
  int64_t num_positives; /* sets of positives in a batch; 0: any number from 1 on */
} grevy_solver_info;

/* The slots of a solver. */
typedef struct grevy_solver_table {
  uint32_t struct_size;
  uint32_t reserved;
  /* [main] As a model's. */
  int32_t (*create)(const grevy_create_args* args, void** self, const grevy_error_sink* errors);
  /* [main] */
  void (*destroy)(void* self);
  /* [any] The same answer for the whole life of the instance. The caller sets info->struct_size. */
  int32_t (*describe)(void* self, grevy_solver_info* info, const grevy_error_sink* errors);
  /* [main] Once, before anything below. Errors: INVALID_VALUE (wrong number of models, a criterion
   * or a model that the solver cannot work with). */
  int32_t (*attach)(void* self, const grevy_solver_parts* parts, const grevy_error_sink* errors);
  /* [main] The training loop. */
  int32_t (*fit)(void* self, const grevy_training* training, const grevy_error_sink* errors);
  /* [main] One optimiser step on one batch per session. Errors: NON_FINITE (the loss; nothing has
   * changed then). */
  int32_t (*step)(void* self, const grevy_batch* const* batches, uint64_t batch_count,
                  const grevy_optimizer* optimizer, const grevy_statistic_sink* statistics,
                  const grevy_error_sink* errors);
  /* [main] Mean loss over loader->num_batches batches, and means of its parts; restores the
   * training mode. parts may be NULL. */
  int32_t (*validate)(void* self, const grevy_loader* loader, double* loss,
                      const grevy_statistic_sink* parts, const grevy_error_sink* errors);
  /* [main] samples: float32 (T, C) with T >= L -> embedding (T - L + 1, D), row r belongs to sample
   * r + left; in evaluation mode, without gradients. Errors: OUT_OF_RANGE (session). */
  int32_t (*transform)(void* self, int64_t session, grevy_tensor* samples, grevy_tensor** embedding,
                       const grevy_error_sink* errors);
  /* [main] Tensors of the solver itself (not of its parts). */
  int32_t (*visit_tensors)(void* self, const grevy_tensor_sink* sink,
                           const grevy_error_sink* errors);
  /* [main] Further state as JSON text, for checkpoints. */
  int32_t (*save_state)(void* self, const grevy_text_sink* sink, const grevy_error_sink* errors);
  /* [main] Takes what save_state wrote. Errors: INVALID_VALUE. */
  int32_t (*load_state)(void* self, grevy_text state, const grevy_error_sink* errors);
  /* [any] A table of further services of this instance by id ("grevy.something/1"), alive as long
   * as the instance; NULL if it has none. The slot may be NULL. */
  const void* (*extension)(void* self, grevy_text id);
} grevy_solver_table;

/* ---- Plugin ------------------------------------------------------------------------------ */

/* One component of a plugin. */
typedef struct grevy_component {
  uint32_t struct_size;
  uint32_t kind;       /* GREVY_KIND_* */
  grevy_text manifest; /* the component's manifest: the same text as in its note */
  grevy_text name;     /* the same as in the manifest */
  const void* table;   /* grevy_model_table, grevy_criterion_table or grevy_solver_table */
} grevy_component;

/* A plugin: what its entry function gives. */
typedef struct grevy_plugin {
  uint32_t struct_size;
  uint32_t abi_major;       /* the contract that it was built for */
  uint32_t abi_minor;       /* likewise */
  uint32_t component_count; /* length of components */
  grevy_text id;            /* "vendor.plugin" */
  grevy_text version;       /* for people; nothing is decided by it */
  grevy_text stamp;         /* see "Manifest"; empty: the plugin does not use LibTorch */
  const grevy_component* const* components; /* one descriptor each */
} grevy_plugin;

/* [any] The only exported symbol. Constant: every call gives the same pointer. */
typedef const grevy_plugin* (*grevy_plugin_entry_function)(void);

/* ---- Manifest ------------------------------------------------------------------------------
 * ELF notes with the name "Grevy" in the section .note.grevy (type SHT_NOTE, aligned to 4). The
 * descriptor is JSON text, padded with zero bytes. The host reads it without running the plugin.
 *   GREVY_NOTE_PLUGIN     exactly one: {"plugin": id, "version": text, "abi": [major, minor],
 *                         "stamp": text}
 *   GREVY_NOTE_COMPONENT  one per component: {"kind": "model" | "criterion" | "solver",
 *                         "name": text, "aliases": [text ...], "version": text, "summary": text,
 *                         "options": JSON Schema of the options object}
 * A name may hold "{option}": the component then answers to names with a number in that place, and
 * the host sets the option to it ("model-clip-{limit}" makes "model-clip-5" with {"limit": 5}).
 * The stamp is "libtorch VERSION cxx11abi=0|1 cpu|cuda" for plugins that use LibTorch's types. */
enum { GREVY_NOTE_PLUGIN = 1, GREVY_NOTE_COMPONENT = 2 };

#ifdef __cplusplus
}
#endif

#endif

/* From the future: a later minor version, with a longer table and a kind of its own. */
#include "raw_plugin.h"

static int32_t novelty(void* self) {
  (void)self;
  return GREVY_OK;
}

static const struct {
  grevy_criterion_table known;
  int32_t (*novelty)(void* self);
} table = {{sizeof(table), 0, RAW_CRITERION_SLOTS}, novelty};

RAW_COMPONENT(component, GREVY_KIND_CRITERION, "criterion", "newer-minor", &table);
RAW_COMPONENT(scheduler, 77, "scheduler", "cosine-annealing", &table);
RAW_PLUGIN("zoo.newer-minor", 1, 9, "", &scheduler, &component);

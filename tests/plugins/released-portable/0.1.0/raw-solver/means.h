/* Named numbers, added up over the batches of a validation or of one step. */
#include <grevy/abi.h>

#include <stdlib.h>
#include <string.h>

/* Sums of numbers, each with its name, over what was added since start(): the means of `count`
 * batches. */
typedef struct {
  grevy_statistic* items;
  uint64_t size, room, next;
  double count;
  int is_incomplete; /* out of memory */
} means;

static void clear(means* m) {
  while (m->size > 0) free((void*)m->items[--m->size].name.data);
}

static void append(means* m, grevy_statistic statistic) {
  char* name = (char*)malloc(statistic.name.size + 1);
  if (m->size == m->room) {
    const uint64_t room = 2 * m->room + 8;
    grevy_statistic* items = (grevy_statistic*)realloc(m->items, room * sizeof(*items));
    if (items) m->items = items, m->room = room;
  }
  if (!name || m->size == m->room) {
    m->is_incomplete = 1;
    free(name);
    return;
  }
  memcpy(name, statistic.name.data, statistic.name.size);
  statistic.name.data = name;
  m->items[m->size++] = statistic;
}

/* Names come in the same order every time: the first batch says them. */
static void add(void* context, grevy_statistic statistic) {
  means* m = (means*)context;
  if (m->is_incomplete) return;
  statistic.value /= m->count;
  if (m->next == m->size)
    append(m, statistic);
  else
    m->items[m->next].value += statistic.value;
  ++m->next;
}

static void start(means* m, double count) {
  clear(m);
  m->count = count;
  m->is_incomplete = 0;
}

static grevy_statistic_sink next_batch(means* m) {
  const grevy_statistic_sink sink = {sizeof(sink), 0, m, add};
  m->next = 0;
  return sink;
}

/* A library that is no plugin at all. */
int grevy_zoo_answer(void);
int grevy_zoo_answer(void) { return 42; }

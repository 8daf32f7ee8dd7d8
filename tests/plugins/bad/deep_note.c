/* A note that is nested a hundred thousand times. */
#include "raw_plugin.h"

__asm__(
    ".pushsection .note.grevy, \"a\", @note\n"
    ".balign 4\n"
    ".long 6, 100000, 1\n"
    ".asciz \"Grevy\\0\\0\"\n"
    ".fill 100000, 1, 0x5b\n"
    ".popsection\n");

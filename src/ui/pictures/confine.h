/*
 * confine - the last step of a process that decodes one picture: it keeps two
 * descriptors and the right to read, write, get memory and end.
 */
#ifndef P2P_UI_CONFINE_H
#define P2P_UI_CONFINE_H

#include <stdbool.h>

/* Moves `in` to 0 and `out` to 1, closes everything else, gives up root, and limits
 * memory and time; `filter`: also the system calls. False: the process must end. */
bool ui_confine(int in, int out, bool filter);

#endif

/* interrupt - turns Ctrl-C and other ending signals into a p2p_stop. A second signal
 * ends the program at once. One object for a program. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "p2p/stop.h"

/* Blocks the signals for this thread and those that it starts; call it before there are
 * others. The thread that waits for signals, and the stop, end with the program. */
P2P_MUST_CHECK enum p2p_err interrupt_begin(struct p2p_stop **out);

#endif

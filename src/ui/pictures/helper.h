/*
 * helper - makes small pictures in processes of their own, because decoders of pictures
 * are the likeliest place for an attack. The parent of the daemon starts the helper
 * before anything else, so it has neither keys nor connections. For each picture, the
 * helper forks a process that has one descriptor in, one out, and no right to open,
 * connect or start anything; memory, time and output are limited, and it ends after
 * this picture. Trust boundary: the answer of such a process is only bytes.
 */
#ifndef P2P_UI_HELPER_H
#define P2P_UI_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#define UI_HELPER_IN_MAX  (64u << 20)  /* bytes of a picture */
#define UI_HELPER_OUT_MAX (256u << 10) /* bytes of a small one */

/* Starts the helper, and another one whenever it is killed; call before threads start.
 * `is_confined` false: only the limits
 * (--no-sandbox). Returns the socket for ui_helper_ask, or -1. */
int ui_helper_start(bool is_confined);
/* Ends the helper that this process has started, and waits for it; -1 is fine. If the
 * process is killed, the kernel ends the helper. */
void ui_helper_stop(int helper);

/* Makes a small picture from an open file; the file stays open. Any thread; waits for
 * at most 20 s. NOT_FOUND: it is not a picture that can be shown so. BUSY: too many at
 * the same time. */
P2P_MUST_CHECK enum p2p_err ui_helper_ask(int helper, int file, unsigned side,
                                          uint8_t **out, size_t *out_len);

#endif

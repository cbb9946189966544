/* pieces - which device sent which part of a transfer's file, over all its runs since
 * the program was started. */
#ifndef P2P_UI_PIECES_H
#define P2P_UI_PIECES_H

#include "ui/transfers/transfer.h"

/* A copy; *returns owned*. NULL: nothing is known, or no memory. */
struct p2p_download_pieces *ui_pieces_of(struct p2p_download *dl);
/* Adds to the pieces of `now` what is known of them from `before` (may be NULL): who
 * sent those that were there already. */
void ui_pieces_add(struct p2p_download_pieces *now,
                   const struct p2p_download_pieces *before);
/* Keeps the pieces of a run that is over. Takes `pieces` (may be NULL); under the lock
 * of the list. */
void ui_pieces_keep(struct ui_transfer *t, struct p2p_download_pieces *pieces);

#endif

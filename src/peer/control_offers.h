/* control_offers - the requests at the control socket by which a program of the owner
 * serves files for some time (offers/offers.h). The `arg` of each is the control_view.
 */
#ifndef PEER_CONTROL_OFFERS_H
#define PEER_CONTROL_OFFERS_H

#include "p2p/control.h"

/* {"offer": 8 hex digits}: begins one; answers with what others need to find this
 * peer. */
p2p_control_fn control_offer_begin;
/* {"offer", "name", "mtime_ns", "chunk_size", "root", "sha256"} and two files: the file
 * itself, and one with the hashes of its layer. A name that ends in '/' has none. */
p2p_control_files_fn control_offer_file;
/* {"offer", "roots"}: the receivers get these files of the shares as well. */
p2p_control_fn control_offer_allow;
/* {"offer", "peer"}: this peer gets the files. */
p2p_control_fn control_offer_open;
/* {"offer", "secret": as in the link, "title", "lifetime": seconds, "uses"?, "bytes"?,
 * "pin"?}: whoever has the link gets the files. */
p2p_control_fn control_offer_link;
/* {"offer"}: what was sent of it, by peer. The offer lives on. */
p2p_control_fn control_offer_status;
/* {"offer"}. */
p2p_control_fn control_offer_end;

#endif

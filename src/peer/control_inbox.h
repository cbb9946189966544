/* control_inbox - the requests at the control socket about what other devices offer to
 * this one (inbox/inbox.h). The `arg` of each is the control_view. */
#ifndef PEER_CONTROL_INBOX_H
#define PEER_CONTROL_INBOX_H

#include "p2p/control.h"

/* {"changes"?: number}: all offers, the newest first; without a change since that
 * number, only the number. */
p2p_control_fn control_inbox_list;
/* {"id", "first"?: number}: at most 200 items of one offer, and its text. */
p2p_control_fn control_inbox_items;
/* {"id", "answer": "accept" or "decline", "claim"?: bool}: with `claim`, as
 * control_inbox_claim in one step, so that no other program begins it. */
p2p_control_fn control_inbox_answer;
/* {"id"}: the asking program downloads an accepted offer, and no other one does. */
p2p_control_fn control_inbox_claim;
/* {"peer", "always": bool}: offers of this device are accepted without a question. */
p2p_control_fn control_inbox_always;

#endif

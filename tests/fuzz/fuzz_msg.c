/* Messages of protocol 2: an accepted message is written again with the same bytes. The
 * entries of a list are read to their end instead: their writer goes entry by entry. */
#include <string.h>

#include "fuzz.h"
#include "p2p/msg.h"

static void
check_list(const struct p2p_msg *msg)
{
    struct p2p_rd entries = msg->list.entries;
    struct p2p_list_entry entry;

    for (unsigned i = 0; i < msg->list.count; i++)
        p2p_msg_get_list_entry(&entries, &entry);
    MUST(p2p_rd_end(&entries) == P2P_OK);
}

static void
check_changes(const struct p2p_msg *msg)
{
    struct p2p_rd entries = msg->changes.entries;
    struct p2p_change_entry entry;

    for (unsigned i = 0; i < msg->changes.count; i++)
        p2p_msg_get_change(&entries, &entry);
    MUST(p2p_rd_end(&entries) == P2P_OK);
}

static void
check_history(const struct p2p_msg *msg)
{
    struct p2p_rd entries = msg->history.entries;
    struct p2p_history_entry entry;

    for (unsigned i = 0; i < msg->history.count; i++)
        p2p_msg_get_history_entry(&entries, &entry);
    MUST(p2p_rd_end(&entries) == P2P_OK);
}

/* False: it is no list. */
static bool
check_entries(const struct p2p_msg *msg)
{
    if (msg->type == P2P_MSG_LIST)
        check_list(msg);
    else if (msg->type == P2P_MSG_CHANGES)
        check_changes(msg);
    else if (msg->type == P2P_MSG_HISTORY)
        check_history(msg);
    else
        return false;
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[P2P_RECORD_PLAIN_MAX + 64];
    struct p2p_msg msg;
    struct p2p_wr wr;
    size_t len;

    if (size > P2P_RECORD_PLAIN_MAX || p2p_msg_parse(data, size, &msg) != P2P_OK)
        return 0;
    if (check_entries(&msg))
        return 0;
    p2p_wr_init(&wr, again, sizeof(again));
    p2p_msg_put(&wr, &msg);
    MUST(p2p_wr_end(&wr, &len) == P2P_OK && len == size);
    MUST(memcmp(again, data, size) == 0);
    return 0;
}

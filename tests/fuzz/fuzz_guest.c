/* What a registry brings to a link and to its guest, and what a link's peer says first.
 * The first byte chooses. The keys are fixed, so MACs do not match; the reading before
 * them is what strangers reach. */
#include <stdlib.h>
#include <string.h>

#include "core/remote/conn_internal.h"
#include "fuzz.h"
#include "p2p/link.h"

static const struct p2p_link_keys keys = {.box = {{1}}, .mac = {{2}}, .guest = {{3}}};

static void
try_call(const char *text, size_t len)
{
    struct p2p_guest_call call, again;
    char *same;

    if (p2p_guest_call_parse(text, len, &keys, 1800000000, &call) != P2P_OK)
        return;
    MUST(call.channel.candidate_count <= P2P_CALL_CANDIDATES_MAX);
    same = p2p_guest_call_format(&call, &keys);
    MUST(same != NULL);
    MUST(p2p_guest_call_parse(same, strlen(same), &keys, 1800000000, &again) == P2P_OK);
    MUST(memcmp(&again, &call, sizeof(call)) == 0);
    free(same);
}

static void
try_answer(const char *text, size_t len)
{
    static const struct p2p_guest_call call = {.session = {{5}}};
    struct p2p_call_channel channel;
    struct p2p_id peer;

    if (p2p_guest_answer_parse(text, len, &call, &keys, &peer, &channel) == P2P_OK)
        MUST(channel.candidate_count <= P2P_CALL_CANDIDATES_MAX);
    else
        MUST(channel.ufrag[0] == '\0');
}

static void
try_welcome(const uint8_t *data, size_t len)
{
    struct p2p_welcome welcome;
    size_t size;

    if (p2p_conn_guest_peek(data, len, &size) == P2P_OK)
        MUST(size <= len);
    if (p2p_conn_take_welcome(data, len, &welcome) == P2P_OK) {
        MUST(p2p_text_is_displayable(welcome.title, strlen(welcome.title)));
        MUST(p2p_text_is_displayable(welcome.name, strlen(welcome.name)));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_call((const char *)data + 1, size - 1);
        break;
    case 1:
        try_answer((const char *)data + 1, size - 1);
        break;
    default:
        try_welcome(data + 1, size - 1);
        break;
    }
    return 0;
}

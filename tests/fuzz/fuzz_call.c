/* Calls and answers, as registries bring them from strangers. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "p2p/call.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct p2p_call call, again;
    char *text;

    if (p2p_call_parse((const char *)data, size, &call) != P2P_OK)
        return 0;
    MUST(call.type == P2P_CALL || call.type == P2P_CALL_ANSWER);
    MUST(call.channel.candidate_count <= P2P_CALL_CANDIDATES_MAX);
    text = p2p_call_format(&call);
    MUST(text != NULL);
    MUST(p2p_call_parse(text, strlen(text), &again) == P2P_OK);
    MUST(memcmp(&again.from, &call.from, sizeof(call.from)) == 0);
    MUST(memcmp(&again.to, &call.to, sizeof(call.to)) == 0);
    MUST(again.expires_s == call.expires_s);
    MUST(again.channel.candidate_count == call.channel.candidate_count);
    MUST(strcmp(again.token, call.token) == 0);
    (void)!p2p_call_check(&call, call.expires_s);
    free(text);
    return 0;
}

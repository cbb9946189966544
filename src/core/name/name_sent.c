/* The names of files that were sent. */
#include <stdio.h>
#include <string.h>

#include "p2p/name.h"

#define BEGIN "sent-"
enum { DIGITS = 8 };

const char *
p2p_name_sent(uint32_t offer, char out[P2P_NAME_SENT_LEN + 1])
{
    snprintf(out, P2P_NAME_SENT_LEN + 1, BEGIN "%08x/", (unsigned)offer);
    return out;
}

size_t
p2p_name_sent_len(const char *name)
{
    const char *digits = name + strlen(BEGIN);

    if (strncmp(name, BEGIN, strlen(BEGIN)) != 0 ||
        strspn(digits, "0123456789abcdef") != DIGITS || digits[DIGITS] != '/' ||
        digits[DIGITS + 1] == '\0')
        return 0;
    return P2P_NAME_SENT_LEN;
}

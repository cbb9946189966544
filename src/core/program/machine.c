/* The name and the kind of this machine. */
#include "p2p/machine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHASSIS_FILE "/sys/class/dmi/id/chassis_type"

enum p2p_about_kind
p2p_machine_kind_of_chassis(unsigned type)
{
    static const uint8_t kinds[] = {
        [3] = P2P_ABOUT_DESKTOP,  /* desktop */
        [4] = P2P_ABOUT_DESKTOP,  /* low profile */
        [5] = P2P_ABOUT_DESKTOP,  /* pizza box */
        [6] = P2P_ABOUT_DESKTOP,  /* mini tower */
        [7] = P2P_ABOUT_DESKTOP,  /* tower */
        [8] = P2P_ABOUT_LAPTOP,   /* portable */
        [9] = P2P_ABOUT_LAPTOP,   /* laptop */
        [10] = P2P_ABOUT_LAPTOP,  /* notebook */
        [11] = P2P_ABOUT_PHONE,   /* hand held */
        [13] = P2P_ABOUT_DESKTOP, /* all in one */
        [14] = P2P_ABOUT_LAPTOP,  /* sub notebook */
        [15] = P2P_ABOUT_DESKTOP, /* space saving */
        [16] = P2P_ABOUT_DESKTOP, /* lunch box */
        [17] = P2P_ABOUT_SERVER,  /* main server */
        [23] = P2P_ABOUT_SERVER,  /* rack mount */
        [24] = P2P_ABOUT_DESKTOP, /* sealed case */
        [25] = P2P_ABOUT_SERVER,  /* multi-system */
        [28] = P2P_ABOUT_SERVER,  /* blade */
        [29] = P2P_ABOUT_SERVER,  /* blade enclosure */
        [30] = P2P_ABOUT_TABLET,  /* tablet */
        [31] = P2P_ABOUT_LAPTOP,  /* convertible */
        [32] = P2P_ABOUT_LAPTOP,  /* detachable */
        [35] = P2P_ABOUT_DESKTOP, /* mini PC */
        [36] = P2P_ABOUT_DESKTOP, /* stick PC */
    };

    return p2p_about_kind_of(type < sizeof(kinds) ? kinds[type] : P2P_ABOUT_UNKNOWN);
}

enum p2p_about_kind
p2p_machine_kind(void)
{
    FILE *in = fopen(CHASSIS_FILE, "re");
    unsigned type = 0;

    if (in == NULL)
        return P2P_ABOUT_UNKNOWN;
    if (fscanf(in, "%3u", &type) != 1)
        type = 0;
    fclose(in);
    return p2p_machine_kind_of_chassis(type);
}

enum p2p_err
p2p_machine_about(const char *name, const char *kind, struct p2p_about *out, char *why,
                  size_t cap)
{
    char host[256] = "";

    *out = (struct p2p_about){.kind = P2P_ABOUT_UNKNOWN};
    if (name != NULL && !p2p_about_set_name(out, name, strlen(name))) {
        snprintf(why, cap,
                 "invalid --name: use 1 to %d bytes of text without hidden characters, "
                 "and without spaces at its ends",
                 P2P_ABOUT_NAME_MAX);
        return P2P_ERR_USAGE;
    }
    if (name == NULL && gethostname(host, sizeof(host) - 1) == 0)
        (void)p2p_about_set_name(out, host, strlen(host));
    if (kind == NULL)
        out->kind = p2p_machine_kind();
    else if (p2p_about_kind_parse(kind, &out->kind) != P2P_OK) {
        snprintf(why, cap,
                 "invalid --device-kind: use laptop, desktop, phone, server, "
                 "tablet or unknown");
        return P2P_ERR_USAGE;
    }
    return P2P_OK;
}

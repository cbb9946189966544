#include "ui/access/hosts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
ui_hosts_find(struct ui_hosts *out, const struct p2p_option_list *allowed)
{
    size_t count = 0;

    memset(out, 0, sizeof(*out));
    while (count < allowed->count && count < P2P_OPTION_LIST_MAX) {
        out->at[count] = allowed->at[count];
        count++;
    }
    if (gethostname(out->name, sizeof(out->name) - 1) != 0 || out->name[0] == '\0')
        return;
    snprintf(out->label, sizeof(out->label), "%.*s", (int)strcspn(out->name, "."),
             out->name);
    snprintf(out->local, sizeof(out->local), "%.*s.local", HOST_NAME_MAX - 1,
             out->label);
    out->at[count++] = out->name;
    out->at[count++] = out->label;
    out->at[count] = out->local;
}

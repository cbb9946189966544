#include "ui/state/checksums.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"

#define KIND     "sha256"
#define HEX_LEN  ((size_t)2 * P2P_DIGEST_LEN)
#define TEXT_MAX (HEX_LEN + 64)

/* The checksum is followed by what tells whether the file is still the same. */
static bool
format_state(const struct p2p_root *downloads, const char *path, char *out, size_t cap)
{
    struct stat st;

    if (p2p_root_stat(downloads, path, &st) != P2P_OK)
        return false;
    snprintf(out, cap, " %lld %lld.%09ld", (long long)st.st_size,
             (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return true;
}

void
ui_checksum_keep(struct ui_store *store, const struct p2p_root *downloads,
                 const char *path, const struct p2p_digest *sha256)
{
    char value[TEXT_MAX];

    p2p_hex_format(sha256->b, sizeof(sha256->b), value);
    if (format_state(downloads, path, value + HEX_LEN, sizeof(value) - HEX_LEN))
        ui_store_put_note(store, &(struct ui_note){.kind = KIND,
                                                   .key = path,
                                                   .value = value,
                                                   .time_s = p2p_time_s()});
}

bool
ui_checksum_find(struct ui_store *store, const struct p2p_root *downloads,
                 const char *path, struct p2p_digest *out)
{
    char value[TEXT_MAX], state[TEXT_MAX];

    ui_store_get_note(store, KIND, path, value, sizeof(value));
    if (strlen(value) < HEX_LEN ||
        !format_state(downloads, path, state, sizeof(state)) ||
        strcmp(value + HEX_LEN, state) != 0)
        return false;
    value[HEX_LEN] = '\0';
    return p2p_hex_parse(value, out->b, sizeof(out->b)) == P2P_OK;
}

#include "core/wire/schedule.h"

#include <string.h>

#include "p2p/bytes.h"

/* HKDF-Expand(secret, label 00 || context, 32); context may be NULL. */
static enum p2p_err
expand(const struct p2p_secret *secret, const char *label,
       const struct p2p_digest *context, struct p2p_secret *out)
{
    uint8_t info[64];
    size_t len = 0;
    struct p2p_wr wr;
    enum p2p_err err;

    p2p_wr_init(&wr, info, sizeof(info));
    p2p_wr_put_bytes(&wr, label, strlen(label) + 1);
    if (context != NULL)
        p2p_wr_put_bytes(&wr, context->b, sizeof(context->b));
    err = p2p_wr_end(&wr, &len);
    return err != P2P_OK ? err : p2p_hkdf_expand(secret, info, len, out);
}

static enum p2p_err
expand_pair(const struct p2p_secret *secret, const char *label_c2s,
            const char *label_s2c, const struct p2p_digest *context,
            struct p2p_secret_pair *out)
{
    enum p2p_err err = expand(secret, label_c2s, context, &out->c2s);

    if (err == P2P_OK)
        err = expand(secret, label_s2c, context, &out->s2c);
    if (err != P2P_OK)
        p2p_wipe(out, sizeof(*out));
    return err;
}

enum p2p_err
p2p_schedule_handshake(const struct p2p_digest *th2, const struct p2p_secret *dh,
                       struct p2p_secret_pair *keys)
{
    struct p2p_secret hs;
    enum p2p_err err = p2p_hkdf_extract(th2, dh->b, sizeof(dh->b), &hs);

    if (err == P2P_OK)
        err = expand_pair(&hs, "p2p/2 hs c2s", "p2p/2 hs s2c", th2, keys);
    p2p_wipe(&hs, sizeof(hs));
    return err;
}

enum p2p_err
p2p_schedule_application(const struct p2p_digest *thf, const struct p2p_secret *dh,
                         const struct p2p_secret *k, struct p2p_secret_pair *secrets)
{
    struct p2p_secret ms, both[2] = {*dh, *k};
    enum p2p_err err = p2p_hkdf_extract(thf, both, sizeof(both), &ms);

    if (err == P2P_OK)
        err = expand_pair(&ms, "p2p/2 app c2s", "p2p/2 app s2c", thf, secrets);
    p2p_wipe(both, sizeof(both));
    p2p_wipe(&ms, sizeof(ms));
    return err;
}

enum p2p_err
p2p_schedule_key(const struct p2p_secret *secret, struct p2p_secret *key)
{
    return expand(secret, "p2p/2 key", NULL, key);
}

enum p2p_err
p2p_schedule_next(const struct p2p_secret *secret, struct p2p_secret *next)
{
    return expand(secret, "p2p/2 rekey", NULL, next);
}

#include "core/wire/transcript.h"

#include <stddef.h>
#include <string.h>

#include "p2p/bytes.h"

static const char proto[] = "p2p/2 suite 01";
static const char label_c[] = "p2p/2 client signature";
static const char label_s[] = "p2p/2 server signature";
static const char label_k[] = "p2p/2 session key";
_Static_assert(sizeof(proto) == sizeof(((struct p2p_transcript *)0)->proto), "PROTO");
_Static_assert(sizeof(struct p2p_transcript) ==
                   15 + 75 + 75 + 294 + 256 + 294 + 256 + 256,
               "the struct is the transcript");

enum { SPACES = 64, SIGNED_MAX = SPACES + 32 + P2P_DIGEST_LEN };

void
p2p_transcript_init(struct p2p_transcript *t)
{
    memset(t, 0, sizeof(*t));
    memcpy(t->proto, proto, sizeof(t->proto));
}

enum p2p_err
p2p_transcript_hash(const struct p2p_transcript *t, enum p2p_transcript_part part,
                    struct p2p_digest *out)
{
    static const size_t end[] = {
        [P2P_TO_M2] = offsetof(struct p2p_transcript, spki_c),
        [P2P_TO_SPKI_C] = offsetof(struct p2p_transcript, sig_c),
        [P2P_TO_SPKI_S] = offsetof(struct p2p_transcript, oaep),
        [P2P_TO_OAEP] = offsetof(struct p2p_transcript, sig_s),
        [P2P_TO_SIG_S] = sizeof(struct p2p_transcript),
    };

    return p2p_sha256(t, end[part], out);
}

/* label 00 || hash of the transcript, after `spaces` spaces. */
static enum p2p_err
labelled_hash(const struct p2p_transcript *t, enum p2p_transcript_part part, int spaces,
              const char *label, uint8_t out[SIGNED_MAX], size_t *len)
{
    struct p2p_digest digest;
    struct p2p_wr wr;
    enum p2p_err err = p2p_transcript_hash(t, part, &digest);

    *len = 0;
    if (err != P2P_OK)
        return err;
    p2p_wr_init(&wr, out, SIGNED_MAX);
    for (int i = 0; i < spaces; i++)
        p2p_wr_put_u8(&wr, ' ');
    p2p_wr_put_bytes(&wr, label, strlen(label) + 1);
    p2p_wr_put_bytes(&wr, digest.b, sizeof(digest.b));
    return p2p_wr_end(&wr, len);
}

static enum p2p_err
sign(const struct p2p_transcript *t, enum p2p_transcript_part part, const char *label,
     const struct p2p_rsa *own, struct p2p_signature *sig)
{
    uint8_t text[SIGNED_MAX];
    size_t len;
    enum p2p_err err = labelled_hash(t, part, SPACES, label, text, &len);

    return err != P2P_OK ? err : p2p_pss_sign(own, text, len, sig);
}

static enum p2p_err
verify(const struct p2p_transcript *t, enum p2p_transcript_part part, const char *label,
       const struct p2p_spki *theirs, const struct p2p_signature *sig)
{
    uint8_t text[SIGNED_MAX];
    size_t len;
    enum p2p_err err = labelled_hash(t, part, SPACES, label, text, &len);

    return err != P2P_OK ? err : p2p_pss_verify(theirs, text, len, sig);
}

enum p2p_err
p2p_transcript_sign_c(struct p2p_transcript *t, const struct p2p_rsa *client)
{
    return sign(t, P2P_TO_SPKI_C, label_c, client, &t->sig_c);
}

enum p2p_err
p2p_transcript_verify_c(const struct p2p_transcript *t)
{
    return verify(t, P2P_TO_SPKI_C, label_c, &t->spki_c, &t->sig_c);
}

enum p2p_err
p2p_transcript_sign_s(struct p2p_transcript *t, const struct p2p_rsa *server)
{
    return sign(t, P2P_TO_OAEP, label_s, server, &t->sig_s);
}

enum p2p_err
p2p_transcript_verify_s(const struct p2p_transcript *t)
{
    return verify(t, P2P_TO_OAEP, label_s, &t->spki_s, &t->sig_s);
}

enum p2p_err
p2p_transcript_seal_k(struct p2p_transcript *t, const struct p2p_secret *k)
{
    uint8_t label[SIGNED_MAX];
    size_t len;
    enum p2p_err err = labelled_hash(t, P2P_TO_SPKI_S, 0, label_k, label, &len);

    return err != P2P_OK ? err : p2p_oaep_encrypt(&t->spki_c, label, len, k, t->oaep);
}

enum p2p_err
p2p_transcript_open_k(const struct p2p_transcript *t, const struct p2p_rsa *client,
                      struct p2p_secret *k)
{
    uint8_t label[SIGNED_MAX];
    size_t len;
    enum p2p_err err = labelled_hash(t, P2P_TO_SPKI_S, 0, label_k, label, &len);

    return err != P2P_OK ? err : p2p_oaep_decrypt(client, label, len, t->oaep, k);
}

/* SPAKE2 (RFC 9382) over OpenSSL's P-256. */
#include "p2p/spake2.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <string.h>

#include "core/crypto/ossl.h"

enum { SCALAR = P2P_SPAKE2_SCALAR_LEN, SHARE = P2P_SPAKE2_SHARE_LEN, HALF = 16 };

/* M and N of the RFC, section 4, compressed. */
static const uint8_t point_m[33] = {
    0x02, 0x88, 0x6e, 0x2f, 0x97, 0xac, 0xe4, 0x6e, 0x55, 0xba, 0x9d,
    0xd7, 0x24, 0x25, 0x79, 0xf2, 0x99, 0x3b, 0x64, 0xe1, 0x6e, 0xf3,
    0xdc, 0xab, 0x95, 0xaf, 0xd4, 0x97, 0x33, 0x3d, 0x8f, 0xa1, 0x2f};
static const uint8_t point_n[33] = {
    0x03, 0xd8, 0xbb, 0xd6, 0xc6, 0x39, 0xc6, 0x29, 0x37, 0xb0, 0x4d,
    0x99, 0x7f, 0x38, 0xc3, 0x77, 0x07, 0x19, 0xc6, 0x29, 0xd7, 0x01,
    0x4d, 0x49, 0xa2, 0x4b, 0x4f, 0x98, 0xba, 0xa1, 0x29, 0x2b, 0x49};

/* The group and what one calculation needs. */
struct curve {
    EC_GROUP *group;
    BN_CTX *ctx;
    const BIGNUM *order; /* borrowed from the group */
};

static void
curve_clear(struct curve *c)
{
    BN_CTX_free(c->ctx);
    EC_GROUP_free(c->group);
    p2p_ossl_unguard();
}

static enum p2p_err
curve_init(struct curve *c)
{
    p2p_ossl_guard();
    *c = (struct curve){.group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1),
                        .ctx = BN_CTX_secure_new()};
    if (c->group != NULL)
        c->order = EC_GROUP_get0_order(c->group);
    if (c->group != NULL && c->ctx != NULL && c->order != NULL)
        return P2P_OK;
    curve_clear(c);
    return p2p_ossl_fail(P2P_ERR_CRYPTO);
}

/* A secret number. OpenSSL multiplies points of P-256 in constant time, one by one. */
static BIGNUM *
scalar_from(const uint8_t bytes[SCALAR])
{
    BIGNUM *n = BN_secure_new();

    if (n == NULL || BN_bin2bn(bytes, SCALAR, n) == NULL) {
        BN_clear_free(n);
        return NULL;
    }
    BN_set_flags(n, BN_FLG_CONSTTIME);
    return n;
}

static EC_POINT *
point_from(const struct curve *c, const uint8_t *bytes, size_t len)
{
    EC_POINT *p = EC_POINT_new(c->group);

    /* It checks that the point is on the curve. */
    if (p != NULL && EC_POINT_oct2point(c->group, p, bytes, len, c->ctx) == 1 &&
        EC_POINT_is_at_infinity(c->group, p) == 0)
        return p;
    EC_POINT_clear_free(p);
    return NULL;
}

static bool
format_point(const struct curve *c, const EC_POINT *p, uint8_t out[SHARE])
{
    return EC_POINT_point2oct(c->group, p, POINT_CONVERSION_UNCOMPRESSED, out, SHARE,
                              c->ctx) == SHARE;
}

/* n * point; NULL: n * generator. */
static EC_POINT *
multiply(const struct curve *c, const EC_POINT *point, const BIGNUM *n)
{
    EC_POINT *r = EC_POINT_new(c->group);
    int ok = 0;

    if (r != NULL && point != NULL)
        ok = EC_POINT_mul(c->group, r, NULL, point, n, c->ctx);
    else if (r != NULL)
        ok = EC_POINT_mul(c->group, r, n, NULL, NULL, c->ctx);
    if (ok == 1)
        return r;
    EC_POINT_clear_free(r);
    return NULL;
}

/* w * M for the share of side A, w * N for that of side B. */
static EC_POINT *
mask_of(const struct curve *c, enum p2p_spake2_side side, const BIGNUM *w)
{
    EC_POINT *base = side == P2P_SPAKE2_A ? point_from(c, point_m, sizeof(point_m))
                                          : point_from(c, point_n, sizeof(point_n));
    EC_POINT *mask = base != NULL ? multiply(c, base, w) : NULL;

    EC_POINT_clear_free(base);
    return mask;
}

static bool
make_share(const struct curve *c, const BIGNUM *w, const BIGNUM *x,
           struct p2p_spake2 *out)
{
    EC_POINT *mask = mask_of(c, out->side, w), *own = multiply(c, NULL, x);
    bool ok = mask != NULL && own != NULL &&
              EC_POINT_add(c->group, own, own, mask, c->ctx) == 1 &&
              EC_POINT_is_at_infinity(c->group, own) == 0 &&
              format_point(c, own, out->share.b);

    EC_POINT_clear_free(mask);
    EC_POINT_clear_free(own);
    return ok;
}

static bool
is_in_range(const struct curve *c, const BIGNUM *n)
{
    return !BN_is_zero(n) && BN_cmp(n, c->order) < 0;
}

enum p2p_err
p2p_spake2_begin_with(enum p2p_spake2_side side, const uint8_t w[SCALAR],
                      const uint8_t x[SCALAR], struct p2p_spake2 *out)
{
    BIGNUM *wn = NULL, *xn = NULL;
    struct curve c;
    enum p2p_err err = curve_init(&c);

    *out = (struct p2p_spake2){.side = side};
    if (err != P2P_OK)
        return err;
    memcpy(out->w, w, SCALAR);
    memcpy(out->x, x, SCALAR);
    wn = scalar_from(w);
    xn = scalar_from(x);
    if (wn == NULL || xn == NULL)
        err = P2P_ERR_CRYPTO;
    else if (!is_in_range(&c, wn) || !is_in_range(&c, xn))
        err = P2P_ERR_RANGE;
    else if (!make_share(&c, wn, xn, out))
        err = P2P_ERR_CRYPTO;
    BN_clear_free(wn);
    BN_clear_free(xn);
    curve_clear(&c);
    if (err == P2P_OK)
        return P2P_OK;
    p2p_wipe(out, sizeof(*out));
    return p2p_ossl_fail(err);
}

/* A number below the order, from 48 bytes: so no value is likelier than another one. */
static enum p2p_err
reduce(const uint8_t wide[48], uint8_t out[SCALAR])
{
    struct curve c;
    BIGNUM *n = NULL;
    enum p2p_err err = curve_init(&c);

    if (err != P2P_OK)
        return err;
    if ((n = BN_secure_new()) == NULL || BN_bin2bn(wide, 48, n) == NULL)
        err = P2P_ERR_CRYPTO;
    if (err == P2P_OK) {
        BN_set_flags(n, BN_FLG_CONSTTIME);
        if (BN_mod(n, n, c.order, c.ctx) != 1 || BN_bn2binpad(n, out, SCALAR) != SCALAR)
            err = P2P_ERR_CRYPTO;
    }
    BN_clear_free(n);
    curve_clear(&c);
    return err == P2P_OK ? P2P_OK : p2p_ossl_fail(err);
}

/* The RFC wants a slow hash here, for a stored password that leaks. A code is random,
 * used once and not stored, so a quick one serves as well. */
static enum p2p_err
scalar_of_password(const void *password, size_t len, uint8_t out[SCALAR])
{
    static const struct p2p_digest salt = {"p2p/2 spake2 password"};
    struct p2p_secret prk, part[2];
    uint8_t wide[48];
    enum p2p_err err = p2p_hkdf_extract(&salt, password, len, &prk);

    if (err == P2P_OK)
        err = p2p_hkdf_expand(&prk, "w 1", 3, &part[0]);
    if (err == P2P_OK)
        err = p2p_hkdf_expand(&prk, "w 2", 3, &part[1]);
    if (err == P2P_OK) {
        memcpy(wide, part[0].b, 32);
        memcpy(wide + 32, part[1].b, 16);
        err = reduce(wide, out);
    }
    p2p_wipe(&prk, sizeof(prk));
    p2p_wipe(part, sizeof(part));
    p2p_wipe(wide, sizeof(wide));
    return err;
}

enum p2p_err
p2p_spake2_begin(enum p2p_spake2_side side, const void *password, size_t len,
                 struct p2p_spake2 *out)
{
    uint8_t w[SCALAR], x[SCALAR], wide[48];
    enum p2p_err err = scalar_of_password(password, len, w);

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = p2p_random(wide, sizeof(wide));
    if (err == P2P_OK)
        err = reduce(wide, x);
    if (err == P2P_OK)
        err = p2p_spake2_begin_with(side, w, x, out);
    p2p_wipe(w, sizeof(w));
    p2p_wipe(x, sizeof(x));
    p2p_wipe(wide, sizeof(wide));
    return err;
}

/* ---- finishing ---- */

/* x * (theirs - mask), which is the same point on both sides. */
static enum p2p_err
shared_point(const struct p2p_spake2 *run, const struct p2p_spake2_share *theirs,
             uint8_t out[SHARE])
{
    enum p2p_spake2_side other =
        run->side == P2P_SPAKE2_A ? P2P_SPAKE2_B : P2P_SPAKE2_A;
    EC_POINT *point = NULL, *mask = NULL, *k = NULL;
    BIGNUM *w = scalar_from(run->w), *x = scalar_from(run->x);
    struct curve c;
    enum p2p_err err = curve_init(&c);

    if (err == P2P_OK) {
        err = P2P_ERR_CRYPTO;
        if (theirs->b[0] != 4 || (point = point_from(&c, theirs->b, SHARE)) == NULL)
            err = P2P_ERR_AUTH;
        else if (w != NULL && x != NULL && (mask = mask_of(&c, other, w)) != NULL &&
                 EC_POINT_invert(c.group, mask, c.ctx) == 1 &&
                 EC_POINT_add(c.group, point, point, mask, c.ctx) == 1) {
            err = P2P_ERR_AUTH; /* only their share can be the reason */
            if (EC_POINT_is_at_infinity(c.group, point) == 0 &&
                (k = multiply(&c, point, x)) != NULL &&
                EC_POINT_is_at_infinity(c.group, k) == 0 && format_point(&c, k, out))
                err = P2P_OK;
        }
        EC_POINT_clear_free(point);
        EC_POINT_clear_free(mask);
        EC_POINT_clear_free(k);
        curve_clear(&c);
    }
    BN_clear_free(w);
    BN_clear_free(x);
    return err == P2P_OK ? P2P_OK : p2p_ossl_fail(err);
}

/* The transcript: each part behind its length, which has the lowest byte first. */
#define PART_MAX 255
struct transcript {
    size_t len;
    uint8_t b[6 * 8 + 2 * PART_MAX + 3 * SHARE + SCALAR];
};

static void
put_part(struct transcript *t, const void *part, size_t len)
{
    for (unsigned i = 0; i < 8; i++)
        t->b[t->len++] = (uint8_t)((uint64_t)len >> (8 * i));
    memcpy(t->b + t->len, part, len);
    t->len += len;
}

static enum p2p_err
make_transcript(const struct p2p_spake2 *run, const struct p2p_spake2_context *context,
                const struct p2p_spake2_share *theirs, struct transcript *t)
{
    size_t len_a = strlen(context->name_a), len_b = strlen(context->name_b);
    bool is_a = run->side == P2P_SPAKE2_A;
    uint8_t k[SHARE];
    enum p2p_err err;

    t->len = 0;
    if (len_a > PART_MAX || len_b > PART_MAX)
        return P2P_ERR_TOO_LARGE;
    if ((err = shared_point(run, theirs, k)) != P2P_OK)
        return err;
    put_part(t, context->name_a, len_a);
    put_part(t, context->name_b, len_b);
    put_part(t, is_a ? run->share.b : theirs->b, SHARE);
    put_part(t, is_a ? theirs->b : run->share.b, SHARE);
    put_part(t, k, SHARE);
    put_part(t, run->w, SCALAR);
    p2p_wipe(k, sizeof(k));
    return P2P_OK;
}

/* HMAC-SHA-256 is the Extract of HKDF; a short key is filled up with zeros there. */
static enum p2p_err
hmac(const uint8_t key[HALF], const struct transcript *t, struct p2p_digest *out)
{
    struct p2p_digest salt = {{0}};
    struct p2p_secret mac;
    enum p2p_err err;

    memcpy(salt.b, key, HALF);
    err = p2p_hkdf_extract(&salt, t->b, t->len, &mac);
    memcpy(out->b, mac.b, sizeof(out->b));
    p2p_wipe(&mac, sizeof(mac));
    p2p_wipe(&salt, sizeof(salt));
    return err;
}

/* KcA || KcB. */
static enum p2p_err
confirmation_keys(const uint8_t ka[HALF], const struct p2p_spake2_context *context,
                  struct p2p_secret *out)
{
    static const char label[] = "ConfirmationKeys";
    static const struct p2p_digest no_salt;
    uint8_t info[sizeof(label) - 1 + PART_MAX];
    struct p2p_secret prk;
    enum p2p_err err;

    if (context->aad_len > PART_MAX)
        return P2P_ERR_TOO_LARGE;
    memcpy(info, label, sizeof(label) - 1);
    if (context->aad_len > 0)
        memcpy(info + sizeof(label) - 1, context->aad, context->aad_len);
    err = p2p_hkdf_extract(&no_salt, ka, HALF, &prk);
    if (err == P2P_OK)
        err = p2p_hkdf_expand(&prk, info, sizeof(label) - 1 + context->aad_len, out);
    p2p_wipe(&prk, sizeof(prk));
    return err;
}

static enum p2p_err
make_proofs(const struct p2p_spake2 *run, const struct p2p_spake2_context *context,
            const struct p2p_digest *hash, const struct transcript *t,
            struct p2p_spake2_keys *out)
{
    bool is_a = run->side == P2P_SPAKE2_A;
    struct p2p_secret kc;
    enum p2p_err err = confirmation_keys(hash->b + HALF, context, &kc);

    if (err == P2P_OK)
        err = hmac(kc.b, t, is_a ? &out->own_proof : &out->their_proof);
    if (err == P2P_OK)
        err = hmac(kc.b + HALF, t, is_a ? &out->their_proof : &out->own_proof);
    p2p_wipe(&kc, sizeof(kc));
    return err;
}

/* Ke has 16 bytes; our keys have 32. */
static enum p2p_err
make_key(const struct p2p_digest *hash, struct p2p_secret *out)
{
    static const char label[] = "p2p/2 spake2 key";
    static const struct p2p_digest no_salt;
    struct p2p_secret prk;
    enum p2p_err err = p2p_hkdf_extract(&no_salt, hash->b, HALF, &prk);

    if (err == P2P_OK)
        err = p2p_hkdf_expand(&prk, label, sizeof(label), out);
    p2p_wipe(&prk, sizeof(prk));
    return err;
}

enum p2p_err
p2p_spake2_finish(const struct p2p_spake2 *run,
                  const struct p2p_spake2_context *context,
                  const struct p2p_spake2_share *theirs, struct p2p_spake2_keys *out)
{
    struct transcript t;
    struct p2p_digest hash;
    enum p2p_err err = make_transcript(run, context, theirs, &t);

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK)
        err = p2p_sha256(t.b, t.len, &hash);
    if (err == P2P_OK)
        err = make_proofs(run, context, &hash, &t, out);
    if (err == P2P_OK)
        err = make_key(&hash, &out->key);
    if (err != P2P_OK)
        p2p_wipe(out, sizeof(*out));
    p2p_wipe(&t, sizeof(t));
    p2p_wipe(&hash, sizeof(hash));
    return err;
}

enum p2p_err
p2p_spake2_check(const struct p2p_spake2_keys *keys, const struct p2p_digest *proof)
{
    return p2p_equal_ct(keys->their_proof.b, proof->b, sizeof(proof->b)) ? P2P_OK
                                                                         : P2P_ERR_AUTH;
}

enum p2p_err
p2p_spake2_shared(const struct p2p_spake2 *run,
                  const struct p2p_spake2_context *context,
                  const struct p2p_spake2_share *theirs, uint8_t ke[P2P_SPAKE2_KE_LEN])
{
    struct transcript t;
    struct p2p_digest hash;
    enum p2p_err err = make_transcript(run, context, theirs, &t);

    if (err == P2P_OK)
        err = p2p_sha256(t.b, t.len, &hash);
    if (err == P2P_OK)
        memcpy(ke, hash.b, HALF);
    p2p_wipe(&t, sizeof(t));
    p2p_wipe(&hash, sizeof(hash));
    return err;
}

/* SPAKE2: the known answers of RFC 9382 (appendix B), and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/bytes.h"
#include "p2p/spake2.h"

struct answer {
    const char *name_a, *name_b, *w, *x, *y, *share_a, *share_b, *ke, *proof_a,
        *proof_b;
};
static const struct answer answers[] = {
    {"server", "client",
     "2ee57912099d31560b3a44b1184b9b4866e904c49d12ac5042c97dca461b1a5f",
     "43dd0fd7215bdcb482879fca3220c6a968e66d70b1356cac18bb26c84a78d729",
     "dcb60106f276b02606d8ef0a328c02e4b629f84f89786af5befb0bc75b6e66be",
     "04a56fa807caaa53a4d28dbb9853b9815c61a411118a6fe516a8798434751470f9010153ac33d0d5f"
     "2047ffdb1a3e42c9b4e6be662766e1eeb4116988ede5f912c",
     "0406557e482bd03097ad0cbaa5df82115460d951e3451962f1eaf4367a420676d09857ccbc522686c"
     "83d1852abfa8ed6e4a1155cf8f1543ceca528afb591a1e0b7",
     "0e0672dc86f8e45565d338b0540abe69",
     "58ad4aa88e0b60d5061eb6b5dd93e80d9c4f00d127c65b3b35b1b5281fee38f0",
     "d3e2e547f1ae04f2dbdbf0fc4b79f8ecff2dff314b5d32fe9fcef2fb26dc459b"},
    {"", "client", "0548d8729f730589e579b0475a582c1608138ddf7054b73b5381c7e883e2efae",
     "403abbe3b1b4b9ba17e3032849759d723939a27a27b9d921c500edde18ed654b",
     "903023b6598908936ea7c929bd761af6039577a9c3f9581064187c3049d87065",
     "04a897b769e681c62ac1c2357319a3d363f610839c4477720d24cbe32f5fd85f44fb92ba966578c1b"
     "712be6962498834078262caa5b441ecfa9d4a9485720e918a",
     "04e0f816fd1c35e22065d5556215c097e799390d16661c386e0ecc84593974a61b881a8c82327687d"
     "0501862970c64565560cb5671f696048050ca66ca5f8cc7fc",
     "642f05c473c2cd79909f9a841e2f30a7",
     "47d29e6666af1b7dd450d571233085d7a9866e4d49d2645e2df975489521232b",
     "3313c5cefc361d27fb16847a91c2a73b766ffa90a4839122a9b70a2f6bd1d6df"},
    {"server", "", "626e0cdc7b14c9db3e52a0b1b3a768c98e37852d5db30febe0497b14eae8c254",
     "07adb3db6bc623d3399726bfdbfd3d15a58ea776ab8a308b00392621291f9633",
     "b6a4fc8dbb629d4ba51d6f91ed1532cf87adec98f25dd153a75accafafedec16",
     "04f88fb71c99bfffaea370966b7eb99cd4be0ff1a7d335caac4211c4afd855e2e15a873b298503ad8"
     "ba1d9cbb9a392d2ba309b48bfd7879aefd0f2cea6009763b0",
     "040c269d6be017dccb15182ac6bfcd9e2a14de019dd587eaf4bdfd353f031101e7cca177f8eb362a6"
     "e83e7d5e729c0732e1b528879c086f39ba0f31a9661bd34db",
     "005184ff460da2ce59062c87733c299c",
     "bc9f9bbe99f26d0b2260e6456e05a86196a3307ec6663a18bf6ac825736533b2",
     "c2370e1bf813b086dff0d834e74425a06e6390f48f5411900276dcccc5a297ec"},
    {"", "", "7bf46c454b4c1b25799527d896508afd5fc62ef4ec59db1efb49113063d70cca",
     "8cef65df64bb2d0f83540c53632de911b5b24b3eab6cc74a97609fd659e95473",
     "d7a66f64074a84652d8d623a92e20c9675c61cb5b4f6a0063e4648a2fdc02d53",
     "04a65b367a3f613cf9f0654b1b28a1e3a8a40387956c8ba6063e8658563890f46ca1ef6a676598889"
     "fc28de2950ab8120b79a5ef1ea4c9f44bc98f585634b46d66",
     "04589f13218822710d98d8b2123a079041052d9941b9cf88c6617ddb2fcc0494662eea8ba6b64692d"
     "c318250030c6af045cb738bc81ba35b043c3dcb46adf6f58d",
     "fc6374762ba5cf11f4b2caa08b2cd1b9",
     "dfb4db8d48ae5a675963ea5e6c19d98d4ea028d8e898dad96ea19a80ade95dca",
     "d0f0609d1613138d354f7e95f19fb556bf52d751947241e8c7118df5ef0ae175"},
};

static void
from_hex(const char *text, void *out, size_t len)
{
    assert_int_equal(strlen(text), 2 * len);
    assert_int_equal(p2p_hex_parse(text, out, len), P2P_OK);
}

static void
assert_hex(const void *bytes, size_t len, const char *text)
{
    uint8_t want[P2P_SPAKE2_SHARE_LEN];

    from_hex(text, want, len);
    assert_memory_equal(bytes, want, len);
}

static void
begin(enum p2p_spake2_side side, const char *w, const char *x, struct p2p_spake2 *out)
{
    uint8_t wb[P2P_SPAKE2_SCALAR_LEN], xb[P2P_SPAKE2_SCALAR_LEN];

    from_hex(w, wb, sizeof(wb));
    from_hex(x, xb, sizeof(xb));
    assert_int_equal(p2p_spake2_begin_with(side, wb, xb, out), P2P_OK);
}

static void
known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct answer *v = &answers[i];
        const struct p2p_spake2_context context = {v->name_a, v->name_b, NULL, 0};
        uint8_t ke_a[P2P_SPAKE2_KE_LEN], ke_b[P2P_SPAKE2_KE_LEN];
        struct p2p_spake2_keys keys_a, keys_b;
        struct p2p_spake2 a, b;

        begin(P2P_SPAKE2_A, v->w, v->x, &a);
        begin(P2P_SPAKE2_B, v->w, v->y, &b);
        assert_hex(a.share.b, sizeof(a.share.b), v->share_a);
        assert_hex(b.share.b, sizeof(b.share.b), v->share_b);
        assert_int_equal(p2p_spake2_shared(&a, &context, &b.share, ke_a), P2P_OK);
        assert_int_equal(p2p_spake2_shared(&b, &context, &a.share, ke_b), P2P_OK);
        assert_hex(ke_a, sizeof(ke_a), v->ke);
        assert_hex(ke_b, sizeof(ke_b), v->ke);
        assert_int_equal(p2p_spake2_finish(&a, &context, &b.share, &keys_a), P2P_OK);
        assert_int_equal(p2p_spake2_finish(&b, &context, &a.share, &keys_b), P2P_OK);
        assert_hex(keys_a.own_proof.b, 32, v->proof_a);
        assert_hex(keys_a.their_proof.b, 32, v->proof_b);
        assert_hex(keys_b.own_proof.b, 32, v->proof_b);
        assert_int_equal(p2p_spake2_check(&keys_b, &keys_a.own_proof), P2P_OK);
        assert_memory_equal(&keys_a.key, &keys_b.key, sizeof(keys_a.key));
    }
}

/* Both sides, each with its password and what it says about the run. */
static bool
agree(const char *password_a, const char *password_b, const char *aad_a,
      const char *aad_b)
{
    const struct p2p_spake2_context about_a = {"a", "b", aad_a, strlen(aad_a)},
                                    about_b = {"a", "b", aad_b, strlen(aad_b)};
    struct p2p_spake2_keys keys_a, keys_b;
    struct p2p_spake2 a, b;

    assert_int_equal(p2p_spake2_begin(P2P_SPAKE2_A, password_a, strlen(password_a), &a),
                     P2P_OK);
    assert_int_equal(p2p_spake2_begin(P2P_SPAKE2_B, password_b, strlen(password_b), &b),
                     P2P_OK);
    assert_int_equal(p2p_spake2_finish(&a, &about_a, &b.share, &keys_a), P2P_OK);
    assert_int_equal(p2p_spake2_finish(&b, &about_b, &a.share, &keys_b), P2P_OK);
    bool a_agrees = p2p_spake2_check(&keys_a, &keys_b.own_proof) == P2P_OK;
    bool b_agrees = p2p_spake2_check(&keys_b, &keys_a.own_proof) == P2P_OK;
    assert_true(a_agrees == b_agrees);
    /* A proof that comes back to its sender proves nothing. */
    assert_int_equal(p2p_spake2_check(&keys_a, &keys_a.own_proof), P2P_ERR_AUTH);
    return a_agrees;
}

static void
only_the_same_password_and_context_agree(void **state)
{
    (void)state;
    assert_true(agree("guitar-tiger", "guitar-tiger", "7", "7"));
    assert_true(agree("", "", "", ""));
    assert_false(agree("guitar-tiger", "guitar-tigers", "7", "7"));
    assert_false(agree("guitar-tiger", "Guitar-tiger", "7", "7"));
    assert_false(agree("guitar-tiger", "guitar-tiger", "7", "8"));
    assert_false(agree("guitar-tiger", "guitar-tiger", "7", ""));
}

static void
each_run_is_new(void **state)
{
    struct p2p_spake2 a, b;

    (void)state;
    assert_int_equal(p2p_spake2_begin(P2P_SPAKE2_A, "x", 1, &a), P2P_OK);
    assert_int_equal(p2p_spake2_begin(P2P_SPAKE2_A, "x", 1, &b), P2P_OK);
    assert_memory_equal(a.w, b.w, sizeof(a.w));
    assert_memory_not_equal(a.x, b.x, sizeof(a.x));
    assert_memory_not_equal(&a.share, &b.share, sizeof(a.share));
}

static enum p2p_err
finish_with(const struct p2p_spake2_share *theirs)
{
    const struct p2p_spake2_context context = {"a", "b", NULL, 0};
    struct p2p_spake2_keys keys;
    struct p2p_spake2 a;

    begin(P2P_SPAKE2_A, answers[0].w, answers[0].x, &a);
    enum p2p_err err = p2p_spake2_finish(&a, &context, theirs, &keys);
    if (err != P2P_OK) { /* nothing is left of the keys */
        struct p2p_spake2_keys none = {0};
        assert_memory_equal(&keys, &none, sizeof(none));
    }
    return err;
}

static void
refuses_what_is_not_a_point(void **state)
{
    struct p2p_spake2_share good, bad;

    (void)state;
    from_hex(answers[0].share_b, good.b, sizeof(good.b));
    assert_int_equal(finish_with(&good), P2P_OK);
    /* Another form, and infinity with bytes behind it. */
    for (unsigned first = 0; first < 256; first++) {
        if (first == 4)
            continue;
        bad = good;
        bad.b[0] = (uint8_t)first;
        assert_int_equal(finish_with(&bad), P2P_ERR_AUTH);
    }
    /* Not on the curve: a point has one other y only. */
    for (size_t bit = 8; bit < 8 * sizeof(bad.b); bit += 7) {
        bad = good;
        bad.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(finish_with(&bad), P2P_ERR_AUTH);
    }
    memset(&bad, 0, sizeof(bad));
    assert_int_equal(finish_with(&bad), P2P_ERR_AUTH);
    bad.b[0] = 4;
    assert_int_equal(finish_with(&bad), P2P_ERR_AUTH);
    memset(bad.b + 1, 0xff, sizeof(bad.b) - 1);
    assert_int_equal(finish_with(&bad), P2P_ERR_AUTH);
}

/* A share that is only the mask would make the result the identity. */
static void
refuses_the_mask_alone(void **state)
{
    static const char w[] =
        "0000000000000000000000000000000000000000000000000000000000000001";
    const struct p2p_spake2_context context = {"a", "b", NULL, 0};
    struct p2p_spake2_share n;
    struct p2p_spake2_keys keys;
    struct p2p_spake2 a;

    (void)state;
    /* N of the RFC, uncompressed, for w = 1. */
    from_hex("04d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49"
             "07d60aa6bfade45008a636337f5168c64d9bd36034808cd564490b1e656edbe7",
             n.b, sizeof(n.b));
    begin(P2P_SPAKE2_A, w, answers[0].x, &a);
    assert_int_equal(p2p_spake2_finish(&a, &context, &n, &keys), P2P_ERR_AUTH);
}

static void
refuses_scalars_out_of_range(void **state)
{
    static const char *const wrong[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        /* the order, and more */
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    uint8_t good[P2P_SPAKE2_SCALAR_LEN], bad[P2P_SPAKE2_SCALAR_LEN];
    struct p2p_spake2 a;

    (void)state;
    from_hex(answers[0].w, good, sizeof(good));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        from_hex(wrong[i], bad, sizeof(bad));
        assert_int_equal(p2p_spake2_begin_with(P2P_SPAKE2_A, bad, good, &a),
                         P2P_ERR_RANGE);
        assert_int_equal(p2p_spake2_begin_with(P2P_SPAKE2_B, good, bad, &a),
                         P2P_ERR_RANGE);
    }
}

static void
refuses_parts_that_are_too_long(void **state)
{
    static char name[300];
    const struct p2p_spake2_context long_name = {name, "b", NULL, 0},
                                    long_aad = {"a", "b", name, sizeof(name)};
    struct p2p_spake2_share share;
    struct p2p_spake2_keys keys;
    struct p2p_spake2 a;

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    from_hex(answers[0].share_b, share.b, sizeof(share.b));
    begin(P2P_SPAKE2_A, answers[0].w, answers[0].x, &a);
    assert_int_equal(p2p_spake2_finish(&a, &long_name, &share, &keys),
                     P2P_ERR_TOO_LARGE);
    assert_int_equal(p2p_spake2_finish(&a, &long_aad, &share, &keys),
                     P2P_ERR_TOO_LARGE);
}

static void
every_bit_of_a_proof_counts(void **state)
{
    struct p2p_spake2_keys keys = {0};
    struct p2p_digest proof;

    (void)state;
    memset(&keys.their_proof, 0x5a, sizeof(keys.their_proof));
    for (size_t bit = 0; bit < 8 * sizeof(proof.b); bit++) {
        proof = keys.their_proof;
        assert_int_equal(p2p_spake2_check(&keys, &proof), P2P_OK);
        proof.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(p2p_spake2_check(&keys, &proof), P2P_ERR_AUTH);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(only_the_same_password_and_context_agree),
        cmocka_unit_test(each_run_is_new),
        cmocka_unit_test(refuses_what_is_not_a_point),
        cmocka_unit_test(refuses_the_mask_alone),
        cmocka_unit_test(refuses_scalars_out_of_range),
        cmocka_unit_test(refuses_parts_that_are_too_long),
        cmocka_unit_test(every_bit_of_a_proof_counts),
    };

    return p2p_crypto_init() == P2P_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

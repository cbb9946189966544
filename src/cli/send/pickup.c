#include "cli/send/pickup.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/options.h"
#include "p2p/path.h"

#define KEPT_FILE "receiving.json"
enum {
    KEPT_MAX = 16,
    KEPT_BYTES_MAX = 256 * 1024,
    KEPT_S = 7 * 24 * 3600,
    WAIT_S = 10,
    ANSWER_MS = 60000,
    BOX_MS = 70000,
};

/* ---- what is kept ---- */

/* *Returns owned* array, empty if there is none. */
static cJSON *
read_kept(const char *keys_dir)
{
    struct p2p_root *root = NULL;
    cJSON *array = NULL;
    struct stat st;
    char *text = NULL;
    int fd = -1;

    if (p2p_root_open(keys_dir, false, 0700, &root) == P2P_OK &&
        p2p_root_open_private(root, KEPT_FILE, O_RDONLY, &fd) == P2P_OK &&
        fstat(fd, &st) == 0 && st.st_size <= KEPT_BYTES_MAX &&
        (text = malloc((size_t)st.st_size + 1)) != NULL &&
        pread(fd, text, (size_t)st.st_size, 0) == st.st_size)
        array = cJSON_ParseWithLength(text, (size_t)st.st_size);
    free(text);
    p2p_fd_close(&fd);
    p2p_root_close(root);
    if (!cJSON_IsArray(array)) {
        cJSON_Delete(array);
        array = cJSON_CreateArray();
    }
    return array;
}

/* Takes the array. If it cannot be written, an interrupted transfer needs a new code.
 */
static void
write_kept(const char *keys_dir, cJSON *array)
{
    struct p2p_root *root = NULL;
    char *text = cJSON_PrintUnformatted(array);

    if (text == NULL || p2p_root_open(keys_dir, false, 0700, &root) != P2P_OK ||
        p2p_root_replace_private(root, KEPT_FILE, text, strlen(text)) != P2P_OK)
        cli_say(
            "warning: cannot store the code in %s: after an interruption you need a "
            "new one",
            keys_dir);
    p2p_root_close(root);
    if (text != NULL)
        p2p_wipe(text, strlen(text));
    cJSON_free(text);
    cJSON_Delete(array);
}

/* Number and words; the registry may have been named or not. */
static void
key_of(const struct p2p_code *code, char out[P2P_CODE_TEXT])
{
    struct p2p_code bare = *code;

    bare.registry[0] = '\0';
    p2p_code_format(&bare, out);
}

/* Without this code, and without old ones. */
static cJSON *
others(const char *keys_dir, const struct p2p_code *code)
{
    cJSON *array = read_kept(keys_dir);
    double now_s = (double)p2p_time_s();
    char key[P2P_CODE_TEXT];

    key_of(code, key);
    for (int i = cJSON_GetArraySize(array) - 1; i >= 0; i--) {
        const cJSON *item = cJSON_GetArrayItem(array, i);
        const char *text = cli_text_in(item, "code");
        const cJSON *until = cJSON_GetObjectItemCaseSensitive(item, "until");
        if (text == NULL || strcmp(text, key) == 0 || !cJSON_IsNumber(until) ||
            until->valuedouble < now_s)
            cJSON_DeleteItemFromArray(array, i);
    }
    while (cJSON_GetArraySize(array) >= KEPT_MAX)
        cJSON_DeleteItemFromArray(array, 0);
    return array;
}

static void
put_hex(cJSON *object, const char *name, const void *bytes, size_t len)
{
    char hex[2 * P2P_KEY_LEN + 1];

    p2p_hex_format(bytes, len, hex);
    cJSON_AddStringToObject(object, name, hex);
    p2p_wipe(hex, sizeof(hex));
}

static void
keep(const struct pickup *p, const char *keys_dir)
{
    cJSON *array = others(keys_dir, &p->code), *item = cJSON_CreateObject();
    char key[P2P_CODE_TEXT];

    key_of(&p->code, key);
    cJSON_AddStringToObject(item, "code", key);
    cJSON_AddStringToObject(item, "registry", p->url);
    cJSON_AddStringToObject(item, "offer", p->offer);
    cJSON_AddNumberToObject(item, "until", (double)(p2p_time_s() + KEPT_S));
    put_hex(item, "box", p->exchange.box.b, sizeof(p->exchange.box.b));
    put_hex(item, "key", p->exchange.keys.key.b, sizeof(p->exchange.keys.key.b));
    cJSON_AddItemToArray(array, item);
    write_kept(keys_dir, array);
}

/* The offer that this code gave before. */
static bool
recall(struct pickup *p, const char *keys_dir)
{
    cJSON *array = read_kept(keys_dir), *item;
    char key[P2P_CODE_TEXT];
    bool is_found = false;

    key_of(&p->code, key);
    cJSON_ArrayForEach(item, array)
    {
        const char *code = cli_text_in(item, "code"),
                   *url = cli_text_in(item, "registry");
        const char *offer = cli_text_in(item, "offer"), *box = cli_text_in(item, "box");
        const char *secret = cli_text_in(item, "key");
        struct p2p_exchange *x = &p->exchange;
        if (is_found || code == NULL || strcmp(code, key) != 0 || url == NULL ||
            offer == NULL || box == NULL || secret == NULL ||
            strlen(url) >= sizeof(p->url) ||
            (p->code.registry[0] != '\0' && strcmp(p->code.registry, url) != 0) ||
            p2p_hex_parse(box, x->box.b, sizeof(x->box.b)) != P2P_OK ||
            p2p_hex_parse(secret, x->keys.key.b, sizeof(x->keys.key.b)) != P2P_OK ||
            (p->offer = strdup(offer)) == NULL)
            continue;
        strcpy(p->url, url);
        x->side = P2P_EXCHANGE_RECEIVER;
        x->state = P2P_EXCHANGE_AGREED;
        x->sealed = 1; /* the claim */
        is_found = true;
    }
    cJSON_Delete(array);
    return is_found;
}

/* ---- the exchange ---- */

struct asking {
    struct pickup *pickup;
    struct p2p_discovery *discovery;
    const struct pickup_options *opt;
    struct p2p_answer_box box; /* the receiver's */
    char *claim;
    bool is_wrong;
    enum p2p_err err;
};

static enum p2p_err
post(struct asking *a, const char *text)
{
    char box[P2P_BOX_TEXT];

    p2p_box_of_number(&a->pickup->exchange.box, box);
    return text != NULL ? p2p_box_post(a->discovery, 0, box, text, a->opt->stop)
                        : P2P_ERR_NOMEM;
}

static void
take(void *arg, const char *text, size_t len)
{
    struct asking *a = arg;
    char *answer, *inner;

    switch (
        p2p_exchange_take(&a->pickup->exchange, text, len, a->claim, &answer, &inner)) {
    case P2P_EXCHANGE_SHARE:
        a->err = post(a, answer);
        break;
    case P2P_EXCHANGE_PROVEN:
        a->pickup->offer = inner;
        inner = NULL;
        break;
    case P2P_EXCHANGE_WRONG:
        a->is_wrong = true;
        break;
    default:
        break;
    }
    free(answer);
    free(inner);
}

/* Tells the sender the id that asks, which it then serves. */
static char *
make_claim(struct p2p_identity *identity)
{
    cJSON *claim = cJSON_CreateObject();
    struct p2p_about about;
    char *text;

    p2p_identity_get_about(identity, &about);
    cJSON_AddStringToObject(claim, "id", p2p_identity_id_hex(identity));
    cJSON_AddStringToObject(claim, "name", about.name);
    text = cJSON_PrintUnformatted(claim);
    cJSON_Delete(claim);
    return text;
}

static enum p2p_err
talk(struct asking *a)
{
    char box[P2P_BOX_TEXT];
    const struct p2p_box_wait wait = {
        .box = box, .wait_s = WAIT_S, .stop = a->opt->stop};
    char *hello = p2p_exchange_hello(&a->pickup->exchange);
    uint64_t end_ms = p2p_now_ms() + ANSWER_MS;
    enum p2p_err err = post(a, hello);

    free(hello);
    p2p_box_of_number(&a->box.number, box);
    while (err == P2P_OK && a->pickup->offer == NULL && !a->is_wrong) {
        if (p2p_now_ms() >= end_ms)
            return P2P_ERR_TIMEOUT;
        if (p2p_stop_is_set(a->opt->stop))
            return P2P_ERR_CANCELLED;
        err = p2p_box_read(a->discovery, 0, &wait, &a->box.after, take, a);
        if (err == P2P_OK)
            err = a->err;
    }
    return err;
}

/* One registry. NOT_FOUND: the number is not there. */
static enum p2p_err
ask_at(struct pickup *p, const char *url, const struct pickup_options *opt,
       bool *is_wrong)
{
    const char *const urls[] = {url};
    struct asking a = {.pickup = p, .opt = opt};
    struct p2p_box_number box;
    enum p2p_err err = p2p_discovery_open(urls, 1, opt->timeout_ms, &a.discovery);

    a.box = (struct p2p_answer_box){
        .discovery = a.discovery, .stop = opt->stop, .take = take, .arg = &a};
    if (err == P2P_OK)
        err = p2p_random(&a.box.number, sizeof(a.box.number));
    /* Before the number is claimed: there may be too many boxes. */
    if (err == P2P_OK)
        err = p2p_answer_box_make(&a.box, BOX_MS);
    if (err == P2P_OK)
        err = p2p_box_of_code(a.discovery, 0, p->code.number, opt->stop, &box);
    if (err == P2P_OK)
        err = p2p_exchange_begin(&p->exchange, P2P_EXCHANGE_RECEIVER, &p->code, &box,
                                 &a.box.number);
    if (err == P2P_OK && (a.claim = make_claim(opt->identity)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = talk(&a);
    snprintf(p->url, sizeof(p->url), "%s", url);
    *is_wrong = a.is_wrong;
    cJSON_free(a.claim);
    p2p_discovery_close(a.discovery);
    return err;
}

static int
explain(const struct pickup *p, enum p2p_err err, bool is_wrong)
{
    char code[P2P_CODE_TEXT];

    p2p_code_format(&p->code, code);
    if (is_wrong)
        return cli_fail(P2P_ERR_AUTH,
                        "the words of %s are wrong. The code is used up now: ask for a "
                        "new one",
                        code);
    switch (err) {
    case P2P_ERR_NOT_FOUND:
        return cli_fail(
            err,
            "there is no code with the number %u at the registry; check the "
            "code, and whether `p2p send` still runs",
            (unsigned)p->code.number);
    case P2P_ERR_EXISTS:
        return cli_fail(
            P2P_ERR_NOT_ALLOWED,
            "the code %s was used already, and works only once. If that was "
            "not you, tell the sender. Ask for a new one",
            code);
    case P2P_ERR_TIMEOUT:
        return cli_fail(err, "the sender does not answer; ask for a new code");
    case P2P_ERR_RATE_LIMITED:
        return cli_fail(err, "too many codes were tried from this address; try again "
                             "later");
    case P2P_ERR_CANCELLED:
        return cli_fail(err, "stopped");
    default:
        return cli_fail(err,
                        "cannot ask the registry: %s; does the code name it, as in "
                        "7-guitar-tiger@REGISTRY?",
                        p2p_err_text(err));
    }
}

int
pickup_open(struct pickup *p, const struct p2p_code *code,
            const struct pickup_options *opt)
{
    bool is_wrong = false, is_named = code->registry[0] != '\0';
    enum p2p_err err = P2P_ERR_NOT_FOUND, one;

    memset(p, 0, sizeof(*p));
    p->code = *code;
    if ((p->is_resumed = recall(p, opt->keys_dir)))
        return 0;
    if (is_named)
        err = ask_at(p, code->registry, opt, &is_wrong);
    for (size_t i = 0; !is_named && i < opt->registries->count; i++) {
        if (strcmp(opt->registries->at[i], "none") == 0)
            continue;
        one = ask_at(p, opt->registries->at[i], opt, &is_wrong);
        if (i == 0 || one != P2P_ERR_NOT_FOUND)
            err = one;
        if (one == P2P_OK || is_wrong)
            break;
    }
    if (err != P2P_OK || is_wrong)
        return explain(p, err, is_wrong);
    keep(p, opt->keys_dir);
    return 0;
}

void
pickup_forget(struct pickup *p, const struct pickup_options *opt)
{
    write_kept(opt->keys_dir, others(opt->keys_dir, &p->code));
}

void
pickup_finish(struct pickup *p, const struct pickup_options *opt)
{
    const char *const urls[] = {p->url};
    struct asking a = {.pickup = p, .opt = opt};
    char *text = NULL;

    if (p2p_discovery_open(urls, 1, opt->timeout_ms, &a.discovery) == P2P_OK &&
        p2p_exchange_finish(&p->exchange, &text) == P2P_OK && post(&a, text) != P2P_OK)
        cli_say("cannot tell the sender that everything has arrived");
    free(text);
    p2p_discovery_close(a.discovery);
    pickup_forget(p, opt);
}

void
pickup_close(struct pickup *p)
{
    p2p_exchange_clear(&p->exchange);
    free(p->offer);
    p2p_wipe(p, sizeof(*p));
}

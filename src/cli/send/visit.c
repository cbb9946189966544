#include "cli/send/visit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/array.h"
#include "p2p/clock.h"
#include "p2p/name.h"
#include "p2p/path.h"
#include "p2p/vault.h"

enum {
    FILES_MAX = 100000,
    LIST_MS = 120000,
    PINS_MAX = 3, /* the peer takes five, then none for a while */
};

/* ---- the list ---- */

#define END_MS  5000 /* for the sender to hear the end */
#define TELL_MS 65000
#define PAUSE_S 2

static enum p2p_err
add_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct visit *v = arg;
    struct p2p_wanted *grown;
    char *copy;

    if (v->count >= FILES_MAX)
        return P2P_ERR_TOO_LARGE;
    grown = p2p_array_room(v->files, v->count, &v->file_room, sizeof(*grown));
    if (grown != NULL)
        v->files = grown;
    if (grown == NULL || (copy = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    v->files[v->count++] = (struct p2p_wanted){.name = copy,
                                               .save_as = copy,
                                               .root = entry->root,
                                               .size = entry->size,
                                               .mtime_s = entry->mtime_s};
    v->size += entry->size;
    return P2P_OK;
}

static enum p2p_err
add_folder(void *arg, const char *name)
{
    struct visit *v = arg;
    char **grown;

    if (v->folder_count >= FILES_MAX)
        return P2P_ERR_TOO_LARGE;
    grown =
        p2p_array_room(v->folders, v->folder_count, &v->folder_room, sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    v->folders = grown;
    if ((v->folders[v->folder_count] = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    v->folders[v->folder_count][strlen(name) - 1] = '\0';
    v->folder_count++;
    return P2P_OK;
}

/* Removes the folder of the offer from all names, if all of them are in the same one.
 * Otherwise two files could get the same name. */
static void
drop_prefix(struct visit *v)
{
    const char *first = v->count > 0 ? v->files[0].name : "";
    size_t len = p2p_name_sent_len(first);

    for (size_t i = 0; i < v->count; i++)
        if (strncmp(v->files[i].name, first, len) != 0)
            return;
    for (size_t i = 0; i < v->folder_count; i++)
        if (strncmp(v->folders[i], first, len) != 0)
            return;
    for (size_t i = 0; i < v->count; i++)
        v->files[i].save_as = v->files[i].name + len;
    for (size_t i = 0; i < v->folder_count; i++)
        memmove(v->folders[i], v->folders[i] + len, strlen(v->folders[i] + len) + 1);
}

/* ---- the link ---- */

static enum p2p_err
connect_to(struct visit *v, const struct visit_options *opt, struct p2p_conn **out)
{
    const struct p2p_conn_options options = {.identity = opt->identity,
                                             .expected = &v->link.keys.guest,
                                             .protocol = 2,
                                             .timeout_ms = opt->timeout_ms,
                                             .reach = &v->reach};

    return p2p_conn_open(&options, out);
}

static enum p2p_err
set_pin(struct visit *v, const char *pin)
{
    v->link.has_pin = true;
    return p2p_link_pin_of(&v->link.keys, pin, &v->link.pin);
}

static bool
ask_pin(struct visit *v, bool is_again)
{
    char *pin = p2p_passphrase_ask(is_again ? "The PIN is wrong. PIN of this link: "
                                            : "PIN of this link: ");
    bool has = pin != NULL && set_pin(v, pin) == P2P_OK;

    p2p_vault_free(pin);
    return has;
}

/* Asks for the PIN when the peer does. */
static enum p2p_err
enter(struct visit *v, const struct visit_options *opt, struct p2p_conn **conn)
{
    enum p2p_err err = opt->pin != NULL ? set_pin(v, opt->pin) : P2P_OK;

    if (err == P2P_OK)
        err = connect_to(v, opt, conn);
    for (int i = 0; i < PINS_MAX && err == P2P_ERR_PASSPHRASE && opt->pin == NULL;
         i++) {
        if (!ask_pin(v, i > 0))
            break;
        err = connect_to(v, opt, conn);
    }
    return err;
}

static enum p2p_err
look_inside(struct visit *v, const struct visit_options *opt)
{
    const struct p2p_list_visitor visitor = {
        .file = add_file, .folder = add_folder, .arg = v};
    struct p2p_conn *conn = NULL;
    enum p2p_err err = enter(v, opt, &conn);

    if (err != P2P_OK)
        return err;
    v->welcome = *p2p_conn_welcome(conn);
    if (v->welcome.mode == P2P_WELCOME_FETCH)
        err = p2p_conn_list_all(conn, p2p_now_ms() + LIST_MS, &visitor);
    p2p_conn_close(conn);
    drop_prefix(v);
    return err;
}

static int
explain(const struct visit *v, const struct visit_options *opt, enum p2p_err err)
{
    switch (err) {
    case P2P_ERR_NOT_FOUND:
        return cli_fail(err,
                        "nobody answers this link at %s: it has expired, was used "
                        "up or revoked, or the sender's device is off. Ask the "
                        "sender",
                        v->url);
    case P2P_ERR_PASSPHRASE:
        return cli_fail(err, opt->pin != NULL || v->link.has_pin
                                 ? "the PIN is wrong; ask the sender"
                                 : "the link has a PIN; give it with --pin");
    case P2P_ERR_RATE_LIMITED:
        return cli_fail(err,
                        "too many attempts, or too many wrong PINs; try again in 15 "
                        "minutes");
    case P2P_ERR_TIMEOUT:
        return cli_fail(err,
                        "the sender's device does not answer: it may be off, or the "
                        "link has ended, or no direct way opens, for example "
                        "because UDP is blocked. Try again, or ask for a code: a "
                        "code can use a relay");
    case P2P_ERR_CANCELLED:
        return cli_fail(err, "stopped");
    default:
        return cli_fail(err, "cannot open the link at %s: %s", v->url,
                        p2p_err_text(err));
    }
}

int
visit_open(struct visit *v, const char *link, const struct visit_options *opt)
{
    const char *const urls[] = {v->url};
    struct p2p_link_secret secret;
    enum p2p_err err;

    memset(v, 0, sizeof(*v));
    if (p2p_link_parse_url(link, v->url, sizeof(v->url), &secret) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE,
                        "this is not a complete link; copy all of it, with the 22 "
                        "characters behind the # sign, and put it in quotes");
    err = p2p_link_derive(&secret, &v->link.keys);
    p2p_wipe(&secret, sizeof(secret));
    if (err == P2P_OK)
        err = p2p_guest_id_of(&v->link.keys, p2p_identity_id(opt->identity),
                              &v->link.guest);
    if (err == P2P_OK)
        err = p2p_discovery_open(urls, 1, opt->timeout_ms, &v->discovery);
    v->reach = (struct p2p_reach){.identity = opt->identity,
                                  .discovery = v->discovery,
                                  .wish = P2P_WISH_CHANNEL,
                                  .visit = &v->link};
    if (err == P2P_OK)
        err = look_inside(v, opt);
    if (err != P2P_OK)
        return explain(v, opt, err);
    if (v->welcome.mode != P2P_WELCOME_FETCH)
        return cli_fail(P2P_ERR_UNSUPPORTED, "this link takes files instead of giving "
                                             "them; open it in a browser");
    return v->count + v->folder_count > 0
               ? 0
               : cli_fail(P2P_ERR_NOT_FOUND, "there is no file in this link");
}

void
visit_finish(struct visit *v, const struct visit_options *opt)
{
    uint64_t last_ms = p2p_now_ms() + TELL_MS;
    bool is_told = false;
    enum p2p_err err;

    /* The registry may have no place for another call just now. */
    do {
        struct p2p_conn *conn = NULL;

        if ((err = connect_to(v, opt, &conn)) == P2P_OK)
            is_told = p2p_conn_end_visit(conn, END_MS);
        p2p_conn_close(conn);
    } while (!is_told && err != P2P_ERR_CANCELLED && err != P2P_ERR_NOT_FOUND &&
             p2p_now_ms() < last_ms && sleep(PAUSE_S) == 0);
    if (!is_told)
        cli_say("cannot tell the sender that everything has arrived");
}

void
visit_close(struct visit *v)
{
    for (size_t i = 0; i < v->count; i++)
        free((char *)v->files[i].name);
    for (size_t i = 0; i < v->folder_count; i++)
        free(v->folders[i]);
    free(v->files);
    free(v->folders);
    p2p_discovery_close(v->discovery);
    p2p_wipe(v, sizeof(*v));
}

/* p2p inbox: what other devices would like to send to this one. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/get/one.h"
#include "cli/send/interrupt.h"
#include "p2p/bytes.h"
#include "p2p/control.h"
#include "p2p/io.h"
#include "p2p/names.h"
#include "p2p/net.h"

enum { ASK_MS = 5000, ID_SHOWN = 8, HEX_MAX = 64 };

struct inbox_command {
    struct get_options get; /* first: its options are those of `p2p get` */
    struct get_output output;
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    struct p2p_reach reach;
    struct p2p_root *downloads;
    struct p2p_stop *stop;
    int control;
};
#define AT(field) offsetof(struct inbox_command, field)
static const struct p2p_option options[] = {
    {"output-dir", P2P_OPT_TEXT, AT(get.output_dir), 0, 0, "DIR",
     "folder for the files of an offer that is accepted"},
    {"on-conflict", P2P_OPT_TEXT, AT(get.on_conflict), 0, 0, "HOW",
     "what to do when another file has the name: rename (add a number), version (keep "
     "the old content, see p2p history), overwrite (keep it if there is room), or "
     "skip"},
    {"quiet", P2P_OPT_FLAG, AT(get.quiet), 0, 0, NULL, "print only errors"},
    CLI_OPTION_DISCOVERY(struct get_options),
    CLI_OPTION_TIMEOUT(struct get_options),
    CLI_OPTION_KEYS(struct get_options),
    CLI_OPTION_JSON(struct get_options),
};
static const struct p2p_option_set set = {
    "p2p inbox", "[options] [accept ID | decline ID | always DEVICE | ask DEVICE]",
    "Lists what other devices would like to send to this one. Nothing is downloaded "
    "before you accept it. `accept` downloads the files, `decline` tells the sender "
    "that you do not want them. After `always`, offers of this device are accepted "
    "without a question; `ask` ends that. The dashboard shows the same list. p2p-peer "
    "must be running.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- the running peer ---- */

static int
fail_running(enum p2p_err err)
{
    if (err == P2P_ERR_UNSUPPORTED)
        return cli_fail(err, "the running p2p-peer is too old for offers; restart it");
    if (err == P2P_ERR_NOT_FOUND || err == P2P_ERR_UNREACHABLE)
        return cli_fail(err, "p2p-peer does not run with these keys, so no device can "
                             "offer anything; start p2p-peer");
    return cli_fail(err, "p2p-peer: %s", p2p_err_text(err));
}

/* Takes the request. */
static enum p2p_err
ask(struct inbox_command *c, const char *verb, cJSON *request, cJSON **answer)
{
    cJSON *got = NULL;
    enum p2p_err err;

    cli_put_text(request, "verb", verb);
    err = p2p_control_ask(c->control, request, ASK_MS, &got, NULL, 0);
    cJSON_Delete(request);
    if (answer != NULL)
        *answer = got;
    else
        cJSON_Delete(got);
    return err;
}

/* "" if there is none. */
static const char *
text_of(const cJSON *object, const char *name)
{
    const char *text = cli_text_in(object, name);

    return text != NULL ? text : "";
}

/* ---- listing ---- */

static void
name_of(struct inbox_command *c, const cJSON *offer, char out[CLI_TEXT])
{
    struct p2p_about about = {.kind = P2P_ABOUT_UNKNOWN};
    const char *said = text_of(offer, "name");
    char called[P2P_CALLED_MAX];
    struct p2p_id id;

    (void)p2p_about_set_name(&about, said, strlen(said));
    if (p2p_hex_parse(text_of(offer, "peer_id"), id.b, sizeof(id.b)) != P2P_OK) {
        out[0] = '\0';
        return;
    }
    p2p_peer_called(c->identity, &id, &about, called);
    cli_text(called, out);
}

static void
print_offer(struct inbox_command *c, const cJSON *offer)
{
    char name[CLI_TEXT], size[CLI_SHORT], when[CLI_SHORT];
    uint64_t count = cli_number_in(offer, "count");

    name_of(c, offer, name);
    printf("%.*s  %-8s  %s  from %s: ", ID_SHOWN, text_of(offer, "id"),
           text_of(offer, "state"), cli_time(cli_number_in(offer, "received"), when),
           name);
    if (count == 0)
        puts("a text");
    else
        printf("%llu file%s, %s\n", (unsigned long long)count, count == 1 ? "" : "s",
               cli_size(cli_number_in(offer, "size"), size));
}

static int
list(struct inbox_command *c)
{
    const cJSON *offer, *offers;
    cJSON *answer = NULL;
    enum p2p_err err = ask(c, "inbox.list", cli_object(), &answer);

    if (err != P2P_OK)
        return fail_running(err);
    offers = cJSON_GetObjectItemCaseSensitive(answer, "offers");
    if (c->get.common.json) {
        cJSON *object = cli_object();
        cJSON_AddItemToObject(object, "offers",
                              cJSON_DetachItemFromObject(answer, "offers"));
        cli_print_json(object);
    } else {
        cJSON_ArrayForEach(offer, offers)
        {
            print_offer(c, offer);
        }
        if (cJSON_GetArraySize(offers) == 0)
            cli_say("nobody has offered anything");
    }
    cJSON_Delete(answer);
    return 0;
}

/* Finds the offer by its id or the beginning of it; *returns owned*. */
static int
find(struct inbox_command *c, const char *text, cJSON **out)
{
    cJSON *answer = NULL, *offer, *found = NULL;
    enum p2p_err err = ask(c, "inbox.list", cli_object(), &answer);
    char shown[CLI_TEXT];
    int count = 0;

    *out = NULL;
    if (err != P2P_OK)
        return fail_running(err);
    cJSON_ArrayForEach(offer, cJSON_GetObjectItemCaseSensitive(answer, "offers"))
    {
        if (strlen(text) < 4 || strncmp(text_of(offer, "id"), text, strlen(text)) != 0)
            continue;
        found = offer;
        count++;
    }
    if (count == 1)
        *out = cJSON_Duplicate(found, true);
    cJSON_Delete(answer);
    if (*out != NULL)
        return 0;
    return cli_fail(P2P_ERR_NOT_FOUND, "there is no offer %s; `p2p inbox` lists them",
                    cli_text(text, shown));
}

/* ---- accepting ---- */

static void
print_text(const char *text)
{
    char shown[CLI_TEXT];

    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        char line[CLI_TEXT];
        if (len >= sizeof(line))
            len = sizeof(line) - 1;
        snprintf(line, sizeof(line), "%.*s", (int)len, at);
        puts(cli_text(line, shown));
        at += len + (at[len] == '\n');
    }
}

static int
open_ways(struct inbox_command *c, const char *peer_id, struct cli_peer *peer)
{
    enum p2p_err err = cli_resolve_peer(&c->get.common, c->identity, peer_id, peer);
    char shown[CLI_TEXT];

    if (err == P2P_OK)
        err = cli_open_discovery(&c->get.common, &c->discovery);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    c->reach = (struct p2p_reach){.identity = c->identity, .discovery = c->discovery};
    err = p2p_root_open(c->get.output_dir, true, 0755, &c->downloads);
    if (err != P2P_OK)
        return cli_fail(err,
                        "cannot create or open %s: %s; choose another folder with "
                        "--output-dir",
                        cli_text(c->get.output_dir, shown), p2p_err_text(err));
    return 0;
}

static enum p2p_err
download(struct inbox_command *c, const struct cli_peer *peer, const cJSON *item)
{
    struct p2p_source_spec source = {
        .addr = peer->addr, .id = &peer->id, .by_user = true};
    struct p2p_digest root;
    const char *name = text_of(item, "name");
    const struct p2p_download_options opt = {
        .identity = c->identity,
        .downloads = c->downloads,
        .name = name,
        .root = &root,
        .save_as = name,
        .conflict = c->get.conflict,
        .sources = &source,
        .source_count = 1,
        .reach = c->discovery != NULL ? &c->reach : NULL,
        .timeout_ms = c->get.common.timeout_ms,
        .size_announced = true,
        .announced_size = cli_number_in(item, "size"),
        .keep_free = P2P_KEEP_FREE,
    };
    struct get_one one = {
        .opt = &c->get, .identity = c->identity, .stop = c->stop, .output = &c->output};

    snprintf(source.others, sizeof(source.others), "%s", peer->others);
    if (p2p_hex_parse(text_of(item, "root"), root.b, sizeof(root.b)) != P2P_OK ||
        p2p_name_check(name, strlen(name), true) != P2P_OK)
        return P2P_ERR_PROTOCOL;
    return get_one(&one, &opt);
}

static cJSON *
request_for(const cJSON *offer)
{
    cJSON *request = cli_object();

    cli_put_text(request, "id", text_of(offer, "id"));
    return request;
}

/* One page of the items after the other. */
static int
download_all(struct inbox_command *c, const cJSON *offer, const struct cli_peer *peer)
{
    uint64_t done = 0, count = cli_number_in(offer, "count");
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && done < count) {
        cJSON *answer = NULL, *request = request_for(offer);
        const cJSON *item;
        uint64_t before = done;
        cli_put_number(request, "first", done);
        err = ask(c, "inbox.items", request, &answer);
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer, "items"))
        {
            if (err == P2P_OK)
                err = download(c, peer, item);
            done++;
        }
        cJSON_Delete(answer);
        if (err == P2P_OK && done == before)
            err = P2P_ERR_PROTOCOL;
    }
    return cli_download_ended(err);
}

static int
accept_offer(struct inbox_command *c, const cJSON *offer)
{
    cJSON *answer = NULL, *request = request_for(offer);
    struct cli_peer peer = {0};
    enum p2p_err err;
    int status = 0;

    if (cli_number_in(offer, "count") > 0)
        status = open_ways(c, text_of(offer, "peer_id"), &peer);
    if (status != 0) {
        cJSON_Delete(request);
        return status;
    }
    /* Claimed at once: p2p-ui would download it otherwise. */
    cli_put_text(request, "answer", "accept");
    cli_put_bool(request, "claim", true);
    if ((err = ask(c, "inbox.answer", request, NULL)) != P2P_OK)
        return fail_running(err);
    err = ask(c, "inbox.items", request_for(offer), &answer);
    if (err == P2P_OK && text_of(answer, "text")[0] != '\0')
        print_text(text_of(answer, "text"));
    cJSON_Delete(answer);
    if (err != P2P_OK)
        return fail_running(err);
    return download_all(c, offer, &peer);
}

static int
answer_offer(struct inbox_command *c, const char *text, bool accept)
{
    cJSON *offer = NULL, *request;
    int status = find(c, text, &offer);

    if (status == 0 && accept)
        status = accept_offer(c, offer);
    else if (status == 0) {
        request = request_for(offer);
        cli_put_text(request, "answer", "decline");
        enum p2p_err err = ask(c, "inbox.answer", request, NULL);
        if (err == P2P_ERR_USAGE)
            status = cli_fail(err, "this offer was accepted already");
        else if (err != P2P_OK)
            status = fail_running(err);
    }
    cJSON_Delete(offer);
    return status;
}

static int
set_always(struct inbox_command *c, const char *text, bool always)
{
    cJSON *request;
    struct p2p_id id;
    char hex[P2P_ID_HEX_LEN + 1];
    enum p2p_err err = cli_resolve_id(&c->get.common, c->identity, text, &id);

    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    p2p_hex_format(id.b, sizeof(id.b), hex);
    request = cli_object();
    cli_put_text(request, "peer", hex);
    cli_put_bool(request, "always", always);
    err = ask(c, "inbox.always", request, NULL);
    return err == P2P_OK ? 0 : fail_running(err);
}

static int
run(struct inbox_command *c, int count, char **argv)
{
    const char *verb = count > 0 ? argv[1] : "list";
    char shown[CLI_TEXT];
    enum p2p_err err;

    if (count > 0 && strcmp(verb, "accept") != 0 && strcmp(verb, "decline") != 0 &&
        strcmp(verb, "always") != 0 && strcmp(verb, "ask") != 0)
        return cli_fail(P2P_ERR_USAGE, "unknown action %s; --help lists them",
                        cli_text(verb, shown));
    if (count != 0 && count != 2)
        return cli_fail(P2P_ERR_USAGE, "give one offer or device: p2p inbox %s %s",
                        verb, verb[0] == 'a' && verb[1] != 'c' ? "DEVICE" : "ID");
    if ((err = p2p_control_connect(c->get.common.keys_dir, &c->control)) != P2P_OK)
        return fail_running(err);
    if (count == 0)
        return list(c);
    if (strcmp(verb, "accept") == 0 || strcmp(verb, "decline") == 0)
        return answer_offer(c, argv[2], strcmp(verb, "accept") == 0);
    return set_always(c, argv[2], strcmp(verb, "always") == 0);
}

int
cmd_inbox(int argc, char **argv)
{
    static struct inbox_command c = {
        .get = {.common = CLI_DEFAULTS,
                .output_dir = "downloads",
                .on_conflict = "rename",
                .verify = "full"},
        .control = -1,
    };
    int arguments, status;

    if (!cli_parse(&set, &c, argc, argv, &arguments, &status))
        return status;
    if (!get_parse_conflict(&c.get))
        return cli_fail(P2P_ERR_USAGE, "invalid --on-conflict: use rename, version, "
                                       "overwrite or skip");
    status = get_output_open(&c.get, 1, &c.output);
    if (status == 0 && interrupt_begin(&c.stop) != P2P_OK)
        status = cli_fail(P2P_ERR_SYS, "cannot wait for signals");
    if (status == 0)
        status = p2p_err_exit_status(cli_open_identity(&c.get.common, &c.identity));
    if (status == 0)
        status = run(&c, arguments, argv);
    get_output_close(&c.output);
    p2p_root_close(c.downloads);
    p2p_discovery_close(c.discovery);
    p2p_identity_close(c.identity);
    p2p_fd_close(&c.control);
    return status;
}

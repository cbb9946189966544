/* p2p send: gives files to somebody who knows a code. */
#include <cjson/cJSON.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/send/direct.h"
#include "cli/send/interrupt.h"
#include "cli/send/parcel.h"
#include "cli/send/place.h"
#include "cli/send/qr.h"
#include "cli/send/rendezvous.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/net.h"
#include "p2p/service.h"

enum {
    MEETINGS_MAX = 16,
    WRONG_MAX = 5, /* codes that others spoil, then somebody is guessing */
    WAIT_S = 20,   /* for somebody to come */
    TICK_S = 1,    /* while somebody downloads */
    RETRY_MS = 2000,
    ADDRESSES_MAX = 8,
    TEXT_MAX = 4096,
    DAY_MS = 24 * 3600 * 1000,
};

struct send_command {
    struct cli_common common;
    const char *text, *save_as, *to, *url;
    uint64_t uses, expires_ms;
    bool keep, quiet, no_link, insecure_link;
    const char *pin;
    /* In use. */
    char *const *paths;
    struct parcel parcel;
    struct place place;
    struct carrier carrier;
    char link[P2P_LINK_URL];       /* empty: there is none */
    uint64_t link_uses, link_done; /* guests of it that began, and that have all */
    uint64_t link_sent, link_speed;
    struct p2p_stop *stop;
    struct rendezvous meetings[MEETINGS_MAX];
    size_t count;
    uint64_t begun, wrong, ends_ms; /* begun: codes that somebody has used rightly */
    bool is_drawn;
};
#define AT(field) offsetof(struct send_command, field)
static const struct p2p_option options[] = {
    {"text", P2P_OPT_TEXT, AT(text), 0, 0, "TEXT", "send this text"},
    {"to", P2P_OPT_TEXT, AT(to), 0, 0, "DEVICE",
     "send to this device without a code: it asks its user (p2p inbox there). A name, "
     "an id or HOST:PORT"},
    {"save-as", P2P_OPT_TEXT, AT(save_as), 0, 0, "NAME",
     "name of the file that standard input (-) becomes"},
    {"keep", P2P_OPT_FLAG, AT(keep), 0, 0, NULL,
     "continue until Ctrl-C, with a new code for each receiver"},
    {"uses", P2P_OPT_NUMBER, AT(uses), 1, 1000, "N",
     "end after this many receivers, each with a code of its own"},
    {"expires", P2P_OPT_DURATION, AT(expires_ms), 1000, DAY_MS, "TIME",
     "end when nobody has used the code or the link for this long"},
    {"pin", P2P_OPT_TEXT, AT(pin), 0, 0, "PIN",
     "ask those who open the link for this PIN"},
    {"no-link", P2P_OPT_FLAG, AT(no_link), 0, 0, NULL, "make a code and no link"},
    {"insecure-link", P2P_OPT_FLAG, AT(insecure_link), 0, 0, NULL,
     "make a link although the registry has no https"},
    {"url", P2P_OPT_TEXT, AT(url), 0, 0, "URL",
     "address of p2p-ui on this machine, where links meet without a registry"},
    {"quiet", P2P_OPT_FLAG, AT(quiet), 0, 0, NULL, "print only the code and errors"},
    CLI_OPTION_DISCOVERY(struct send_command),
    CLI_OPTION_TIMEOUT(struct send_command),
    CLI_OPTIONS_NAME(struct send_command),
    CLI_OPTION_KEYS(struct send_command),
    CLI_OPTION_JSON(struct send_command),
};
static const struct p2p_option_set set = {
    "p2p send", "[options] FILE|FOLDER|-...",
    "Sends files and folders to somebody. Prints a code, such as 7-guitar-tiger. The "
    "receiver types `p2p receive CODE` and gets the files directly from this device, "
    "encrypted. Tell the code to the receiver only: the first one who uses it gets the "
    "files. One wrong guess uses the code up. The files stay where they are. The "
    "command ends when the receiver has everything. With --to, there is no code: the "
    "other device asks its user.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- what the user sees ---- */

static void
erase_line(struct send_command *c)
{
    if (c->is_drawn)
        fputs("\r\033[K", stderr);
    c->is_drawn = false;
}

static void
print_event(struct send_command *c, const char *event, const struct rendezvous *m)
{
    cJSON *object = cli_object();

    (void)c;
    cli_put_text(object, "event", event);
    if (m->peer_id[0] != '\0') {
        cli_put_text(object, "peer_id", m->peer_id);
        cli_put_text(object, "name", m->name);
        cli_put_number(object, "sent", m->sent);
    }
    cli_print_json(object);
}

static void
say_code(struct send_command *c, struct rendezvous *m)
{
    char code[P2P_CODE_TEXT], whole[P2P_CODE_TEXT], size[CLI_SHORT];
    struct p2p_code named = m->code;

    snprintf(named.registry, sizeof(named.registry), "%s", c->place.for_others);
    p2p_code_format(&m->code, code);
    p2p_code_format(&named, whole);
    erase_line(c);
    if (c->common.json) {
        cJSON *object = cli_object();
        cli_put_text(object, "event", "code");
        cli_put_text(object, "code", code);
        cli_put_text(object, "code_with_registry", whole);
        cli_put_number(object, "size", c->parcel.size);
        cli_put_number(object, "files", c->parcel.files);
        cli_print_json(object);
        fflush(stdout);
        return;
    }
    if (!c->quiet && c->begun == 0 && c->wrong == 0 && c->parcel.files > 0)
        printf("Sending %llu file%s, %s.\n", (unsigned long long)c->parcel.files,
               c->parcel.files == 1 ? "" : "s", cli_size(c->parcel.size, size));
    printf("Code: %s\n", code);
    printf("On the other device, type:\n\n    p2p receive %s\n\n", whole);
    fflush(stdout);
}

static void
say_link(struct send_command *c)
{
    cJSON *object;

    if (!c->common.json) {
        if (!c->quiet)
            printf("Or in a browser:\n\n    %s\n\n", c->link);
        if (!c->quiet && isatty(STDOUT_FILENO))
            qr_print(c->link);
        fflush(stdout);
        return;
    }
    object = cli_object();
    cli_put_text(object, "event", "link");
    cli_put_text(object, "link", c->link);
    cli_print_json(object);
    fflush(stdout);
}

/* A line about the guests of the link. */
static void
say_guest(struct send_command *c, const char *event, const char *text)
{
    erase_line(c);
    if (c->common.json) {
        cJSON *object = cli_object();
        cli_put_text(object, "event", event);
        cli_print_json(object);
    } else if (!c->quiet) {
        cli_say("%s", text);
    }
    fflush(stdout);
}

static void
say(struct send_command *c, const struct rendezvous *m, const char *event,
    const char *text)
{
    erase_line(c);
    if (c->common.json)
        print_event(c, event, m);
    else if (!c->quiet)
        cli_say("%s %s", m->name, text);
    fflush(stdout);
}

/* One line for those who download now. */
static void
draw(struct send_command *c)
{
    uint64_t total = c->parcel.size > 0 ? c->parcel.size : 1;
    char sent[CLI_SHORT], speed[CLI_SHORT];

    if (c->quiet || c->common.json || !isatty(STDERR_FILENO))
        return;
    erase_line(c);
    for (size_t i = 0; i < c->count; i++) {
        const struct rendezvous *m = &c->meetings[i];
        if (m->state != RENDEZVOUS_ANSWERED)
            continue;
        fprintf(stderr, "%s%s: %u %%, %s, %s/s", c->is_drawn ? "; " : "", m->name,
                (unsigned)(m->sent >= total ? 100 : m->sent * 100 / total),
                cli_size(m->sent, sent), cli_size(m->speed, speed));
        c->is_drawn = true;
    }
    if (c->link_uses > c->link_done && c->link_speed > 0) {
        fprintf(stderr, "%sthrough the link: %s, %s/s", c->is_drawn ? "; " : "",
                cli_size(c->link_sent, sent), cli_size(c->link_speed, speed));
        c->is_drawn = true;
    }
    fflush(stderr);
}

/* ---- the offer ---- */

static void
put_addresses(cJSON *offer, uint16_t port)
{
    struct p2p_addr own[ADDRESSES_MAX];
    size_t n = p2p_net_own_addresses(port, own, ADDRESSES_MAX);
    cJSON *array = cli_put_array(offer, "addresses");
    char text[P2P_HOST_MAX + 9];

    if (n < ADDRESSES_MAX) { /* for a receiver on this machine */
        snprintf(own[n].host, sizeof(own[n].host), "127.0.0.1");
        own[n++].port = port;
    }
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(
            array, cJSON_CreateString(p2p_addr_format(&own[i], text, sizeof(text))));
}

static void
put_items(cJSON *offer, const struct parcel *parcel)
{
    cJSON *array = cli_put_array(offer, "items");

    for (size_t i = 0; i < parcel->count; i++) {
        const struct parcel_item *item = &parcel->items[i];
        bool is_folder = item->name[strlen(item->name) - 1] == '/';
        cJSON *object = cli_add_object(array);
        cli_put_text(object, "name", item->name);
        cli_put_number(object, "size", item->size);
        cli_put_number(object, "files", item->files);
        if (!is_folder)
            cli_put_hex(object, "root", item->root.b, true);
    }
}

/* What the receiver needs, and nobody else sees. *Returns owned.* */
static char *
make_offer(const struct send_command *c, const char *own_name)
{
    cJSON *offer = cli_object();
    char *text;

    if (own_name != NULL)
        cli_put_text(offer, "name", own_name);
    if (c->text != NULL)
        cli_put_text(offer, "text", c->text);
    if (c->parcel.count > 0) {
        cli_put_text(offer, "peer", c->carrier.peer_id);
        cli_put_text(offer, "offer", c->carrier.offer);
        put_addresses(offer, c->carrier.port);
        put_items(offer, &c->parcel);
    }
    text = cJSON_PrintUnformatted(offer);
    cJSON_Delete(offer);
    return text;
}

static enum p2p_err
answer(struct send_command *c, struct rendezvous *m, const char *own_name)
{
    char *offer = make_offer(c, own_name);
    enum p2p_err err = offer != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err == P2P_OK && c->parcel.count > 0)
        err = carrier_allow(&c->carrier, m->peer_id);
    if (err == P2P_OK)
        err = rendezvous_answer(m, c->place.discovery, offer, c->stop);
    free(offer);
    c->begun += err == P2P_OK;
    if (err == P2P_OK)
        say(c, m, "receiver", "has the right code and downloads");
    return err;
}

/* ---- progress ---- */

static void
count_upload(struct send_command *c, const cJSON *upload)
{
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(upload, "peer_id"));
    const cJSON *sent = cJSON_GetObjectItemCaseSensitive(upload, "sent");
    const cJSON *speed = cJSON_GetObjectItemCaseSensitive(upload, "speed");

    bool is_known = id == NULL || !cJSON_IsNumber(sent);

    for (size_t i = 0; i < c->count && id != NULL && cJSON_IsNumber(sent); i++)
        if (strcmp(c->meetings[i].peer_id, id) == 0) {
            c->meetings[i].sent += (uint64_t)sent->valuedouble;
            c->meetings[i].speed += (uint64_t)cJSON_GetNumberValue(speed);
            is_known = true;
        }
    if (is_known)
        return;
    c->link_sent += (uint64_t)sent->valuedouble;
    c->link_speed += (uint64_t)cJSON_GetNumberValue(speed);
}

static uint64_t
number_in(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(value) && value->valuedouble > 0
               ? (uint64_t)value->valuedouble
               : 0;
}

/* Guests of the link count as receivers. */
static void
count_guests(struct send_command *c, const cJSON *link)
{
    uint64_t uses = number_in(link, "uses"), done = number_in(link, "done");

    for (; c->link_uses < uses; c->link_uses++, c->begun++)
        say_guest(c, "guest", "somebody is downloading through the link");
    for (; c->link_done < done; c->link_done++)
        say_guest(c, "guest_done",
                  "somebody has downloaded everything through the link");
}

/* Also tells the peer that this program is there. */
static enum p2p_err
follow(struct send_command *c)
{
    cJSON *status, *upload;

    if (c->parcel.count == 0)
        return P2P_OK;
    if ((status = carrier_status(&c->carrier)) == NULL) {
        cli_say("p2p-peer, which serves the files, has ended; run the command again");
        return P2P_ERR_CLOSED;
    }
    for (size_t i = 0; i < c->count; i++)
        c->meetings[i].sent = c->meetings[i].speed = 0;
    c->link_sent = c->link_speed = 0;
    count_guests(c, cJSON_GetObjectItemCaseSensitive(status, "link"));
    cJSON_ArrayForEach(upload, cJSON_GetObjectItemCaseSensitive(status, "uploads"))
        count_upload(c, upload);
    cJSON_Delete(status);
    draw(c);
    return P2P_OK;
}

/* ---- codes ---- */

static enum p2p_err
new_code(struct send_command *c)
{
    struct rendezvous *m = &c->meetings[c->count];
    enum p2p_err err = rendezvous_open(m, c->place.discovery, c->stop);

    if (err != P2P_OK) {
        cli_say("cannot get a code from the registry %s: %s", c->place.url,
                err == P2P_ERR_NOT_FOUND
                    ? "it is too old for codes; update p2p-discovery there"
                    : p2p_err_text(err));
        return err;
    }
    c->count++;
    say_code(c, m);
    return P2P_OK;
}

static size_t
count_in(const struct send_command *c, enum rendezvous_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < c->count; i++)
        n += c->meetings[i].state == state;
    return n;
}

static bool
is_open(enum rendezvous_state state)
{
    return state == RENDEZVOUS_WAITS || state == RENDEZVOUS_CLAIMED;
}

/* Removes the ones that are over. */
static void
tidy(struct send_command *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->count; i++) {
        struct rendezvous *m = &c->meetings[i];
        if (m->state == RENDEZVOUS_DONE || m->state == RENDEZVOUS_WRONG ||
            m->state == RENDEZVOUS_ABANDONED || m->state == RENDEZVOUS_LOST)
            rendezvous_close(m);
        else
            c->meetings[n++] = *m;
    }
    c->count = n;
}

static enum p2p_err
spoiled(struct send_command *c, const struct rendezvous *m)
{
    char code[P2P_CODE_TEXT];

    erase_line(c);
    p2p_code_format(&m->code, code);
    c->wrong++;
    if (c->common.json)
        print_event(c, m->state == RENDEZVOUS_WRONG ? "wrong_code" : "abandoned", m);
    cli_say(
        m->state == RENDEZVOUS_WRONG
            ? "somebody used the number of %s with wrong words, so this code is used "
              "up"
            : "somebody used the number of %s and gave no words, so this code is used "
              "up",
        code);
    if (c->wrong < WRONG_MAX)
        return P2P_OK;
    cli_say("somebody may be guessing; nothing was given away. Send it another way, or "
            "try again later");
    return P2P_ERR_AUTH;
}

static enum p2p_err
react(struct send_command *c, struct rendezvous *m, const char *own_name)
{
    switch (m->state) {
    case RENDEZVOUS_PROVEN:
        return answer(c, m, own_name);
    case RENDEZVOUS_DONE:
        say(c, m, "done", "has everything");
        return P2P_OK;
    case RENDEZVOUS_WRONG:
    case RENDEZVOUS_ABANDONED:
        return spoiled(c, m);
    case RENDEZVOUS_LOST:
        erase_line(c);
        cli_say("the registry does not know the code any longer; here is a new one");
        return P2P_OK;
    default:
        return P2P_OK;
    }
}

static void
rest(const struct send_command *c, int ms)
{
    struct pollfd on = {.fd = p2p_stop_fd(c->stop), .events = POLLIN};

    poll(&on, 1, ms);
}

/* How long to wait for somebody, before there is something else to look at. */
static unsigned
wait_of(const struct send_command *c)
{
    uint64_t now_ms = p2p_now_ms();
    uint64_t left_s = c->ends_ms > now_ms ? (c->ends_ms - now_ms) / 1000 + 1 : TICK_S;

    if (c->count != 1 || c->meetings[0].state != RENDEZVOUS_WAITS || c->link[0] != '\0')
        return TICK_S;
    return left_s < WAIT_S ? (unsigned)left_s : WAIT_S;
}

/* Looks into the box of each code once. */
static enum p2p_err
look(struct send_command *c, const char *own_name)
{
    unsigned wait_s = wait_of(c);
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < c->count && err == P2P_OK && !p2p_stop_is_set(c->stop);
         i++) {
        if (rendezvous_look(&c->meetings[i], c->place.discovery, wait_s, c->stop) !=
            P2P_OK)
            rest(c, RETRY_MS); /* the registry may be restarting */
        err = react(c, &c->meetings[i], own_name);
    }
    return err;
}

static bool
is_over(const struct send_command *c)
{
    bool waits = count_in(c, RENDEZVOUS_WAITS) + count_in(c, RENDEZVOUS_CLAIMED) > 0;
    bool serves = count_in(c, RENDEZVOUS_ANSWERED) > 0 || c->link_uses > c->link_done;

    if (serves && p2p_now_ms() < c->ends_ms)
        return false;
    if (count_in(c, RENDEZVOUS_ANSWERED) > 0)
        return false;
    /* A code that nobody has used is not needed any longer. */
    waits = waits && c->begun < c->uses;
    return (!waits && !c->keep && c->begun >= c->uses) || p2p_now_ms() >= c->ends_ms;
}

static bool
wants_code(const struct send_command *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (is_open(c->meetings[i].state))
            return false;
    return c->count < MEETINGS_MAX && (c->keep || c->begun < c->uses) &&
           p2p_now_ms() < c->ends_ms;
}

/* ---- the link ---- */

static void
title_of(const struct send_command *c, char out[CLI_SHORT])
{
    const char *name = c->parcel.items[0].name;

    out[0] = '\0';
    if (c->parcel.count == 1)
        snprintf(out, CLI_SHORT, "%.*s", (int)strcspn(name, "/"), name);
}

/* Without one, the code works all the same. */
static void
make_link(struct send_command *c)
{
    struct p2p_link_secret secret;
    char title[CLI_SHORT];
    const struct carrier_link link = {.secret = &secret,
                                      .title = title,
                                      .pin = c->pin,
                                      .lifetime_ms = c->expires_ms,
                                      .uses = c->keep ? 0 : c->uses,
                                      .near = c->place.near[0] != '\0' ? c->place.near
                                                                       : NULL};
    const char *why = place_against_link(&c->place);
    enum p2p_err err = P2P_ERR_UNSUPPORTED;

    if (why != NULL && c->insecure_link && c->place.has_links)
        why = NULL;
    title_of(c, title);
    if (why == NULL && (err = p2p_link_make(&secret)) == P2P_OK)
        err = carrier_link(&c->carrier, &link);
    if (err == P2P_OK)
        err = p2p_link_url(c->place.near[0] != '\0' ? c->place.near_for_others
                                                    : c->place.for_others,
                           &secret, c->link);
    p2p_wipe(&secret, sizeof(secret));
    if (why == NULL && err != P2P_OK)
        why = err == P2P_ERR_UNSUPPORTED
                  ? "the running p2p-peer uses no registry, or is an older one"
                  : p2p_err_text(err);
    if (why != NULL)
        c->link[0] = '\0';
    if (why == NULL)
        say_link(c);
    else if (!c->quiet)
        cli_say("there is no link for browsers: %s", why);
}

static enum p2p_err
serve(struct send_command *c, const char *own_name)
{
    enum p2p_err err = P2P_OK;
    bool is_ended = false, has_begun = false;

    while (err == P2P_OK && !is_ended && !p2p_stop_is_set(c->stop)) {
        if (wants_code(c))
            err = new_code(c);
        if (err == P2P_OK && !has_begun && !c->no_link && c->parcel.count > 0)
            make_link(c);
        has_begun = true;
        if (err == P2P_OK)
            err = look(c, own_name);
        if (err == P2P_OK)
            err = follow(c);
        tidy(c);
        is_ended = is_over(c);
    }
    erase_line(c);
    if (p2p_stop_is_set(c->stop))
        err = P2P_ERR_CANCELLED;
    if (err == P2P_ERR_CANCELLED)
        cli_say("stopped; the code no longer works");
    if (err == P2P_OK && c->begun == 0)
        return cli_say("nobody used the code or the link in time"), P2P_ERR_TIMEOUT;
    return err;
}

/* ---- beginning ---- */

static int
check(struct send_command *c, size_t count)
{
    if (count == 0 && c->text == NULL)
        return cli_fail(P2P_ERR_USAGE, "missing file; usage: p2p send FILE...");
    if (c->text != NULL && (strlen(c->text) == 0 || strlen(c->text) > TEXT_MAX))
        return cli_fail(P2P_ERR_USAGE,
                        "invalid --text: give 1 to %d bytes, or send a file", TEXT_MAX);
    if (c->to != NULL && (c->keep || c->uses != 1))
        return cli_fail(P2P_ERR_USAGE,
                        "--keep and --uses are for codes: with --to, one "
                        "device gets the files");
    return parcel_check(c->paths, count, c->save_as, &c->parcel);
}

static int
run(struct send_command *c)
{
    struct p2p_identity *identity = NULL;
    struct p2p_about about;
    enum p2p_err err =
        place_open(&c->place, &c->common.discovery, c->common.timeout_ms);
    int status;

    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    if (!c->no_link)
        place_find_near(&c->place, c->url, c->common.timeout_ms);
    if ((err = cli_open_identity(&c->common, &identity)) != P2P_OK)
        return p2p_err_exit_status(err);
    p2p_identity_get_about(identity, &about);
    p2p_identity_close(identity);
    const struct carrier_options carrier = {
        .keys_dir = c->common.keys_dir,
        .discovery = c->place.discovery,
        .url = c->place.url,
        .own_name = about.name[0] != '\0' ? about.name : "p2p send",
    };
    if (c->parcel.count > 0) {
        if ((err = carrier_open(&c->carrier, &carrier)) != P2P_OK)
            return p2p_err_exit_status(err);
        status = parcel_pack(&c->parcel, c->paths, &c->carrier,
                             !c->quiet && !c->common.json && isatty(STDERR_FILENO));
        if (status != 0)
            return status;
    }
    c->ends_ms = p2p_now_ms() + c->expires_ms;
    return p2p_err_exit_status(serve(c, carrier.own_name));
}

/* No code and no registry: the device is asked. */
static int
run_direct(struct send_command *c)
{
    const struct carrier_options carrier = {.keys_dir = c->common.keys_dir,
                                            .running = true};
    const struct direct direct = {
        .common = &c->common,
        .to = c->to,
        .text = c->text,
        .carrier = &c->carrier,
        .size = &c->parcel.size,
        .expires_ms = c->expires_ms,
        .quiet = c->quiet,
        .stop = c->stop,
    };
    int status = 0;

    if (c->parcel.count > 0) {
        if (carrier_open(&c->carrier, &carrier) != P2P_OK)
            return p2p_err_exit_status(P2P_ERR_NOT_FOUND);
        status = parcel_pack(&c->parcel, c->paths, &c->carrier,
                             !c->quiet && !c->common.json && isatty(STDERR_FILENO));
    }
    return status == 0 ? direct_send(&direct) : status;
}

int
cmd_send(int argc, char **argv)
{
    static struct send_command c = {.common = CLI_DEFAULTS,
                                    .save_as = "input",
                                    .url = "http://localhost:8080",
                                    .uses = 1,
                                    .expires_ms = DAY_MS,
                                    .carrier = {.control = -1}};
    int arguments, status;

    if (!cli_parse(&set, &c, argc, argv, &arguments, &status))
        return status;
    c.paths = argv + 1;
    status = check(&c, (size_t)arguments);
    if (status == 0 && interrupt_begin(&c.stop) != P2P_OK)
        status = cli_fail(P2P_ERR_SYS, "cannot wait for signals");
    if (status == 0)
        status = c.to != NULL ? run_direct(&c) : run(&c);
    for (size_t i = 0; i < c.count; i++)
        rendezvous_close(&c.meetings[i]);
    carrier_close(&c.carrier);
    place_close(&c.place);
    return status;
}

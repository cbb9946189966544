#include "cli/send/take.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "cli/send/interrupt.h"
#include "cli/send/place.h"
#include "cli/send/qr.h"
#include "cli/send/taker.h"
#include "p2p/clock.h"
#include "p2p/links.h"

enum {
    LOOK_MS = 1000,  /* at the table: somebody may have revoked the link */
    GONE_MS = 60000, /* a guest that has left without a word is finished then */
};

struct take {
    const struct take_options *opt;
    struct place place;
    struct taker taker;
    struct p2p_stop *stop;
    struct p2p_links_row *row;
    char url[P2P_LINK_URL];
    /* What the taker has told. */
    uint64_t uses, done, files, received;
    uint64_t uses_left, bytes_left;
    uint64_t guests, parts;
    uint64_t gone_ms; /* time since which no guest is connected; 0: one is connected */
    uint64_t drawn_ms, drawn_received;
    bool is_drawn, is_revoked;
};

/* ---- what the user sees ---- */

static void
erase_line(struct take *t)
{
    if (t->is_drawn)
        fputs("\r\033[K", stderr);
    t->is_drawn = false;
}

static void
say_link(const struct take *t)
{
    char shown[CLI_TEXT];
    cJSON *object;

    if (t->opt->common->json) {
        object = cli_object();
        cli_put_text(object, "event", "link");
        cli_put_text(object, "link", t->url);
        cli_put_number(object, "id", t->row->id);
        cli_put_number(object, "expires", t->row->expires_s);
        cli_print_json(object);
        fflush(stdout);
        return;
    }
    if (!t->opt->quiet)
        printf(
            "Everybody who opens this link in a browser can put files into %s:\n\n    ",
            cli_text(t->opt->folder, shown));
    printf("%s\n", t->url);
    if (!t->opt->quiet) {
        putchar('\n');
        if (isatty(STDOUT_FILENO))
            qr_print(t->url);
    }
    fflush(stdout);
}

static void
say_event(struct take *t, const cJSON *message, const char *event)
{
    const char *name = cli_text_in(message, "name");
    char shown[CLI_TEXT], size[CLI_SHORT];

    erase_line(t);
    if (t->opt->common->json) {
        char *text = cJSON_PrintUnformatted(message);
        if (text != NULL)
            puts(text);
        free(text);
        fflush(stdout);
    } else if (t->opt->quiet) {
        return;
    } else if (strcmp(event, "stored") == 0 && name != NULL) {
        cli_say("received %s, %s, verified", cli_text(name, shown),
                cli_size(cli_number_in(message, "size"), size));
    } else if (strcmp(event, "guest") == 0) {
        cli_say("somebody sends files by the link");
    } else if (strcmp(event, "guest_done") == 0) {
        cli_say("the guest of the link has sent everything");
    }
}

/* One line for what comes now. */
static void
draw(struct take *t, const cJSON *message)
{
    const char *name = cli_text_in(message, "name");
    uint64_t size = cli_number_in(message, "size"), now_ms = p2p_now_ms();
    uint64_t ms = now_ms > t->drawn_ms ? now_ms - t->drawn_ms : 1;
    char shown[CLI_TEXT], speed[CLI_SHORT], total[CLI_SHORT];

    if (t->opt->quiet || t->opt->common->json || !isatty(STDERR_FILENO))
        return;
    erase_line(t);
    if (name != NULL) {
        fprintf(stderr, "%s: %u %% of %s, %s/s", cli_text(name, shown),
                (unsigned)(cli_number_in(message, "got") * 100 / (size > 0 ? size : 1)),
                cli_size(size, total),
                cli_size((t->received - t->drawn_received) * 1000 / ms, speed));
        t->is_drawn = true;
    }
    t->drawn_ms = now_ms;
    t->drawn_received = t->received;
    fflush(stderr);
}

/* ---- what the taker tells ---- */

static uint64_t
limit_in(const cJSON *message, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(message, name) != NULL
               ? cli_number_in(message, name)
               : P2P_LINKS_NO_LIMIT;
}

static void
take_status(struct take *t, const cJSON *message)
{
    uint64_t uses_left = limit_in(message, "uses_left"),
             bytes_left = limit_in(message, "bytes_left");

    t->uses = cli_number_in(message, "uses");
    t->done = cli_number_in(message, "done");
    t->files = cli_number_in(message, "files");
    t->received = cli_number_in(message, "received");
    t->guests = cli_number_in(message, "guests");
    t->parts = cli_number_in(message, "parts");
    if (t->guests > 0 || t->parts > 0 || t->files == 0)
        t->gone_ms = 0;
    else if (t->gone_ms == 0)
        t->gone_ms = p2p_now_ms();
    if (uses_left != t->uses_left || bytes_left != t->bytes_left)
        (void)!p2p_links_spend(t->opt->common->keys_dir, t->row->id, uses_left,
                               bytes_left);
    t->uses_left = uses_left;
    t->bytes_left = bytes_left;
    draw(t, message);
}

static enum p2p_err
hear(struct take *t)
{
    cJSON *message = taker_read(&t->taker);
    const char *event = message != NULL ? cli_text_in(message, "event") : NULL;
    enum p2p_err err = P2P_OK;

    if (event == NULL) {
        erase_line(t);
        cli_say("the process that takes the files has ended; run the command again");
        err = P2P_ERR_CLOSED;
    } else if (strcmp(event, "status") == 0) {
        take_status(t, message);
    } else {
        say_event(t, message, event);
    }
    cJSON_Delete(message);
    return err;
}

/* The first message: whether it can begin. */
static enum p2p_err
wait_until_ready(const struct take *t)
{
    cJSON *message = taker_read(&t->taker);
    const char *event = message != NULL ? cli_text_in(message, "event") : NULL;
    const char *why = message != NULL ? cli_text_in(message, "error") : NULL;
    bool is_ready = event != NULL && strcmp(event, "ready") == 0;
    char shown[CLI_TEXT];

    if (!is_ready)
        cli_say("cannot take files in %s: %s", cli_text(t->opt->folder, shown),
                why != NULL ? why : "its process has ended");
    cJSON_Delete(message);
    return is_ready ? P2P_OK : P2P_ERR_SYS;
}

/* ---- the end ---- */

static bool
is_in_table(const struct take *t)
{
    struct p2p_links_row *rows;
    size_t count;
    bool found = false;

    if (p2p_links_list(t->opt->common->keys_dir, &rows, &count) != P2P_OK)
        return true; /* it may be readable again later */
    for (size_t i = 0; i < count; i++)
        found = found || rows[i].id == t->row->id;
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
    return found;
}

static bool
has_finished(const struct take *t)
{
    bool has_all = t->opt->uses > 0 && t->uses >= t->opt->uses;

    if (t->opt->keep || !has_all)
        return false;
    return t->done >= t->uses ||
           (t->gone_ms > 0 && p2p_now_ms() >= t->gone_ms + GONE_MS);
}

static enum p2p_err
serve(struct take *t)
{
    enum p2p_err err = P2P_OK;
    uint64_t look_ms = p2p_now_ms() + LOOK_MS;

    while (err == P2P_OK && !has_finished(t) && !t->is_revoked &&
           p2p_time_s() < t->row->expires_s) {
        struct pollfd on[] = {{.fd = t->taker.fd, .events = POLLIN},
                              {.fd = p2p_stop_fd(t->stop), .events = POLLIN}};
        poll(on, 2, LOOK_MS);
        if (p2p_stop_is_set(t->stop))
            err = P2P_ERR_CANCELLED;
        else if (on[0].revents != 0)
            err = hear(t);
        if (p2p_now_ms() < look_ms)
            continue;
        t->is_revoked = !is_in_table(t);
        look_ms = p2p_now_ms() + LOOK_MS;
    }
    erase_line(t);
    return err;
}

static int
say_end(const struct take *t, enum p2p_err err)
{
    if (err == P2P_ERR_CANCELLED)
        cli_say("stopped; the link no longer works");
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    if (t->is_revoked)
        return cli_fail(P2P_ERR_CANCELLED, "the link was revoked");
    if (t->files == 0 && !has_finished(t))
        return cli_fail(P2P_ERR_TIMEOUT, "nobody has sent anything");
    return 0;
}

/* ---- the beginning ---- */

static enum p2p_err
make_row(struct take *t, const struct p2p_link_secret *secret)
{
    struct p2p_links_row *row = t->row;
    enum p2p_err err = p2p_link_derive(secret, &row->keys);
    char *path;

    row->created_s = p2p_time_s();
    row->expires_s = row->created_s + (t->opt->expires_ms + 999) / 1000;
    row->uses_left = t->opt->uses > 0 ? t->opt->uses : P2P_LINKS_NO_LIMIT;
    row->bytes_left = t->opt->bytes > 0 ? t->opt->bytes : P2P_LINKS_NO_LIMIT;
    row->has_pin = t->opt->pin != NULL;
    t->uses_left = row->uses_left;
    t->bytes_left = row->bytes_left;
    if (t->opt->title != NULL)
        snprintf(row->title, sizeof(row->title), "%s", t->opt->title);
    path = realpath(t->opt->folder, NULL);
    snprintf(row->folder, sizeof(row->folder), "%s",
             path != NULL ? path : t->opt->folder);
    free(path);
    if (err == P2P_OK && row->has_pin)
        err = p2p_link_pin_of(&row->keys, t->opt->pin, &row->pin);
    return err;
}

static enum p2p_err
start_taker(struct take *t)
{
    struct p2p_identity *identity = NULL;
    struct p2p_about about;
    struct taker_options options = {
        .folder = t->opt->folder,
        .url = t->place.url,
        .title = t->row->title,
        .keys = t->row->keys,
        .expires_s = t->row->expires_s,
        .uses = t->row->uses_left,
        .bytes = t->row->bytes_left,
        .timeout_ms = t->opt->common->timeout_ms,
        .has_pin = t->row->has_pin,
        .pin = t->row->pin,
    };
    enum p2p_err err = cli_open_identity(t->opt->common, &identity);

    if (err != P2P_OK)
        return err;
    p2p_identity_get_about(identity, &about);
    options.name = about.name;
    options.peer = *p2p_identity_id(identity);
    options.key = p2p_identity_key(identity);
    err = taker_start(&t->taker, &options);
    p2p_identity_close(identity);
    p2p_wipe(&options, sizeof(options));
    if (err != P2P_OK) {
        cli_say("cannot start a process: %s", p2p_err_text(err));
        return err;
    }
    return wait_until_ready(t);
}

static int
begin(struct take *t)
{
    struct p2p_link_secret secret;
    const char *why = place_against_link(&t->place);
    enum p2p_err err;

    if (why != NULL && !(t->opt->insecure && t->place.has_links))
        return cli_fail(P2P_ERR_UNSUPPORTED, "cannot make a link: %s", why);
    err = p2p_link_make(&secret);
    if (err == P2P_OK)
        err = make_row(t, &secret);
    if (err == P2P_OK)
        err = p2p_link_url(t->place.for_others, &secret, t->url);
    p2p_wipe(&secret, sizeof(secret));
    if (err != P2P_OK)
        return cli_fail(err, "cannot make a link: %s", p2p_err_text(err));
    if ((err = start_taker(t)) != P2P_OK)
        return p2p_err_exit_status(err);
    err = p2p_links_add(t->opt->common->keys_dir, t->row);
    if (err == P2P_ERR_TOO_LARGE)
        return cli_fail(err, "there are already %d links; revoke one first",
                        P2P_LINKS_MAX);
    if (err != P2P_OK)
        return cli_fail(err, "cannot make a link: %s", p2p_err_text(err));
    if (interrupt_begin(&t->stop) != P2P_OK)
        return cli_fail(P2P_ERR_SYS, "cannot wait for signals");
    say_link(t);
    return 0;
}

static int
run(struct take *t)
{
    enum p2p_err err =
        place_open(&t->place, &t->opt->common->discovery, t->opt->common->timeout_ms);
    int status = p2p_err_exit_status(err);

    if (status == 0)
        status = begin(t);
    if (status == 0)
        status = say_end(t, serve(t));
    taker_stop(&t->taker);
    if (t->row->id != 0)
        (void)!p2p_links_revoke(t->opt->common->keys_dir, t->row->id);
    place_close(&t->place);
    return status;
}

int
take_run(const struct take_options *opt)
{
    struct take t = {.opt = opt, .taker = {.fd = -1}};
    int status;

    t.row = calloc(1, sizeof(*t.row));
    if (t.row == NULL)
        return cli_fail(P2P_ERR_NOMEM, "out of memory");
    status = run(&t);
    p2p_wipe(t.row, sizeof(*t.row));
    free(t.row);
    p2p_wipe(t.url, sizeof(t.url));
    return status;
}

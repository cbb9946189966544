/* Shows the progress of a download: one line on a terminal, or one JSON object per
 * line. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/get/get.h"
#include "p2p/bytes.h"

enum {
    BAR_MIN = 6,
    BAR_MAX = 40,
    NAME_MIN = 8, /* columns of the file's name */
    NAME_MAX_COLUMNS = 32,
    COLUMNS_DEFAULT = 80
};

void
get_print_init(struct get_print *print, const struct get_options *opt,
               struct p2p_identity *identity)
{
    *print = (struct get_print){
        .json = opt->common.json,
        .terminal = !opt->common.json && !opt->quiet && isatty(STDERR_FILENO),
        .quiet = opt->quiet,
        .prints_path =
            !opt->quiet && (opt->output == NULL || strcmp(opt->output, "-") != 0),
        .started_ms = p2p_now_ms(),
        .output_dir = opt->output_dir,
        .identity = identity,
        .whole_file = strcmp(opt->verify, "full") == 0,
    };
}

/* ---- JSON ---- */

static void
put_sources(cJSON *object, struct p2p_identity *identity,
            const struct p2p_download_status *status)
{
    cJSON *array = cli_put_array(object, "sources");

    for (size_t i = 0; i < status->source_count; i++) {
        const struct p2p_source_status *s = &status->sources[i];
        cJSON *source = cli_add_object(array);
        char address[CLI_ADDRESS];
        cli_put_hex(source, "peer_id", s->id.b, s->id_known);
        if (s->id_known)
            cli_put_name(source, identity, &s->id, NULL);
        cli_put_text(source, "address",
                     p2p_addr_format(&s->addr, address, sizeof(address)));
        cli_put_text(source, "trust", p2p_rank_name(s->who));
        cli_put_text(source, "state", p2p_source_state_name(s->state));
        cli_put_number(source, "received", s->received);
        cli_put_number(source, "speed", s->speed);
        if (s->path_known)
            cli_put_path(source, s->path, s->rtt_us);
        if (s->error != P2P_OK)
            cli_put_text(source, "error", p2p_err_name(s->error));
    }
}

static void
print_json(const struct get_print *print, const struct p2p_download_status *status,
           const char *event, const char *path)
{
    cJSON *object = cli_object();

    cli_put_text(object, "event", event);
    cli_put_text(object, "state", p2p_download_state_name(status->state));
    cli_put_text(object, "name", status->name);
    if (status->size_known)
        cli_put_number(object, "size", status->size);
    cli_put_number(object, "received", status->received);
    cli_put_number(object, "verified", status->verified);
    cli_put_number(object, "reused", status->reused);
    cli_put_number(object, "speed", status->speed);
    if (status->eta_s != UINT64_MAX)
        cli_put_number(object, "eta_s", status->eta_s);
    cli_put_number(object, "files_done", status->files_done);
    cli_put_number(object, "files_total", status->files_total);
    if (status->files_renamed > 0)
        cli_put_number(object, "files_renamed", status->files_renamed);
    if (status->already_there)
        cli_put_bool(object, "already_there", true);
    if (status->retry_in_s > 0)
        cli_put_number(object, "retry_in_s", status->retry_in_s);
    put_sources(object, print->identity, status);
    if (status->root_known)
        cli_put_hex(object, "root", status->root.b, true);
    if (status->sha256_known)
        cli_put_hex(object, "sha256", status->sha256.b, true);
    if (path != NULL)
        cli_put_text(object, "path", path);
    if (status->error != P2P_OK) {
        cli_put_text(object, "error", p2p_err_name(status->error));
        cli_put_text(object, "message", status->message);
        if (status->works[0] != '\0')
            cli_put_text(object, "suggested_name", status->works);
    }
    cli_print_json(object);
}

/* ---- A terminal ---- */

static int
columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

static void
erase_line(struct get_print *print)
{
    if (print->is_drawn)
        fputs("\r\033[K", stderr);
    print->is_drawn = false;
}

/* Empty if there is no room for it: the numbers are more important. */
static void
format_bar(unsigned percent, size_t room, char out[BAR_MAX + 4])
{
    size_t cells, full;

    out[0] = '\0';
    if (room < BAR_MIN + 4)
        return;
    cells = room - 4 < BAR_MAX ? room - 4 : BAR_MAX;
    full = percent * cells / 100;
    out[0] = '[';
    memset(out + 1, '=', full);
    memset(out + 1 + full, ' ', cells - full);
    if (full < cells)
        out[1 + full] = '>';
    memcpy(out + 1 + cells, "]", 2);
}

static unsigned
active_sources(const struct p2p_download_status *status)
{
    unsigned active = 0;

    for (size_t i = 0; i < status->source_count; i++)
        active += status->sources[i].state == P2P_SRC_ACTIVE ||
                  status->sources[i].state == P2P_SRC_SLOW;
    return active;
}

/* The columns of a character that begins with this byte: those of East Asia and
 * pictures take two. */
static size_t
width_of(unsigned char first)
{
    return (first & 0xc0) == 0x80 ? 0 : first >= 0xe3 ? 2 : 1;
}

static size_t
width(const char *text)
{
    size_t sum = 0;

    for (; *text != '\0'; text++)
        sum += width_of((unsigned char)*text);
    return sum;
}

/* The last part of a name, in at most `room` columns. */
static void
format_name(const char *name, size_t room, char out[CLI_TEXT])
{
    const char *slash = strrchr(name, '/');
    size_t used = 0, at = 0;

    cli_text(slash != NULL && slash[1] != '\0' ? slash + 1 : name, out);
    if (width(out) <= room)
        return;
    while (used + width_of((unsigned char)out[at]) + 3 <= room)
        used += width_of((unsigned char)out[at++]);
    while (((unsigned char)out[at] & 0xc0) == 0x80)
        at++;
    strcpy(out + at, "...");
}

/* Adds a field. False: it is left out, because the line would get too long. */
static bool
add_field(char line[GET_LINE_MAX], size_t room, const char *field)
{
    size_t used = strlen(line);

    if (field[0] == '\0' || width(line) + 2 + width(field) > room ||
        used + strlen(field) + 3 > GET_LINE_MAX)
        return false;
    sprintf(line + used, "%s%s", used > 0 ? "  " : "", field);
    return true;
}

/* The texts to the right of the bar, the most important one first. */
static void
add_numbers(char line[GET_LINE_MAX], size_t room,
            const struct p2p_download_status *status)
{
    char done[CLI_SHORT], size[CLI_SHORT], speed[CLI_SHORT], eta[CLI_SHORT];
    char field[3 * CLI_SHORT];
    unsigned sources = active_sources(status);

    if (status->state == P2P_DL_VERIFYING) {
        snprintf(field, sizeof(field), "verifying %s", cli_size(status->size, size));
        add_field(line, room, field);
        return;
    }
    snprintf(field, sizeof(field), "%s / %s", cli_size(status->verified, done),
             cli_size(status->size, size));
    if (!add_field(line, room, field))
        return;
    snprintf(field, sizeof(field), "%s/s", cli_size(status->speed, speed));
    if (!add_field(line, room, field))
        return;
    snprintf(field, sizeof(field), "ETA %s",
             status->eta_s == UINT64_MAX ? "-" : cli_duration(status->eta_s, eta));
    if (!add_field(line, room, field))
        return;
    snprintf(field, sizeof(field), "%u source%s", sources, sources == 1 ? "" : "s");
    (void)add_field(line, room, field);
}

static unsigned
percent_of(const struct p2p_download_status *status)
{
    /* 100 % means that everything is verified (an empty file is done at once). */
    uint64_t at = status->state == P2P_DL_VERIFYING ? status->hashed : status->verified;
    double percent = status->size > 0 ? (double)at * 100 / (double)status->size : 0;

    return percent < 100 ? (unsigned)percent : 100;
}

/* "film.mkv   45%  [=====>    ]  123.4 MB / 1.2 GB  96.0 MB/s  ETA 0:12  3 sources" */
void
get_print_line(const struct p2p_download_status *status, size_t room,
               char line[GET_LINE_MAX])
{
    char name[CLI_TEXT], rest[GET_LINE_MAX] = "", bar[BAR_MAX + 4], head[8];
    unsigned percent = percent_of(status);
    size_t name_room = room / 3;

    if (name_room < NAME_MIN)
        name_room = NAME_MIN;
    format_name(status->name,
                name_room < NAME_MAX_COLUMNS ? name_room : NAME_MAX_COLUMNS, name);
    line[0] = '\0';
    add_field(line, room, name);
    if (status->state == P2P_DL_CONNECTING ||
        (status->state != P2P_DL_PAUSED && !status->size_known)) {
        add_field(line, room, "connecting ...");
        return;
    }
    snprintf(head, sizeof(head), "%3u%%", percent);
    add_field(line, room, head);
    if (status->state == P2P_DL_PAUSED) {
        char why[GET_LINE_MAX / 2];
        snprintf(why, sizeof(why), "waiting: %s", status->message);
        add_field(line, room, why);
        return;
    }
    add_numbers(rest, room - width(line) - 2, status);
    format_bar(percent, room - width(line) - width(rest) - 2, bar);
    add_field(line, room, bar);
    add_field(line, room, rest);
}

static void
draw(struct get_print *print, const struct p2p_download_status *status)
{
    char line[GET_LINE_MAX];

    get_print_line(status, (size_t)columns() - 1, line);
    fprintf(stderr, "\r\033[K%s", line);
    print->is_drawn = true;
}

/* ---- Both ---- */

/* A file that cannot be stored here: the source has done nothing wrong, and if there is
 * no other, the end tells of it. */
static bool
is_about_the_size(enum p2p_err err)
{
    return err == P2P_ERR_TOO_LARGE || err == P2P_ERR_FILE_TOO_BIG ||
           err == P2P_ERR_DISK_TOO_SMALL;
}

/* Reports each source that is no longer used once, with the reason. */
static void
tell_dropped(struct get_print *print, const struct p2p_download_status *status)
{
    for (size_t i = 0; i < status->source_count; i++) {
        const struct p2p_source_status *s = &status->sources[i];
        char address[CLI_ADDRESS], called[P2P_CALLED_MAX], who[sizeof(address) + 128];
        if (s->state == P2P_SRC_DROPPED && print->told[i] != s->state &&
            !(is_about_the_size(s->error) && status->source_count == 1)) {
            erase_line(print);
            p2p_addr_format(&s->addr, address, sizeof(address));
            snprintf(who, sizeof(who), s->id_known ? "%s at %s" : "%s%s",
                     s->id_known
                         ? p2p_peer_called(print->identity, &s->id, NULL, called)
                         : "",
                     address);
            cli_say(s->error == P2P_ERR_FILE_CHANGED ? "%s: %s"
                                                     : "%s is no longer used: %s",
                    who, p2p_err_text(s->error));
        }
        print->told[i] = s->state;
    }
}

/* Reports once how a source is reached to which no address leads, and a change of
 * that. */
static void
tell_paths(struct get_print *print, const struct p2p_download_status *status)
{
    for (size_t i = 0; i < status->source_count; i++) {
        const struct p2p_source_status *s = &status->sources[i];
        char called[P2P_CALLED_MAX];

        if (!s->path_known || s->path == print->told_path[i])
            continue;
        print->told_path[i] = s->path;
        erase_line(print);
        p2p_peer_called(print->identity, &s->id, NULL, called);
        if (s->path == P2P_PATH_RELAY)
            cli_say("%s is reached through a relay", called);
        else if (s->path == P2P_PATH_DIRECT)
            cli_say("%s is reached directly now", called);
        else
            cli_say("%s is reached directly, through NAT (%u ms)", called,
                    (unsigned)(s->rtt_us / 1000));
    }
}

/* Reports each pause before the sources are asked again. */
static void
tell_retry(struct get_print *print, const struct p2p_download_status *status)
{
    bool waits = status->retry_in_s > 0;

    if (waits && !print->told_retry) {
        erase_line(print);
        cli_say("%s; retrying in %llu s",
                status->message[0] != '\0' ? status->message
                                           : p2p_err_text(P2P_ERR_FILE_CHANGED),
                (unsigned long long)status->retry_in_s);
    }
    print->told_retry = waits;
}

/* Without a progress line, a waiting download is reported once. */
static void
tell_paused(struct get_print *print, const struct p2p_download_status *status)
{
    bool is_paused = status->state == P2P_DL_PAUSED;

    if (is_paused && !print->told_paused)
        cli_say("waiting: %s", status->message);
    print->told_paused = is_paused;
}

void
get_print_event(struct get_print *print, const struct p2p_download_status *status)
{
    if (print->json) {
        print_json(print, status, "progress", NULL);
        return;
    }
    if (print->quiet)
        return;
    tell_dropped(print, status);
    tell_paths(print, status);
    tell_retry(print, status);
    if (print->terminal)
        draw(print, status);
    else
        tell_paused(print, status);
}

/* Which peers sent it, such as "1 trusted, 2 new". Empty if nothing came over the
 * network. */
static void
format_senders(const struct p2p_download_status *status, char out[P2P_CONTENT_WHO])
{
    struct p2p_content senders = {.root_known = false};

    for (size_t i = 0; i < status->source_count; i++)
        if (status->sources[i].received > 0)
            senders.ranks[status->sources[i].who]++;
    p2p_content_who(&senders, out);
}

/* States exactly what was verified. That the bytes match a root does not tell who made
 * them. */
static void
format_verified(const struct get_print *print, const struct p2p_download_status *status,
                char *out, size_t cap)
{
    char hex[2 * P2P_DIGEST_LEN + 1], who[P2P_CONTENT_WHO];
    size_t len;

    format_senders(status, who);
    p2p_hex_format(status->root.b, sizeof(status->root.b), hex);
    if (status->root_known)
        len = (size_t)snprintf(out, cap, "verified: the bytes match root %.16s%s", hex,
                               print->whole_file ? " and its SHA-256" : "");
    else if (status->files_total > 1 || status->name[strlen(status->name) - 1] == '/')
        len = (size_t)snprintf(out, cap, "verified: each file matches its root");
    else
        len = (size_t)snprintf(out, cap,
                               "verified: the bytes match the SHA-256 that the peer "
                               "sent, but protocol 1 does not prove who the peer is");
    if (who[0] != '\0' && len < cap)
        snprintf(out + len, cap - len, "; sent by %s", who);
}

/* "50.0 MB in 0.4 s (125 MB/s from the network)", or how little of it was fetched. */
static void
format_amount(const struct get_print *print, const struct p2p_download_status *status,
              char *out, size_t cap)
{
    char size[CLI_SHORT], got[CLI_SHORT], speed[CLI_SHORT];
    uint64_t ms = p2p_now_ms() - print->started_ms;

    cli_size(status->size, size);
    cli_size(status->received, got);
    cli_size(ms > 0 ? status->received * 1000 / ms : status->received, speed);
    if (status->reused > 0)
        snprintf(out, cap, "fetched %s of %s in %.1f s, the rest was here", got, size,
                 (double)ms / 1000);
    else if (status->received == 0) /* empty, or all of it was there already */
        snprintf(out, cap, "%s", size);
    else
        snprintf(out, cap, "%s in %.1f s (%s/s from the network)", size,
                 (double)ms / 1000, speed);
}

static void
tell_completed(const struct get_print *print, const struct p2p_download_status *status,
               const char *path)
{
    char amount[4 * CLI_SHORT], verified[256];

    if (print->prints_path)
        printf("%s\n", path);
    if (print->quiet)
        return;
    if (status->already_there) {
        cli_say("the file is already there; nothing was downloaded");
        return;
    }
    if (status->files_renamed > 0)
        cli_say("%u files are stored under other names, because this file system does "
                "not allow theirs",
                status->files_renamed);
    format_verified(print, status, verified, sizeof(verified));
    format_amount(print, status, amount, sizeof(amount));
    cli_say("%s; %s", amount, verified);
}

/* An error without an explanation is about the folder: it cannot be written, or its
 * file system refused. */
static void
tell_failed(const struct get_print *print, const struct p2p_download_status *status)
{
    const char *why = p2p_err_text(status->error);
    char shown[CLI_TEXT];

    if (status->message[0] != '\0' && strcmp(status->message, why) != 0)
        cli_say("%s", status->message);
    else if (p2p_err_class(status->error) == P2P_CLASS_LOCAL)
        cli_say("%s: %s", cli_text(print->output_dir, shown), why);
    else
        cli_say("%s", why);
    if (status->error == P2P_ERR_TARGET_NAME && status->works[0] != '\0')
        cli_say("store it under that name with: --save-as \"%s\"",
                cli_text(status->works, shown));
    cli_advise_peer(status->error);
}

void
get_print_end(struct get_print *print, const struct p2p_download_status *status)
{
    static const char *const events[] = {[P2P_DL_COMPLETED] = "completed",
                                         [P2P_DL_FAILED] = "failed",
                                         [P2P_DL_CANCELLED] = "cancelled"};
    char path[P2P_NAME_MAX + 4096];
    bool ok = status->state == P2P_DL_COMPLETED;

    snprintf(path, sizeof(path), "%s/%s", print->output_dir, status->stored);
    if (print->json) {
        print_json(print, status, events[status->state], ok ? path : NULL);
        return;
    }
    if (!print->quiet) {
        tell_dropped(print, status);
        tell_paths(print, status);
    }
    erase_line(print);
    if (ok)
        tell_completed(print, status, path);
    else if (status->state == P2P_DL_FAILED)
        tell_failed(print, status);
}

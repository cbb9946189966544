/* Options that are read again while the program runs. */
#include "p2p/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/program/options_internal.h"
#include "p2p/home.h"
#include "p2p/log.h"

static const char log_level_name[] = "log-level";
static const char log_format_name[] = "log-format";

static bool
is_listed(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* ---- Two values of one option ---- */

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
is_same_list(const struct p2p_option_list *a, const struct p2p_option_list *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; i < a->count && same; i++)
        same = strcmp(a->at[i], b->at[i]) == 0;
    return same;
}

static bool
is_same(const struct p2p_option *option, const void *a, const void *b)
{
    switch (option->kind) {
    case P2P_OPT_TEXT:
        return is_same_text(*(const char *const *)a, *(const char *const *)b);
    case P2P_OPT_LIST:
        return is_same_list(a, b);
    case P2P_OPT_FLAG:
        return *(const bool *)a == *(const bool *)b;
    default:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    }
}

/* ---- What stays as it is ---- */

static bool
keep_text(const char **value, struct p2p_options_text *text)
{
    if (*value != NULL)
        *value = p2p_options_keep(text, *value, strlen(*value));
    return *value != NULL;
}

/* Copies the value in use into the fresh struct, with its text. */
static enum p2p_err
keep_value(const struct p2p_option *option, const void *now, void *fresh,
           struct p2p_options_text *text)
{
    struct p2p_option_list *list = fresh;
    bool kept = true;

    switch (option->kind) {
    case P2P_OPT_TEXT:
        *(const char **)fresh = *(const char *const *)now;
        kept = *(const char *const *)now == NULL || keep_text(fresh, text);
        break;
    case P2P_OPT_LIST:
        *list = *(const struct p2p_option_list *)now;
        for (size_t i = 0; i < list->count; i++)
            kept = keep_text(&list->at[i], text) && kept;
        break;
    case P2P_OPT_FLAG:
        *(bool *)fresh = *(const bool *)now;
        break;
    default:
        *(uint64_t *)fresh = *(const uint64_t *)now;
        break;
    }
    return kept ? P2P_OK : P2P_ERR_NOMEM;
}

/* ---- What the running process is told ---- */

static bool
add_line(struct p2p_reload_news *news, const char *name, const char *value)
{
    size_t used = strlen(news->live), left = sizeof(news->live) - used;
    int n = strchr(value, '\n') == NULL
                ? snprintf(news->live + used, left, "%s=%s\n", name, value)
                : -1;

    if (n >= 0 && (size_t)n < left)
        return true;
    news->live[used] = '\0';
    return false;
}

/* False: it cannot be told, and a new process has to know it from the start. Lists are
 * not: an empty one would have no line. */
static bool
add_value(struct p2p_reload_news *news, const struct p2p_option *option,
          const void *fresh)
{
    const char *text;
    char number[32];

    switch (option->kind) {
    case P2P_OPT_TEXT:
        text = *(const char *const *)fresh;
        return text != NULL && add_line(news, option->name, text);
    case P2P_OPT_LIST:
        return false;
    case P2P_OPT_FLAG:
        return add_line(news, option->name, *(const bool *)fresh ? "yes" : "no");
    default:
        snprintf(number, sizeof(number), "%" PRIu64 "%s", *(const uint64_t *)fresh,
                 option->kind == P2P_OPT_DURATION ? "ms" : "");
        return add_line(news, option->name, number);
    }
}

/* ---- Reading again ---- */

struct names {
    char text[1024];
};

static void
add_name(struct names *names, const char *name)
{
    size_t used = strlen(names->text);

    snprintf(names->text + used, sizeof(names->text) - used, "%s--%s",
             used > 0 ? ", " : "", name);
}

static enum p2p_err
compare_one(struct p2p_reload *s, const struct p2p_option *option, char *fresh,
            struct p2p_options_text *text, struct p2p_reload_news *news,
            struct names *changed)
{
    const void *now = (const char *)s->target + option->offset;
    void *then = fresh + option->offset;

    if (is_same(option, now, then))
        return P2P_OK;
    if (is_listed(s->fixed, option->name)) {
        p2p_log_warn("settings: --%s cannot change while %s runs; restart it to use "
                     "the new value",
                     option->name, s->set->program);
        return keep_value(option, now, then, text);
    }
    if (!is_listed(s->live, option->name) || !add_value(news, option, then))
        news->needs_process = true;
    add_name(changed, option->name);
    return P2P_OK;
}

static enum p2p_err
compare(struct p2p_reload *s, char *fresh, struct p2p_options_text *text,
        struct p2p_reload_news *news)
{
    enum p2p_log_level level = p2p_options_log_level(text);
    enum p2p_log_format format = p2p_options_log_format(text);
    struct names changed = {""};
    enum p2p_err err = P2P_OK;

    if (level != p2p_options_log_level(*s->text)) {
        if (!add_line(news, log_level_name, p2p_log_level_name(level)))
            news->needs_process = true;
        add_name(&changed, log_level_name);
    }
    if (format != p2p_options_log_format(*s->text)) {
        if (!add_line(news, log_format_name, p2p_log_format_name(format)))
            news->needs_process = true;
        add_name(&changed, log_format_name);
    }
    for (size_t i = 0; i < s->set->count && err == P2P_OK; i++)
        err = compare_one(s, &s->set->options[i], fresh, text, news, &changed);
    if (err == P2P_OK && changed.text[0] == '\0')
        p2p_log_info("settings: read again, nothing to change");
    else if (err == P2P_OK)
        p2p_log_info("settings: changed %s%s", changed.text,
                     news->needs_process ? "; starting a new process" : "");
    return err;
}

/* The first former settings are those that are known to work. */
static bool
remember(struct p2p_reload *s)
{
    if (s->former != NULL)
        return true;
    if ((s->former = malloc(s->size)) == NULL)
        return false;
    memcpy(s->former, s->target, s->size);
    s->former_text = *s->text;
    return true;
}

/* Takes `text`. */
static void
replace(struct p2p_reload *s, const void *fresh, struct p2p_options_text *text)
{
    struct p2p_options_text *old = *s->text;

    memcpy(s->target, fresh, s->size);
    *s->text = text;
    if (old != s->former_text)
        p2p_options_free(old);
}

/* The file of the home is optional. But if it disappears, that does not mean that the
 * defaults are wanted. */
static enum p2p_err
check_file(const struct p2p_reload *s)
{
    const char *config = p2p_options_config(*s->text);

    if (config == NULL || access(config, F_OK) == 0)
        return P2P_OK;
    return p2p_options_refuse(s->set->program, "cannot read %s: %s", config,
                              strerror(errno));
}

enum p2p_err
p2p_reload_read(struct p2p_reload *s, struct p2p_reload_news *news)
{
    enum p2p_log_level level = p2p_options_log_level(*s->text);
    enum p2p_log_format format = p2p_options_log_format(*s->text);
    struct p2p_options_text *text = NULL;
    char *fresh = malloc(s->size);
    enum p2p_err err = P2P_ERR_NOMEM;

    *news = (struct p2p_reload_news){0};
    if (fresh != NULL) {
        p2p_options_refuse_in_log(true);
        err = check_file(s);
        if (err == P2P_OK)
            err = s->parse(s->arg, fresh, &text);
        p2p_options_refuse_in_log(false);
    }
    if (err == P2P_OK)
        err = compare(s, fresh, text, news);
    if (err == P2P_OK && news->needs_process && !remember(s))
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK) {
        replace(s, fresh, text);
        text = NULL;
    } else {
        p2p_log_set_level(level); /* parsing may have changed both */
        p2p_log_set_format(format);
        p2p_log_error("settings: nothing was changed%s%s",
                      err == P2P_ERR_USAGE ? "" : ": ",
                      err == P2P_ERR_USAGE ? "" : p2p_err_text(err));
    }
    p2p_options_free(text);
    free(fresh);
    return err;
}

void
p2p_reload_accept(struct p2p_reload *s)
{
    if (s->former == NULL)
        return;
    p2p_options_free(s->former_text);
    free(s->former);
    s->former = NULL;
    s->former_text = NULL;
}

bool
p2p_reload_go_back(struct p2p_reload *s)
{
    struct p2p_options_text *failed = *s->text;

    if (s->former == NULL)
        return false;
    memcpy(s->target, s->former, s->size);
    *s->text = s->former_text;
    free(s->former);
    s->former = NULL;
    s->former_text = NULL;
    p2p_options_free(failed);
    p2p_log_set_level(p2p_options_log_level(*s->text));
    p2p_log_set_format(p2p_options_log_format(*s->text));
    return true;
}

/* ---- Without being told ---- */

/* True if the file is another one than at the last look. Without a file in use, the one
 * of the home may have been created. */
static bool
has_new_file(struct p2p_reload *s)
{
    const char *config = p2p_options_config(*s->text);
    struct p2p_reload_file was = s->file;
    struct p2p_home home;
    struct stat st;

    if (config == NULL && p2p_home_find(&home) == P2P_OK)
        config = home.config;
    if (config == NULL || stat(config, &st) != 0)
        return false;
    s->file = (struct p2p_reload_file){
        .is_seen = true,
        .device = st.st_dev,
        .inode = st.st_ino,
        .size = (uint64_t)st.st_size,
        .modified_s = st.st_mtim.tv_sec,
        .modified_ns = st.st_mtim.tv_nsec,
    };
    return !was.is_seen || was.device != s->file.device || was.inode != s->file.inode ||
           was.size != s->file.size || was.modified_s != s->file.modified_s ||
           was.modified_ns != s->file.modified_ns;
}

static bool
differs(const struct p2p_reload *s, const char *fresh)
{
    for (size_t i = 0; i < s->set->count; i++) {
        const struct p2p_option *option = &s->set->options[i];
        if (is_listed(s->follow, option->name) &&
            !is_same(option, (const char *)s->target + option->offset,
                     fresh + option->offset))
            return true;
    }
    return false;
}

bool
p2p_reload_is_due(struct p2p_reload *s)
{
    enum p2p_log_level level = p2p_options_log_level(*s->text);
    enum p2p_log_format format = p2p_options_log_format(*s->text);
    struct p2p_options_text *text = NULL;
    bool is_due = false;
    char *fresh;

    if (s->follow == NULL || !has_new_file(s) || (fresh = malloc(s->size)) == NULL)
        return false;
    p2p_options_refuse_in_log(true);
    if (s->parse(s->arg, fresh, &text) == P2P_OK)
        is_due = differs(s, fresh);
    p2p_options_refuse_in_log(false);
    p2p_log_set_level(level); /* parsing may have changed both */
    p2p_log_set_format(format);
    p2p_options_free(text);
    free(fresh);
    return is_due;
}

/* ---- In the process that serves ---- */

static bool
take_line(struct p2p_reload *s, char *line)
{
    struct p2p_option_parse parse = {.set = s->set, .target = s->target};
    char *equals = strchr(line, '=');
    const struct p2p_option *option;
    enum p2p_log_level level;
    enum p2p_log_format format;
    const char *value;
    void *field;
    size_t i;

    if (equals == NULL)
        return false;
    *equals = '\0';
    value = equals + 1;
    if (strcmp(line, log_level_name) == 0) {
        if (p2p_log_parse_level(value, &level) != P2P_OK)
            return false;
        p2p_log_set_level(level);
        return true;
    }
    if (strcmp(line, log_format_name) == 0) {
        if (p2p_log_parse_format(value, &format) != P2P_OK)
            return false;
        p2p_log_set_format(format);
        return true;
    }
    i = p2p_option_index(&parse, line, strlen(line));
    if (i >= s->set->count || !is_listed(s->live, line))
        return false;
    option = p2p_option_at(&parse, i, &field);
    value = p2p_options_keep(*s->text, value, strlen(value));
    return value != NULL &&
           p2p_option_assign(&parse, option, field, line, value) == P2P_OK;
}

bool
p2p_reload_take(struct p2p_reload *s, const char *live)
{
    char *lines = strdup(live), *rest = lines;
    bool taken = lines != NULL;

    for (char *line = strsep(&rest, "\n"); taken && line != NULL;
         line = strsep(&rest, "\n"))
        if (line[0] != '\0')
            taken = take_line(s, line);
    free(lines);
    return taken;
}

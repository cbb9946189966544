#include "cli/complete/complete_own.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ask/share_folders.h"
#include "cli/machine/shared.h"
#include "p2p/control.h"
#include "p2p/crypto.h"
#include "p2p/journal.h"
#include "p2p/links.h"
#include "p2p/log.h"
#include "p2p/mirror.h"
#include "p2p/name.h"
#include "p2p/path.h"
#include "p2p/settings.h"
#include "p2p/versions.h"

enum { NAMES_MAX = 1000, NAME_CAP = 2 * P2P_NAME_MAX + 3, ASK_MS = 1000, ID_SHOWN = 8 };

struct offer {
    const struct cli_own *own;
    const char *beginning;
};

static void
offer(const struct offer *o, const char *text)
{
    if (strncmp(text, o->beginning, strlen(o->beginning)) == 0)
        puts(text);
}

/* ---- In the shared folders ---- */

static void
each_shared(const struct offer *o,
            void visit(const struct offer *o, const struct p2p_shares_folder *folder))
{
    struct cli_shared shared;
    struct cli_folders_memory memory = {.shared = &shared};
    struct p2p_shares_folders folders;

    if (cli_find_folders(o->own->common, o->own->shared_dirs, &memory, &folders) == 0)
        for (size_t i = 0; i < folders.count; i++)
            visit(o, &folders.at[i]);
    cJSON_Delete(memory.status);
}

static void
offer_folder(const struct offer *o, const struct p2p_shares_folder *folder)
{
    offer(o, folder->name[0] != '\0' ? folder->name : folder->path);
}

/* Entries of one directory, `before` their names; a folder ends in '/'. */
static void
offer_entries(const struct offer *o, const char *directory, const char *before)
{
    char name[NAME_CAP];
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct stat st;
        int n;
        if (p2p_name_check(entry->d_name, strlen(entry->d_name), true) != P2P_OK ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
            continue;
        n = snprintf(name, sizeof(name), "%s%s%s", before, entry->d_name,
                     S_ISDIR(st.st_mode) ? "/" : "");
        if (n > 0 && (size_t)n < sizeof(name))
            offer(o, name);
    }
    if (dir != NULL)
        closedir(dir);
}

/* As the shells do for files on disk: up to the next '/'. */
static void
offer_shared(const struct offer *o, const struct p2p_shares_folder *folder)
{
    char before[NAME_CAP], directory[2 * PATH_MAX];
    size_t name_len = strlen(folder->name);
    const char *slash = strrchr(o->beginning, '/');
    size_t len = slash != NULL ? (size_t)(slash + 1 - o->beginning) : 0;

    if (len >= sizeof(before))
        return;
    memcpy(before, o->beginning, len);
    before[len] = '\0';
    if (name_len > 0 && len == 0) {
        snprintf(before, sizeof(before), "%s/", folder->name);
        offer(o, before);
        return;
    }
    if (name_len > 0 &&
        (strncmp(before, folder->name, name_len) != 0 || before[name_len] != '/'))
        return;
    if (name_len > 0)
        name_len++;
    if (len > name_len &&
        p2p_name_check(before + name_len, len - name_len - 1, true) != P2P_OK)
        return;
    snprintf(directory, sizeof(directory), "%s/%s", folder->path, before + name_len);
    offer_entries(o, directory, before);
}

struct deleted {
    const struct offer *offer;
    const char *folder;
};

static void
take_deleted(void *arg, const struct p2p_version *version)
{
    const struct deleted *d = arg;
    char name[NAME_CAP];

    snprintf(name, sizeof(name), "%s%s%s", d->folder, d->folder[0] != '\0' ? "/" : "",
             version->name);
    offer(d->offer, name);
}

static void
offer_deleted(const struct offer *o, const struct p2p_shares_folder *folder)
{
    struct deleted d = {.offer = o, .folder = folder->name};
    struct p2p_versions *versions = NULL;
    struct p2p_root *root = NULL;

    if (p2p_root_open(folder->path, false, 0755, &root) == P2P_OK &&
        p2p_versions_open_existing(root, &versions) == P2P_OK &&
        p2p_versions_deleted(versions, "", 0, NAMES_MAX, take_deleted, &d) != P2P_OK)
        p2p_log_debug("event=complete error=deleted");
    p2p_versions_close(versions);
    p2p_root_close(root);
}

static void
offer_all_shared(const struct offer *o)
{
    each_shared(o, offer_shared);
}

static void
offer_all_deleted(const struct offer *o)
{
    each_shared(o, offer_deleted);
}

static void
offer_folders(const struct offer *o)
{
    each_shared(o, offer_folder);
}

/* ---- Elsewhere ---- */

static void
offer_mirrors(const struct offer *o)
{
    struct p2p_mirror *mirrors = NULL;
    size_t count = 0;

    if (p2p_mirrors_list(o->own->common->keys_dir, &mirrors, &count) == P2P_OK)
        for (size_t i = 0; i < count; i++)
            offer(o, mirrors[i].id);
    free(mirrors);
}

static void
offer_links(const struct offer *o)
{
    struct p2p_links_row *rows = NULL;
    size_t count = 0;
    char id[24];

    if (p2p_links_list(o->own->common->keys_dir, &rows, &count) == P2P_OK)
        for (size_t i = 0; i < count; i++) {
            snprintf(id, sizeof(id), "%llu", (unsigned long long)rows[i].id);
            offer(o, id);
        }
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
}

/* What other devices offer and nobody has answered, by the first digits of its id, as
 * `p2p inbox` shows it. Only a running p2p-peer knows. */
static void
offer_offers(const struct offer *o)
{
    cJSON *request = cli_object(), *answer = NULL;
    const cJSON *row;
    char id[ID_SHOWN + 1];
    int fd = -1;

    cli_put_text(request, "verb", "inbox.list");
    if (p2p_control_connect(o->own->common->keys_dir, &fd) == P2P_OK &&
        p2p_control_ask(fd, request, ASK_MS, &answer, NULL, 0) != P2P_OK)
        p2p_log_debug("event=complete error=offers");
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(answer, "offers"))
    {
        const char *text = cli_text_in(row, "id"), *state = cli_text_in(row, "state");
        if (text == NULL || state == NULL || strcmp(state, "waiting") != 0)
            continue;
        snprintf(id, sizeof(id), "%.*s", ID_SHOWN, text);
        offer(o, strlen(o->beginning) > ID_SHOWN ? text : id);
    }
    cJSON_Delete(answer);
    cJSON_Delete(request);
    if (fd >= 0)
        close(fd);
}

static void
take_unfinished(void *arg, const struct p2p_unfinished *unfinished)
{
    if (unfinished->is_known)
        offer(arg, unfinished->info.name);
}

static void
offer_unfinished(const struct offer *o)
{
    struct p2p_root *root = NULL;

    if (p2p_root_open(o->own->downloads, false, 0755, &root) == P2P_OK &&
        p2p_journal_each(root, take_unfinished, (void *)(uintptr_t)o) != P2P_OK)
        p2p_log_debug("event=complete error=unfinished");
    p2p_root_close(root);
}

static void
offer_settings(const struct offer *o)
{
    const char *name, *meaning;
    char whole[64];

    for (size_t i = 0; (name = p2p_settings_known_at(i)) != NULL; i++)
        offer(o, name);
    for (size_t i = 0; (name = p2p_versions_key(i, &meaning)) != NULL; i++) {
        snprintf(whole, sizeof(whole), "versions.%s", name);
        offer(o, whole);
    }
}

static const struct {
    const char *name;
    void (*offer)(const struct offer *o);
} kinds[] = {
    {"shared", offer_all_shared},     {"deleted", offer_all_deleted},
    {"folders", offer_folders},       {"mirrors", offer_mirrors},
    {"unfinished", offer_unfinished}, {"settings", offer_settings},
    {"links", offer_links},           {"offers", offer_offers},
};

bool
cli_offer_own(const struct cli_own *own, const char *kind, const char *beginning)
{
    const struct offer o = {.own = own, .beginning = beginning};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, kind) == 0) {
            kinds[i].offer(&o);
            return true;
        }
    return false;
}

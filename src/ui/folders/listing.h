/*
 * listing - what lies in the shared and in the downloads folder right now.
 *
 * A listing is a snapshot, sorted by name, that any number of threads read; it is made
 * anew when the folder changed, or when it is older than a second and somebody asks
 * (files come and go behind our back). Thread-safe.
 */
#ifndef P2P_UI_LISTING_H
#define P2P_UI_LISTING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"
#include "p2p/err.h"

struct ui_app;
struct ui_listings;

struct ui_file {
    char *name;
    uint64_t size, mtime_s;
    struct p2p_digest root, sha256;
    uint32_t version;
    bool is_ready; /* shared: hashed, root is known and others can fetch it */
    bool sha256_known;
};
/* A file that is not served, since its name would mislead. */
struct ui_name_problem {
    char *name;          /* escaped for a person */
    const char *problem; /* constant */
};
#define UI_NAME_PROBLEMS_MAX 100

struct ui_listing {
    _Atomic unsigned refs;
    size_t count;
    uint64_t total_size;
    struct ui_file *files;
    struct ui_name_problem problems[UI_NAME_PROBLEMS_MAX]; /* the first of them */
    size_t problem_count;
};

enum ui_folder { UI_SHARED, UI_DOWNLOADS, UI_FOLDERS };

struct ui_listings *ui_listings_new(struct ui_app *app); /* NULL: out of memory */
void ui_listings_free(struct ui_listings *ls);

/* Give it back with ui_listing_release. Never NULL on P2P_OK. */
P2P_MUST_CHECK enum p2p_err ui_listing_get(struct ui_app *app, enum ui_folder folder,
                                           const struct ui_listing **out);
void ui_listing_release(const struct ui_listing *l);
/* The folder was changed: the next get looks again. */
void ui_listing_expire(struct ui_app *app, enum ui_folder folder);

#endif

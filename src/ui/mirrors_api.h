/* mirrors_api - /api/mirrors: folders here that follow folders of peers (p2p/mirror.h).
 * The keeper of p2p-ui runs them. */
#ifndef P2P_UI_MIRRORS_API_H
#define P2P_UI_MIRRORS_API_H

#include "http/http.h"
#include "p2p/mirror.h"

struct ui_events;
struct ui_folders;

/* What the handlers get. */
struct ui_mirrors {
    const char *keys_dir;
    const struct ui_folders *folders;
    const struct ui_events *events;
    struct p2p_keeper *keeper; /* owned by the program */
    /* Mirrors whose folder existed when this process started: its sandbox allows only
     * these folders. */
    char allowed[P2P_MIRRORS_MAX][P2P_MIRROR_ID_LEN + 1];
    size_t allowed_count;
};

/* GET: all mirrors. */
void ui_mirrors_handle_list(struct http_request *req, void *mirrors);
/* POST {peer_id, folder, target, delete?, quota?}: a new one; `target` is a folder in a
 * shared folder. */
void ui_mirrors_handle_add(struct http_request *req, void *mirrors);
/* GET: one mirror. */
void ui_mirrors_handle_one(struct http_request *req, void *mirrors);
/* POST pause, resume, accept or check. */
void ui_mirrors_handle_act(struct http_request *req, void *mirrors);
/* DELETE: forgets one; its files stay. */
void ui_mirrors_handle_delete(struct http_request *req, void *mirrors);

/* For the keeper: sends the event `mirror`. If a mirror has a folder that the sandbox
 * keeps out because it is new, asks for a process with a sandbox of its own. */
void ui_mirrors_tell(void *mirrors, const struct p2p_mirror *job);

#endif

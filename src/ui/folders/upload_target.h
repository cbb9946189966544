/* upload_target - where an upload goes, for both kinds of uploads (upload.h,
 * resumable.h). */
#ifndef P2P_UI_UPLOAD_TARGET_H
#define P2P_UI_UPLOAD_TARGET_H

#include "http/http.h"
#include "p2p/name.h"
#include "p2p/path.h"
#include "ui/folders/folders.h"

/* What the client asks for; NULL: not said. */
struct ui_wish {
    const char *path, *leaf, *on_conflict;
};

struct ui_target {
    char folder[P2P_NAME_MAX + 1]; /* with the name of its shared folder; empty: the one
                                    * with bare names itself */
    char leaf[P2P_NAME_MAX + 1];   /* name of the first file; empty: in the form */
    enum p2p_on_conflict conflict;
};

/* Answers with an error if it cannot succeed. `*root`: the folder that it leads to. */
bool ui_upload_target(struct http_request *req, const struct ui_folders *folders,
                      const struct ui_wish *wish, struct ui_target *to,
                      const struct p2p_root **root);
/* The whole name of a file in the folder. NAME. */
enum p2p_err ui_upload_join(const struct ui_target *to, const char *leaf,
                            char out[P2P_NAME_MAX + 1]);
/* Answers with an error if a body of this length has no room. */
bool ui_upload_has_room(struct ui_folders *folders, const struct p2p_root *root,
                        struct http_request *req, uint64_t length);

#endif

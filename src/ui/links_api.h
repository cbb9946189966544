/* links_api - /api/links: links by which people with a browser get shared files
 * (p2p/links.h). p2p-peer answers them, and notices each change within a second. */
#ifndef P2P_UI_LINKS_API_H
#define P2P_UI_LINKS_API_H

#include "http/http.h"
#include "p2p/discovery.h"
#include "ui/folders/folders.h"

/* `arg` of each handler; its members are borrowed. */
struct ui_links_api {
    const char *keys_dir;
    struct p2p_discovery *discovery; /* its first registry has the page */
    struct ui_folders *folders;      /* what is shared */
};

/* GET: all links, without their secrets. */
void ui_links_handle_list(struct http_request *req, void *arg);
/* POST {files, title?, expires?, uses?, bytes?, pin?}: makes one; only this answer has
 * its URL, and a QR code of it. */
void ui_links_handle_make(struct http_request *req, void *arg);
/* DELETE: revokes one. */
void ui_links_handle_revoke(struct http_request *req, void *arg);

#endif

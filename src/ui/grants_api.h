/* grants_api - /api/grants: which devices may see a folder of the shared ones
 * (p2p/grants.h). p2p-peer notices each change within a second. */
#ifndef P2P_UI_GRANTS_API_H
#define P2P_UI_GRANTS_API_H

#include "http/http.h"

/* `arg` is the struct ui_activity: the table is in the same keys directory. */
/* GET: all rules. */
void ui_grants_handle_list(struct http_request *req, void *arg);
/* POST {folder, everyone} or {folder, peers}: sets the rule for a folder. */
void ui_grants_handle_set(struct http_request *req, void *arg);
/* DELETE: ends one rule. */
void ui_grants_handle_delete(struct http_request *req, void *arg);

#endif

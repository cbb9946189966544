#include "ui/routes.h"

#include <stddef.h>

#include "ui/access/access.h"
#include "ui/activity.h"
#include "ui/api.h"
#include "ui/app.h"
#include "ui/folders/archive.h"
#include "ui/folders/files.h"
#include "ui/folders/resumable.h"
#include "ui/folders/thumbs.h"
#include "ui/folders/upload.h"
#include "ui/folders/versions_api.h"
#include "ui/grants_api.h"
#include "ui/guests.h"
#include "ui/links_api.h"
#include "ui/mirrors_api.h"
#include "ui/offers/offers.h"
#include "ui/state/config.h"
#include "ui/status.h"

#define SMALL 4096u        /* bodies of a few members */
#define LIST  (32u * 1024) /* a list of peers */
#define CHOICE (1024u * 1024) /* a list of files */
#define CALL  (8u * 1024)  /* a message in a box */
#define LAST  (HTTP_OPEN | HTTP_FALLBACK)
#define OWNER UI_ONLY_OWNER
#define PAGE  (HTTP_OPEN | HTTP_PAGE)

/* What a handler gets; 0: the whole app. */
#define ACCESS    offsetof(struct ui_app, access)
#define ACTIVITY  offsetof(struct ui_app, activity)
#define BROWSE    offsetof(struct ui_app, browse)
#define CONFIG    offsetof(struct ui_app, config)
#define FOLDERS   offsetof(struct ui_app, folders)
#define GUESTS    offsetof(struct ui_app, guests)
#define LINKS     offsetof(struct ui_app, links)
#define MIRRORS   offsetof(struct ui_app, mirrors)
#define OFFERS    offsetof(struct ui_app, offers)
#define TRANSFERS offsetof(struct ui_app, transfers_api)

const struct http_header ui_headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "
     "blob:; "
     "media-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"}, /* no <img> of another page */
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
    {NULL, NULL},
};

/* docs/openapi.yaml describes each one. */
/* clang-format off */
const struct http_route ui_routes[] = {
    {"GET",    "/",                                ui_api_page,                        0, PAGE, 0},
    {"GET",    "/health",                          ui_status_handle_health,            0, HTTP_OPEN, 0},
    {"GET",    "/metrics",                         ui_status_handle_metrics,           0, 0, 0},
    {"GET",    "/api/openapi.yaml",                ui_api_openapi,                     0, 0, 0},

    {"GET",    "/api/status",                      ui_status_handle,                   0, 0, 0},
    {"POST",   "/api/register",                    ui_status_handle_register,      SMALL, 0, 0},
    {"POST",   "/api/upload",                      ui_upload_handle,                   0, HTTP_MULTIPART, FOLDERS},

    {"OPTIONS", "/api/uploads",                    ui_resumable_handle_options,        0, 0, FOLDERS},
    {"POST",   "/api/uploads",                     ui_resumable_handle_create,         0, 0, FOLDERS},
    {"GET",    "/api/uploads/{id}",                ui_resumable_handle_head,           0, 0, FOLDERS},
    {"PATCH",  "/api/uploads/{id}",                ui_resumable_handle_patch,          0, HTTP_MULTIPART, FOLDERS},
    {"DELETE", "/api/uploads/{id}",                ui_resumable_handle_delete,         0, 0, FOLDERS},

    {"GET",    "/api/peers",                       ui_api_peers,                       0, 0, 0},
    {"POST",   "/api/peers",                       ui_api_peers_add,               SMALL, 0, 0},
    {"GET",    "/api/peers/search",                ui_api_peers_search,                0, 0, 0},
    {"GET",    "/api/peers/{id}",                  ui_api_peer,                        0, 0, 0},
    {"GET",    "/api/peers/{id}/files",            ui_api_peer_files,                  0, 0, BROWSE},
    {"POST",   "/api/peers/{id}/trust",            ui_api_peer_trust,              SMALL, 0, 0},
    {"POST",   "/api/peers/{id}/block",            ui_api_peer_block,              SMALL, 0, 0},
    {"POST",   "/api/peers/{id}/forget",           ui_api_peer_forget,             SMALL, 0, 0},
    {"POST",   "/api/peers/{id}/name",             ui_api_peer_name,               SMALL, 0, 0},
    {"GET",    "/api/search",                      ui_api_search,                      0, 0, 0},

    {"GET",    "/api/shares/problems",             ui_files_handle_problems,           0, 0, FOLDERS},
    {"GET",    "/api/shares/check",                ui_upload_handle_check,             0, 0, FOLDERS},
    {"POST",   "/api/shares/confirm",              ui_files_handle_confirm,        SMALL, 0, FOLDERS},
    {"POST",   "/api/shares/rescan",               ui_files_handle_rescan,         SMALL, 0, FOLDERS},
    {"POST",   "/api/shared/{filename}/rename",    ui_files_handle_shared_rename,  SMALL, 0, FOLDERS},
    {"POST",   "/api/shared/{filename}/restore",   ui_files_handle_shared_restore, SMALL, 0, FOLDERS},
    {"GET",    "/api/shared",                      ui_files_handle_shared,             0, 0, FOLDERS},
    {"POST",   "/api/versions/{filename}/restore", ui_versions_handle_restore,     SMALL, OWNER, FOLDERS},
    {"GET",    "/api/versions/{filename}/{version}", ui_versions_handle_bytes,         0, OWNER, FOLDERS},
    {"DELETE", "/api/versions/{filename}/{version}", ui_versions_handle_delete,        0, OWNER, FOLDERS},
    {"GET",    "/api/versions/{filename}",         ui_versions_handle_list,            0, OWNER, FOLDERS},
    {"DELETE", "/api/versions/{filename}",         ui_versions_handle_delete_all,      0, OWNER, FOLDERS},
    {"POST",   "/api/rewind",                      ui_versions_handle_rewind,      SMALL, OWNER, FOLDERS},
    {"GET",    "/api/deleted",                     ui_versions_handle_deleted,         0, OWNER, FOLDERS},
    {"GET",    "/api/shared/{filename*}",          ui_files_handle_shared_bytes,       0, 0, FOLDERS},
    {"DELETE", "/api/shared/{filename*}",          ui_files_handle_shared_delete,      0, 0, FOLDERS},
    {"POST",   "/api/downloads/{filename}/restore", ui_files_handle_downloads_restore, SMALL, 0, FOLDERS},
    {"GET",    "/api/downloads",                   ui_files_handle_downloads,          0, 0, FOLDERS},
    {"GET",    "/api/downloads/{filename*}",       ui_files_handle_downloads_bytes,    0, 0, FOLDERS},
    {"GET",    "/api/zip",                         ui_archive_handle,                  0, 0, FOLDERS},
    {"POST",   "/api/zip",                         ui_archive_handle_keep,     CHOICE, 0, FOLDERS},
    {"GET",    "/api/thumb",                       ui_thumbs_handle_path,              0, 0, FOLDERS},
    {"GET",    "/api/thumb/{root}",                ui_thumbs_handle_root,              0, 0, FOLDERS},
    {"POST",   "/api/download",                    ui_api_download,                SMALL, 0, TRANSFERS},
    {"DELETE", "/api/download/{filename*}",        ui_files_handle_downloads_delete,   0, 0, FOLDERS},
    {"GET",    "/api/download-progress/{filename*}", ui_api_download_progress,         0, 0, TRANSFERS},

    {"GET",    "/api/transfers",                   ui_api_transfers,                   0, 0, TRANSFERS},
    {"POST",   "/api/transfers",                   ui_api_transfers_add,            LIST, 0, TRANSFERS},
    {"POST",   "/api/transfers/retry-failed",      ui_api_transfers_retry_failed,  SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/pause-all",         ui_api_transfers_pause_all,     SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/resume-all",        ui_api_transfers_resume_all,    SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/clear-finished",    ui_api_transfers_clear_finished, SMALL, 0, TRANSFERS},
    {"GET",    "/api/transfers/{id}",              ui_api_transfer,                    0, 0, TRANSFERS},
    {"PATCH",  "/api/transfers/{id}",              ui_api_transfer_patch,          SMALL, 0, TRANSFERS},
    {"DELETE", "/api/transfers/{id}",              ui_api_transfer_delete,             0, 0, TRANSFERS},
    {"GET",    "/api/transfers/{id}/content",      ui_api_transfer_content,            0, 0, TRANSFERS},
    {"GET",    "/api/transfers/{id}/pieces",       ui_api_transfer_pieces,             0, 0, TRANSFERS},
    {"POST",   "/api/transfers/{id}/pause",        ui_api_transfer_pause,          SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/{id}/resume",       ui_api_transfer_resume,         SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/{id}/cancel",       ui_api_transfer_cancel,         SMALL, 0, TRANSFERS},
    {"POST",   "/api/transfers/{id}/retry",        ui_api_transfer_retry,          SMALL, 0, TRANSFERS},

    {"GET",    "/api/offers",                      ui_offers_handle_list,              0, 0, OFFERS},
    {"POST",   "/api/offers",                      ui_offers_handle_send,           LIST, 0, OFFERS},
    {"POST",   "/api/offers/folder",               ui_offers_handle_folder,        SMALL, 0, OFFERS},
    {"POST",   "/api/offers/{id}/accept",          ui_offers_handle_accept,        SMALL, 0, OFFERS},
    {"POST",   "/api/offers/{id}/decline",         ui_offers_handle_decline,       SMALL, 0, OFFERS},
    {"POST",   "/api/offers/{id}/always",          ui_offers_handle_always,        SMALL, OWNER, OFFERS},
    {"DELETE", "/api/offers/{id}",                 ui_offers_handle_delete,            0, 0, OFFERS},

    {"GET",    "/api/activity",                    ui_activity_handle,                 0, 0, ACTIVITY},
    {"GET",    "/api/events",                      ui_api_events,                      0, 0, 0},
    {"GET",    "/api/qr",                          ui_api_qr,                          0, 0, ACCESS},
    {"GET",    "/open/{secret}",                   ui_owner_handle_open,               0, PAGE, ACCESS},
    {"POST",   "/api/owner/link",                  ui_owner_handle_link,           SMALL, OWNER, ACCESS},
    {"POST",   "/api/pair",                        ui_access_handle_pair,          SMALL, HTTP_OPEN, ACCESS},
    {"GET",    "/api/pair/code",                   ui_access_handle_code,              0, OWNER, ACCESS},
    {"POST",   "/api/pair/code",                   ui_access_handle_new_code,      SMALL, OWNER, ACCESS},
    {"GET",    "/api/devices",                     ui_access_handle_devices,           0, OWNER, ACCESS},
    {"PATCH",  "/api/devices/{id}",                ui_access_handle_device_change, SMALL, OWNER, ACCESS},
    {"DELETE", "/api/devices/{id}",                ui_access_handle_device_delete,     0, OWNER, ACCESS},
    {"GET",    "/api/grants",                      ui_grants_handle_list,              0, OWNER, ACTIVITY},
    {"POST",   "/api/grants",                      ui_grants_handle_set,            LIST, OWNER, ACTIVITY},
    {"DELETE", "/api/grants/{id}",                 ui_grants_handle_delete,            0, OWNER, ACTIVITY},
    {"GET",    "/api/links",                       ui_links_handle_list,               0, OWNER, LINKS},
    {"POST",   "/api/links",                       ui_links_handle_make,            LIST, OWNER, LINKS},
    {"DELETE", "/api/links/{id}",                  ui_links_handle_revoke,             0, OWNER, LINKS},
    {"GET",    "/api/mirrors",                     ui_mirrors_handle_list,             0, OWNER, MIRRORS},
    {"POST",   "/api/mirrors",                     ui_mirrors_handle_add,          SMALL, OWNER, MIRRORS},
    {"GET",    "/api/mirrors/{id}",                ui_mirrors_handle_one,              0, OWNER, MIRRORS},
    {"POST",   "/api/mirrors/{id}/{verb}",         ui_mirrors_handle_act,          SMALL, OWNER, MIRRORS},
    {"DELETE", "/api/mirrors/{id}",                ui_mirrors_handle_delete,           0, OWNER, MIRRORS},
    {"GET",    "/api/config",                      ui_config_handle_get,               0, 0, CONFIG},
    {"PATCH",  "/api/config",                      ui_config_handle_patch,         SMALL, OWNER, CONFIG},

    {"GET",    "/s/l",                             ui_guests_handle_page,              0, PAGE, GUESTS},
    {"GET",    "/s/l/{name}",                      ui_guests_handle_part,              0, HTTP_OPEN, GUESTS},
    {"GET",    "/s/reach",                         ui_guests_handle_reach,             0, HTTP_OPEN, GUESTS},
    {"GET",    "/s/box/{id}",                      ui_guests_handle_read,              0, HTTP_OPEN, GUESTS},
    {"POST",   "/s/box/{id}",                      ui_guests_handle_post,           CALL, HTTP_OPEN, GUESTS},
    {"DELETE", "/s/box/{id}",                      ui_guests_handle_drop,              0, HTTP_OPEN, GUESTS},

    {"GET",    "/{path*}",                         ui_api_page,                        0, LAST | HTTP_PAGE, 0},
    {"POST",   "/{path*}",                         ui_api_nothing,                     0, LAST, 0},
    {"PUT",    "/{path*}",                         ui_api_nothing,                     0, LAST, 0},
    {"PATCH",  "/{path*}",                         ui_api_nothing,                     0, LAST, 0},
    {"DELETE", "/{path*}",                         ui_api_nothing,                     0, LAST, 0},
    {NULL, NULL, NULL, 0, 0, 0},
};
/* clang-format on */

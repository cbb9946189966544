/*
 * archive - folders and selections of files as one ZIP archive, made while it is sent:
 * nothing is written to the disk. The size is known at the start, and the archive can
 * be resumed with a Range. Files are read as they are; if one of them changes
 * meanwhile, the answer is broken off, and a later request gets a new archive with
 * another tag. Thread-safe.
 */
#ifndef P2P_UI_ARCHIVE_H
#define P2P_UI_ARCHIVE_H

#include "http/http.h"
#include "ui/folders/folders.h"

#define UI_ARCHIVE_FILES_MAX 100000u
#define UI_ARCHIVES_MAX      8u /* sent at the same time; more are answered with 503 */

/* What the archives of a program have in common: their number, and the checksums of
 * files that were read before. NULL: out of memory. */
struct ui_archives;
struct ui_archives *ui_archives_new(void);
void ui_archives_free(struct ui_archives *archives);

/* GET /api/zip. */
void ui_archive_handle(struct http_request *req, void *folders);
/* POST /api/zip: keeps a selection (chosen.h). */
void ui_archive_handle_keep(struct http_request *req, void *folders);

#endif

/*
 * watch - inotify for every folder in the shared one.
 */
#ifndef P2P_SHARE_WATCH_H
#define P2P_SHARE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct p2p_watch {
    int fd;         /* inotify, or -1 */
    char **folders; /* by watch descriptor */
    size_t cap;
    bool is_incomplete; /* the system has no more watches, or a folder is on a network
                         * or FUSE: scan at intervals, too */
};
/* Files with these names in `.p2p` request a scan, and confirm that missing files were
 * deleted. */
#define P2P_SCAN_REQUEST    "rescan"
#define P2P_CONFIRM_REQUEST "confirm"

enum p2p_watch_event {
    P2P_WATCH_CREATED, /* a new name: of a new file, or another link */
    P2P_WATCH_WRITING, /* a file is being written */
    P2P_WATCH_WRITTEN, /* a file was closed by someone who could write to it */
    P2P_WATCH_TOUCHED, /* a name appeared, disappeared or changed its inode; no write */
    P2P_WATCH_FOLDER,  /* a folder appeared, or its permissions changed */
    P2P_WATCH_FOLDER_GONE, /* a folder was removed */
    P2P_WATCH_LEFT_OUT, /* something with an invalid name appeared or disappeared (name
                         * "") */
    P2P_WATCH_OVERFLOW, /* events were lost: also of writes (name "") */
    P2P_WATCH_LOST, /* a folder was moved, or a scan was requested: scan all (name "")
                     */
};
typedef void p2p_watch_visit(void *arg, enum p2p_watch_event event, const char *name);
/* Opens inotify. Without it, the watch works and reports nothing. */
void p2p_watch_open(struct p2p_watch *watch);
/* Ends all watches. */
void p2p_watch_close(struct p2p_watch *watch);
/* Watches a folder, open as `fd`, under its name. A failure is noted, and the folder is
 * scanned more often instead. */
void p2p_watch_add(struct p2p_watch *watch, const char *folder, int fd);
/* The folder `.p2p` (`fd`): a request for a scan there is delivered as P2P_WATCH_LOST.
 */
void p2p_watch_add_private(struct p2p_watch *watch, int fd);
/* Handles all events that wait to be read. */
void p2p_watch_read(struct p2p_watch *watch, p2p_watch_visit *visit, void *arg);

#endif

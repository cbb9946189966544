/*
 * versions_config - the member `versions` of the settings (GET and PATCH /api/config):
 * how old versions are kept, for all shared folders together, and the space that they
 * take.
 */
#ifndef P2P_UI_VERSIONS_CONFIG_H
#define P2P_UI_VERSIONS_CONFIG_H

#include "ui/state/config.h"

struct ui_folders;

/* `folders` is borrowed as long as the settings are used. */
struct ui_config_object ui_versions_config(struct ui_folders *folders);

#endif

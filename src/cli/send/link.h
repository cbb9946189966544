/* link - the command p2p link: links by which anybody with a browser gets shared
 * files. */
#ifndef CLI_LINK_H
#define CLI_LINK_H

/* Runs the command; returns the exit status. */
int cmd_link(int argc, char **argv);

#endif

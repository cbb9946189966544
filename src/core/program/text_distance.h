/* text_distance - how much two words differ, to guess what a person meant. */
#ifndef P2P_TEXT_DISTANCE_H
#define P2P_TEXT_DISTANCE_H

#define P2P_TEXT_DISTANCE_MAX 64

/* The number of letters to change, add or remove; P2P_TEXT_DISTANCE_MAX if one of both
 * is longer than that. Case does not count, nor '_' instead of '-'. */
unsigned p2p_text_distance(const char *a, const char *b);

#endif

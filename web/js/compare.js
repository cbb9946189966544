// Trust as people understand it: what is known of a device, and words to compare on two screens.
import { h, hintLine, para } from './dom.js';
import { t } from './i18n.js';
import { called, command, dialog } from './ui.js';

export const standing = (peer) => (peer.self ? 'self' : peer.trust === 'verified' && peer.trusted ? 'trusted' : (peer.trust ?? 'new'));

const wordsOf = (peer) =>
	h('ol', { class: 'words', dir: 'ltr', lang: 'en', 'aria-label': t('cmp.words') }, peer.words.split(' ').map((word) => h('li', {}, word)));

/** The ids, for those who want them. */
const idsOf = (peer) =>
	h('details', {}, h('summary', {}, t('peer.id')),
		hintLine(t('peer.id.text')),
		peer.known_as && hintLine(t('trust.before')),
		peer.known_as && command(peer.known_as),
		peer.known_as && hintLine(t('trust.now')),
		command(peer.peer_id_full),
	);

/** True: the user trusts it from now on. */
export async function compare(peer) {
	const now = standing(peer);
	const name = called(peer);
	const open = now === 'changed' || now === 'new' || now === 'verified';
	const answer = await dialog({
		title: now === 'changed' ? t('trust.title') : name,
		body: [
			para(t(`is.${now}`, { name })),
			peer.words && wordsOf(peer),
			peer.words && hintLine(t(now === 'self' ? 'cmp.own' : 'cmp.how', { name })),
			idsOf(peer),
		],
		actions: open
			? [
					{ label: t('cancel'), value: null },
					{ label: t('trust'), value: 'yes', main: true, danger: now === 'changed' },
				]
			: [],
	});
	return answer === 'yes';
}

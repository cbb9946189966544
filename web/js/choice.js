// A name that several different files have: the user chooses one before anything is downloaded.
import { h } from './dom.js';
import { bytes } from './format.js';
import { t } from './i18n.js';
import { button, dialog, short } from './ui.js';

/** "Trusted: 1, New: 20" */
const holders = (content) =>
	['trusted', 'known', 'new']
		.filter((rank) => content[rank] > 0)
		.map((rank) => t(`choice.${rank}`, { n: content[rank] }))
		.join(', ');

function row(content, close) {
	return button(`${bytes(content.size)} · ${short(content.root)} · ${holders(content)}`, {
		icon: 'file',
		kind: 'menu',
		title: content.root,
		onclick: () => close(content),
	});
}

/** One of `contents` of the problem document, or undefined. */
export function chooseContent(name, { contents, count }) {
	const rest = count - contents.length;
	return dialog({
		title: t('choice.title', { name }),
		className: 'sheet',
		body: (close) => [
			h('p', {}, t('choice.text')),
			...contents.map((content) => row(content, close)),
			rest > 0 && h('p', {}, t('choice.rest', { n: rest })),
		],
	});
}

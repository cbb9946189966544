// What others would like to send here, and what has not been answered: above every view.
import { api, post } from './api.js';
import { loadOffers, loadTransfers } from './data.js';
import { button, grow, h, metaText, visible } from './dom.js';
import { faceOf } from './face.js';
import { save } from './files.js';
import { bytes } from './format.js';
import { t } from './i18n.js';
import { saveZip } from './many.js';
import { isOwner, on, state } from './store.js';
import { attempt, called, copy, toast } from './ui.js';

const OPEN = ['preparing', 'waiting'];
const nameOf = (one) => (one.peer ? called(one.peer) : visible(one.device?.name || state.status?.name || t('self')));
const lookOf = (one) => one.peer ?? { peer_id_full: (one.device?.id || '0'.repeat(16)).repeat(2), kind: 'phone' };

const whatOf = (one) => {
	if (one.count === 0) return '';
	const first = visible(one.items[0]?.name.split('/').at(one.count === 1 ? -1 : 0) ?? '');
	return [first && `\u2068${first}\u2069`, one.count > 1 && t('n.files', { n: one.count }), bytes(one.size)].filter(Boolean).join(' · ');
};

/** What was sent to this browser is on the computer already: it is saved from there. */
async function take(one) {
	if (one.peer || one.count === 0) return;
	const [only] = one.names;
	if (one.names.length === 1 && !only.endsWith('/')) await save('shared', only);
	else await saveZip('shared', one.names.map((name) => name.replace(/\/$/, '')), nameOf(one));
}

const decide = (one, verb) =>
	attempt(async () => {
		await post(`offers/${one.id}/${verb}`);
		if (verb !== 'decline') {
			if (one.text && one.count === 0) await copy(one.text);
			if (state.offers.paired || one.device) await take(one);
			else if (one.count > 0) toast(t('tr.begun', { name: whatOf(one) }), { kind: 'ok' });
		}
		await Promise.all([loadOffers(), loadTransfers()]);
	});

function incoming(one) {
	const only = one.count === 0;
	return h(
		'li',
		{ class: 'row offer' },
		h(
			'div',
			{ class: 'row-main' },
			faceOf(lookOf(one)),
			grow(
				h('strong', {}, t('in.title', { name: nameOf(one) })),
				metaText(whatOf(one)),
				one.text && h('p', { class: 'offer-text', dir: 'auto' }, one.text),
			),
		),
		h(
			'div',
			{ class: 'offer-acts' },
			button(t(only ? 'copy' : 'accept'), { kind: 'primary', onclick: () => decide(one, 'accept') }),
			button(t('decline'), { onclick: () => decide(one, 'decline') }),
			one.peer && isOwner() && button(t('always', { name: nameOf(one) }), { kind: 'quiet', onclick: () => decide(one, 'always') }),
		),
	);
}

const outgoing = (one) =>
	h(
		'li',
		{ class: 'row offer' },
		h(
			'div',
			{ class: 'row-main' },
			faceOf(lookOf(one)),
			grow(h('span', {}, t('send.waiting', { name: nameOf(one) })), metaText(whatOf(one) || one.text)),
		),
		h(
			'div',
			{ class: 'offer-acts' },
			button(t('send.back'), {
				kind: 'quiet',
				onclick: () =>
					attempt(async () => {
						await api('DELETE', `offers/${one.id}`);
						await loadOffers();
					}),
			}),
		),
	);

/** Tells the sender once how it ended. */
function tellEnds(before) {
	for (const one of state.offers.list) {
		if (one.direction !== 'out' || OPEN.includes(one.state) || !OPEN.includes(before.get(one.id))) continue;
		toast(t(`send.${one.state}`, { name: nameOf(one) }), { kind: one.state === 'accepted' ? 'ok' : 'error' });
	}
}

export function fillInbox(el) {
	const list = h('ul', {});
	el.append(list);
	let before = new Map();
	let drawn = '';
	const render = () => {
		tellEnds(before);
		before = new Map(state.offers.list.map((one) => [one.id, one.state]));
		const open = state.offers.list.filter((one) => OPEN.includes(one.state));
		const shape = JSON.stringify([open, state.status?.caller, state.status?.name]);
		if (shape === drawn) return;
		drawn = shape;
		el.hidden = open.length === 0;
		list.replaceChildren(...open.map((one) => (one.direction === 'in' ? incoming(one) : outgoing(one))));
	};
	on('offers status', render);
	render();
}

// Search: one result per content.
import { get } from '../api.js';
import { loadPeers } from '../data.js';
import { button, h, icon, para, setText, visible } from '../dom.js';
import { t } from '../i18n.js';
import { KeyedList } from '../list.js';
import { on, state } from '../store.js';
import { command, empty, viewHead } from '../ui.js';
import { resultRow } from './result.js';

const PAUSE_MS = 250;
const PAGE = 50;

// The second peer of the documentation, with this peer's registry.
export function startPeer() {
	const registry = state.status?.discovery?.[0]?.url.replace(/\/$/, '');
	const elsewhere = registry && registry !== 'http://localhost:8000' ? ` --discovery ${registry}` : '';
	return `bin/p2p-peer --port 9001 --shared-dir shared_b --keys-dir keys_b${elsewhere}`;
}

function nothingFound(query) {
	const alone = state.peers.loaded && state.peers.list.every((p) => p.self);
	return [
		h('span', { class: 'empty-icon' }, icon('search')),
		h('h2', {}, t('search.none', { q: visible(query) })),
		para(alone ? t('search.none.alone') : t('search.none.text')),
		...(alone ? [command(startPeer())] : []),
	];
}

const failed = (error, again) => [
	h('span', { class: 'empty-icon bad' }, icon('alert')),
	h('h2', {}, t('search.failed')),
	h('p', { role: 'alert' }, error.text ?? error.message),
	button(t('retry'), { icon: 'retry', onclick: again }),
];

const searchField = () =>
	h('input', {
		type: 'search',
		id: 'search-box',
		placeholder: t('search.hint'),
		'aria-label': t('search.label'),
		'aria-keyshortcuts': '/',
		autocomplete: 'off',
		spellcheck: 'false',
		enterkeyhint: 'search',
		maxlength: 255,
		dir: 'auto',
	});

function searchForm(input, run) {
	let timer = 0;
	const later = () => {
		clearTimeout(timer);
		timer = setTimeout(run, PAUSE_MS);
	};
	const now = (event) => {
		event.preventDefault();
		clearTimeout(timer);
		run();
	};
	input.addEventListener('input', later);
	const field = h('label', { class: 'search-field' }, icon('search'), input);
	const submit = button(t('search.go'), { kind: 'primary', type: 'submit' });
	return h('form', { class: 'search-form', role: 'search', onsubmit: now }, field, submit);
}

export function searchView() {
	const head = viewHead(t('search'));
	const input = searchField();
	const status = h('p', { class: 'hint', role: 'status' });
	const list = new KeyedList(t('results'), { key: (r) => r.root ?? `name ${r.name}`, create: resultRow });
	const more = button(t('show.more'), { kind: 'quiet wide', onclick: () => run(found.next) });
	const card = h('section', { class: 'card', 'aria-label': t('results') }, list.el, more);
	const start = empty('search', t('search.start'), t('search.start.text'));
	const message = h('div', { class: 'empty' });
	let found = { results: [], next: null };
	let turn = 0;

	const render = () => {
		list.set(found.results);
		card.hidden = found.results.length === 0;
		more.hidden = !found.next;
	};
	const show = (next, text = '', instead = []) => {
		found = next;
		setText(status, text);
		message.replaceChildren(...instead);
		message.hidden = instead.length === 0;
		render();
	};
	const run = async (cursor = null) => {
		const q = input.value.trim();
		turn += 1;
		const mine = turn;
		start.hidden = q !== '';
		if (!q) return show({ results: [], next: null });
		const params = new URLSearchParams({ q, limit: PAGE });
		if (cursor) params.set('cursor', cursor);
		try {
			const { results, next } = await get(`search?${params}`);
			if (mine !== turn) return; // a later key was pressed meanwhile
			const all = cursor ? [...found.results, ...results] : results;
			const text = all.length ? t('n.results', { n: all.length }) + (next ? '+' : '') : '';
			show({ results: all, next }, text, all.length ? [] : nothingFound(q));
		} catch (error) {
			if (mine === turn)
				show({ results: [], next: null }, '', failed(error, () => run()));
		}
	};
	const form = searchForm(input, () => run());
	const el = h('div', { class: 'view' }, head.el, form, status, card, message, start);
	head.say(t('search.sub'));
	show(found);
	on('transfers', render);
	return {
		el,
		show: () => {
			render();
			if (!state.peers.loaded) loadPeers().catch(() => {});
			if (matchMedia('(min-width: 56rem)').matches) input.focus();
		},
		focus: () => input.focus(),
	};
}

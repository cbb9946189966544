// Search: one result per content.
import { get } from '../api.js';
import { loadPeers } from '../data.js';
import { button, h, icon, para, setText, visible } from '../dom.js';
import { later, number, t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { on, state } from '../store.js';
import { empty, viewHead } from '../ui.js';
import { resultRow } from './result.js';

const PAUSE_MS = 250;
const PAGE = 50;

const whoIsHere = () => h('a', { class: 'btn', href: '#/peers' }, icon('peers'), h('span', {}, t('search.who')));

function nothingFound(query) {
	const alone = state.peers.loaded && state.peers.list.every((p) => p.self);
	return [
		h('span', { class: 'empty-icon' }, icon('search')),
		h('h2', {}, t('search.none', { q: visible(query) })),
		para(t(alone ? 'search.none.alone' : 'search.none.text')),
		whoIsHere(),
	];
}

const failed = (error, again) => [
	h('span', { class: 'empty-icon bad' }, icon('alert')),
	h('h2', {}, t('search.failed')),
	h('p', { role: 'alert' }, error.text ?? error.message),
	h('div', { class: 'empty-acts' }, button(t('retry'), { icon: 'retry', onclick: again }), whoIsHere()),
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

/** What can be typed: filled when it is opened. */
function tips(input, run) {
	const el = h('details', { class: 'search-help' }, h('summary', {}, t('search.help')));
	el.addEventListener('toggle', async () => el.append(...(await later(import('../query.js'))).help(input, run)), { once: true });
	return el;
}

export const ask = (q, more = {}) => get(`search?${new URLSearchParams({ q, limit: PAGE, ...more })}`);

/** The name as typed; else its words in any order; else names like it. Filters: only what passes them. */
async function find(q, cursor) {
	const several = /[\s:"]|^-/.test(q) ? await later(import('../query.js')) : null;
	if (several?.hasFilters(q)) return several.withFilters(q);
	const first = await ask(q, cursor ? { cursor } : {});
	if (first.results.length || cursor) return { ...first, note: !first.next && first.truncated ? t('search.cut', { count: number(1000) }) : '' };
	const any = await several?.withFilters(q);
	if (any?.results.length) return any;
	const { results: like } = await ask(q, { mode: 'fuzzy' });
	return { results: like, next: null, like: true, note: any?.note };
}

/** What only this computer has comes last. */
const foreignFirst = (results) => {
	const own = (r) => r.sources.every((s) => s.self);
	return [...results.filter((r) => !own(r)), ...results.filter(own)];
};

/** The address of the page names the search, so that it can be kept, sent and reloaded. */
function keep(q) {
	if (!location.hash.startsWith('#/search')) return;
	const hash = q ? `#/search?${new URLSearchParams({ q })}` : '#/search';
	if (location.hash !== hash) history.replaceState(history.state, '', hash);
}

export function searchView() {
	const head = viewHead(t('search'));
	const input = searchField();
	const status = h('p', { class: 'hint', role: 'status' });
	const limits = h('p', { class: 'hint limits', role: 'status' }); // what was not looked at
	const list = new VirtualList(t('results'), { key: (r) => r.root ?? `name ${r.name}`, create: resultRow, tall: true });
	const more = button(t('show.more'), { kind: 'quiet wide', onclick: () => run(found.next) });
	const card = h('section', { class: 'card', 'aria-label': t('results') }, list.el, more);
	const start = empty('search', t('search.start'), t('search.start.text'));
	const message = h('div', { class: 'empty' });
	let found = { results: [], next: null };
	let turn = 0;

	const render = () => {
		card.hidden = found.results.length === 0;
		list.set(found.results);
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
		setText(limits, '');
		keep(q);
		if (!q) return show({ results: [], next: null });
		try {
			const { results, next, like, note = '' } = await find(q, cursor);
			if (mine !== turn) return; // a later key was pressed meanwhile
			const all = cursor ? [...found.results, ...results] : results;
			const count = t('n.results', { n: all.length, more: next ? '+' : '' });
			const text = all.length ? (like ? t('search.like', { q: visible(q) }) : count) : '';
			setText(limits, note);
			show({ results: cursor ? all : foreignFirst(all), next }, text, all.length ? [] : nothingFound(q));
		} catch (error) {
			if (mine === turn)
				show({ results: [], next: null }, '', failed(error, () => run()));
		}
	};
	const form = searchForm(input, () => run());
	const el = h('div', { class: 'view' }, head.el, form, tips(input, () => run()), status, limits, card, message, start);
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
		open: (query) => {
			const q = query.get('q');
			if (q !== null && q !== input.value.trim()) {
				input.value = q;
				run();
			} else keep(input.value.trim());
		},
		focus: () => input.focus(),
	};
}

// Search & Download: as you type, over all peers, one result for each content.
import { get } from '../api.js';
import {
	button,
	fileIcon,
	fileName,
	h,
	icon,
	setAttr,
	setFileIcon,
	setFileName,
	setText,
	visible,
} from '../dom.js';
import { bytes, left, percent, percentText, speed } from '../format.js';
import { t } from '../i18n.js';
import { KeyedList } from '../list.js';
import { on, state } from '../store.js';
import { RUNNING, fetchFile, statusText, transferOf } from '../transfers.js';
import { badge, command, empty, progressBar, short, viewHead } from '../ui.js';

const PAUSE_MS = 250;
const PAGE = 50;

/** What of this content is here or on its way, as text; '' when nothing is. */
function here(result, transfer) {
	if (transfer && RUNNING.has(transfer.state)) {
		const p = percent(transfer.received, transfer.size);
		const rest = transfer.eta_s === null ? '' : ` · ${left(transfer.eta_s)}`;
		return transfer.state === 'downloading'
			? `${percentText(p)} · ${speed(transfer.speed)}${rest}`
			: statusText(transfer);
	}
	if (transfer && ['queued', 'paused', 'failed', 'completed'].includes(transfer.state))
		return statusText(transfer);
	return result.have ? t(`have.${result.have}`) : '';
}

function sourceRow(result, source) {
	const id = `${short(source.peer_id_full)}`;
	return h(
		'li',
		{ class: 'source' },
		h(
			'span',
			{ class: 'grow' },
			h('span', { class: 'mono', title: source.peer_id_full }, id),
			h('span', { class: 'meta' }, h('bdi', {}, `${source.ip}:${source.port}`)),
		),
		source.verified && badge('ok', t('signed'), 'shield'),
		source.self
			? badge('', t('self'))
			: button(t('get.from', { peer: id }), {
					icon: 'download',
					bare: true,
					onclick: () => fetchFile({ ...result, peers: [source] }),
				}),
	);
}

function resultRow(first) {
	let result = first;
	const kind = fileIcon(result.name);
	const name = fileName(result.name);
	const meta = h('span', { class: 'meta' });
	const now = h('span', { class: 'meta strong' });
	const bar = progressBar(t('progress.of', { name: visible(result.name) }));
	const signed = badge('ok', t('signed'), 'shield');
	const start = button(t('get'), {
		icon: 'download',
		kind: 'soft',
		onclick: () => start.getAttribute('aria-disabled') || fetchFile(result),
	});
	const listId = `s${Math.random().toString(36).slice(2)}`;
	const sources = h('ul', { class: 'sources', id: listId, hidden: true, 'aria-label': t('sources') });
	const toggle = button(t('sources.of', { name: visible(result.name) }), {
		icon: 'chevron',
		bare: true,
		kind: 'toggle',
		'aria-expanded': 'false',
		'aria-controls': listId,
		onclick: () => {
			sources.hidden = !sources.hidden;
			setAttr(toggle, 'aria-expanded', String(!sources.hidden));
		},
	});
	let drawn = null;
	const update = (next) => {
		result = next;
		setFileName(name, result.name);
		setFileIcon(kind, result.name);
		const others = result.sources.filter((s) => !s.self).length;
		setText(
			meta,
			[
				result.size === null ? null : bytes(result.size),
				others ? t('n.sources', { n: others }) : t('only.here'),
			]
				.filter(Boolean)
				.join(' · '),
		);
		signed.hidden = !result.verified;
		const transfer = transferOf(result);
		const running = transfer && RUNNING.has(transfer.state);
		setText(now, here(result, transfer));
		bar.el.hidden = !running;
		if (running) {
			const p = percent(transfer.received, transfer.size);
			bar.set(p, percentText(p), transfer.state === 'verifying' ? 'busy' : '');
		}
		start.hidden = others === 0;
		// Not "disabled": that would take the focus, and with it every key, from who just pressed it.
		setAttr(start, 'aria-disabled', running || transfer?.state === 'queued' ? 'true' : null);
		setAttr(start, 'aria-label', `${t('get')}: ${visible(result.name)}`);
		if (drawn !== result.sources) sources.replaceChildren(...result.sources.map((s) => sourceRow(result, s)));
		drawn = result.sources;
	};
	const el = h(
		'div',
		{ class: 'row tall' },
		h(
			'div',
			{ class: 'row-main' },
			kind,
			h(
				'div',
				{ class: 'grow' },
				h('div', { class: 'line' }, name, signed),
				h('div', { class: 'line' }, meta, now),
				bar.el,
			),
			start,
			toggle,
		),
		sources,
	);
	return { el, update };
}

export const startPeer = 'bin/p2p-peer --port 9001 --shared-dir shared_b --keys-dir keys_b';

export function searchView() {
	const head = viewHead(t('search'));
	const input = h('input', {
		type: 'search',
		id: 'search-box',
		placeholder: t('search.hint'),
		'aria-label': t('search.label'),
		autocomplete: 'off',
		spellcheck: 'false',
		enterkeyhint: 'search',
		maxlength: 255,
		'aria-keyshortcuts': '/',
		dir: 'auto',
	});
	const status = h('p', { class: 'hint', role: 'status' });
	const list = new KeyedList(t('results'), { key: (r) => r.root ?? `name ${r.name}`, create: resultRow });
	const more = button(t('show.more'), { kind: 'quiet wide', onclick: () => run(true) });
	const card = h('section', { class: 'card', hidden: true, 'aria-label': t('results') }, list.el, more);
	const start = empty('search', t('search.start'), t('search.start.text'));
	const nothing = h('div', { class: 'empty', hidden: true });
	let results = [];
	let next = null;
	let turn = 0;
	let timer = 0;

	const show = () => {
		list.set(results);
		card.hidden = results.length === 0;
		more.hidden = !next;
	};
	const say = (query) => {
		const none = results.length === 0;
		nothing.hidden = !none;
		setText(status, none ? '' : `${t('n.results', { n: results.length })}${next ? '+' : ''}`);
		if (!none) return;
		const alone = state.peers.list.every((p) => p.self);
		nothing.replaceChildren(
			h('span', { class: 'empty-icon' }, icon('search')),
			h('h2', {}, t('search.none', { q: visible(query) })),
			h('p', {}, alone ? t('search.none.alone') : t('search.none.text')),
			...(alone ? [command(startPeer)] : []),
		);
	};
	const run = async (further = false) => {
		clearTimeout(timer);
		const q = input.value.trim();
		turn += 1;
		const mine = turn;
		start.hidden = q !== '';
		if (!q) {
			results = [];
			next = null;
			nothing.hidden = true;
			setText(status, '');
			show();
			return;
		}
		const params = new URLSearchParams({ q, limit: PAGE });
		if (further && next) params.set('cursor', next);
		try {
			const data = await get(`search?${params}`);
			if (mine !== turn) return; // a later key was pressed meanwhile
			results = further ? [...results, ...data.results] : data.results;
			next = data.next;
			show();
			say(q);
		} catch (error) {
			if (mine !== turn) return;
			results = [];
			next = null;
			show();
			setText(status, '');
			nothing.hidden = false;
			nothing.replaceChildren(
				h('span', { class: 'empty-icon bad' }, icon('alert')),
				h('h2', {}, t('search.failed')),
				h('p', { role: 'alert' }, error.text ?? error.message),
				button(t('retry'), { icon: 'retry', onclick: () => run() }),
			);
		}
	};
	input.addEventListener('input', () => {
		clearTimeout(timer);
		timer = setTimeout(run, PAUSE_MS);
	});
	const form = h(
		'form',
		{
			class: 'search-form',
			role: 'search',
			onsubmit: (e) => {
				e.preventDefault();
				run();
			},
		},
		h('label', { class: 'search-field' }, icon('search'), input),
		button(t('search.go'), { kind: 'primary', type: 'submit' }),
	);
	const el = h('div', { class: 'view' }, head.el, form, status, card, nothing, start);
	head.say(t('search.sub'));
	on('transfers', show);
	return {
		el,
		show: () => {
			show();
			if (matchMedia('(min-width: 56rem)').matches) input.focus();
		},
		focus: () => input.focus(),
		query: (q) => {
			input.value = q;
			run();
		},
	};
}

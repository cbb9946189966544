import { speedChart } from '../chart.js';
import { loadActivity, loadTransfers } from '../data.js';
import { button, fileIcon, fileName, folderOf, growBox, grow, h, hintLine, item, kindOf, metaText, setAttr, setFileName, setText, visible } from '../dom.js';
import { saveAction, searchButton } from '../files.js';
import { ago, bytes, left, percent, percentText, speed } from '../format.js';
import { later, t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { on, state } from '../store.js';
import { act, all, change, countOf, forget, forgetFailed, ordered, reason, statusText, totals } from '../transfers.js';
import { attempt, badge, called, confirm, empty, loadingText, pathText, progressBar, rowActions, toast, viewHead } from '../ui.js';

const UPLOADS_SHOWN = 50;
const BAR = {
	paused: 'idle',
	queued: 'idle',
	failed: 'bad',
	cancelled: 'idle',
	completed: 'ok',
	verifying: 'busy',
	connecting: 'busy',
};
const MARKS = {
	completed: 'check',
	failed: 'alert',
	paused: 'pause',
	queued: 'clock',
	cancelled: 'close',
	verifying: 'shield',
};
const TONE = { completed: 'ok', failed: 'bad', paused: 'warn' };

/** How far a transfer is. */
export function numbers(one) {
	const parts = [];
	if (one.state === 'completed') parts.push(bytes(one.size), one.finished ? ago(one.finished) : null);
	else if (one.size === null) parts.push(bytes(one.received));
	else
		parts.push(
			t('of', { part: bytes(one.received), whole: bytes(one.size) }),
			percentText(percent(one.received, one.size)),
		);
	if (one.state === 'downloading') parts.push(speed(one.speed), one.eta_s === null ? null : left(one.eta_s));
	const sources = one.sources.filter((s) => s.state === 'active' || s.state === 'slow');
	if (one.state === 'downloading' && sources.length) parts.push(t('n.sources', { n: sources.length }));
	const far = sources.find((s) => s.path && s.path.kind !== 'direct');
	if (far) parts.push(pathText(far.path));
	const folder = folderOf(one.filename);
	if (folder) parts.push(folder);
	if (one.state === 'queued' && one.priority !== 'normal') parts.push(t(`prio.${one.priority}`));
	return parts.filter(Boolean).join(' · ');
}

async function cancel(one) {
	const title = t('tr.cancel', { name: visible(one.filename) });
	if (await confirm(title, t('tr.cancel.text'), t('tr.cancel.yes'), t('tr.cancel.no'))) act(one, 'cancel');
}

const watch = (one) => attempt(async () => (await later(import('../watch.js'))).watch(one));

async function rename(one) {
	await change(one, { save_as: one.suggested_name });
	act(one, 'retry');
}

function actionsOf(one, details) {
	const go = (id, icon, label, run, danger) => ({ id, icon, label, run, danger });
	const pause = go('pause', 'pause', t('pause'), () => act(one, 'pause'));
	const resume = go('resume', 'play', t('resume'), () => act(one, 'resume'));
	const retry = go('retry', 'retry', t('retry'), () => act(one, 'retry'));
	const stop = go('cancel', 'close', t('cancel'), () => cancel(one), true);
	const drop = go('drop', 'close', t('tr.forget'), () => forget(one));
	const save = saveAction('downloads', () => one.path);
	const more = go('details', 'info', t('details'), details);
	const kind = kindOf(one.filename);
	const play = ['video', 'audio'].includes(kind) && [go('watch', kind, t(`tr.${kind}`), () => watch(one))];
	if (one.state === 'paused') return [resume, more, stop];
	if (one.state === 'failed') return [retry, more, drop];
	if (one.state === 'cancelled') return [retry, drop];
	if (one.state === 'completed') return one.path ? [save, more, drop] : [more, drop];
	return [...(play || []), pause, more, stop];
}

const showDetails = (id) => attempt(async () => (await later(import('./transfer.js'))).showDetails(id));

function transferRow(first) {
	let one = first;
	const kind = fileIcon(one.filename);
	const name = fileName(one.filename);
	const meta = metaText();
	const why = h('p', { class: 'why' });
	const use = button('', { onclick: () => rename(one) });
	const mark = h('span', {});
	const bar = progressBar(t('progress.of', { name: visible(one.filename) }));
	const actions = rowActions(() => visible(one.filename), () => actionsOf(one, () => showDetails(one.id)));
	return {
		el: h(
			'div',
			{ class: 'row tall', 'data-id': one.id },
			h(
				'div',
				{ class: 'row-main' },
				kind,
				growBox(h('div', { class: 'line' }, name, mark), bar.el, meta, why, use),
				actions.el,
			),
		),
		menu: actions.menu,
		update(next) {
			if (one === next && meta.textContent && next.state !== 'completed') return;
			one = next;
			setFileName(name, one.filename);
			setText(meta, numbers(one));
			const text = reason(one);
			setText(why, text);
			why.hidden = !text;
			use.hidden = !one.suggested_name;
			setText(use, t('up.use', { name: visible(one.suggested_name ?? '') }));
			if (mark.dataset.state !== one.state) {
				mark.dataset.state = one.state;
				mark.replaceChildren(badge(TONE[one.state] ?? '', statusText(one), MARKS[one.state]));
			}
			const p = percent(one.received, one.size);
			bar.set(
				p,
				one.eta_s === null ? percentText(p) : `${percentText(p)}, ${left(one.eta_s)}`,
				BAR[one.state] ?? '',
			);
			bar.el.hidden = one.state === 'completed' || one.state === 'cancelled';
			actions.update();
		},
	};
}

function totalsCard() {
	const chart = speedChart();
	const figure = h('p', { class: 'figure' });
	const text = hintLine();
	const el = h(
		'section',
		{ class: 'card totals', 'aria-label': t('tr.totals') },
		h('div', { class: 'totals-text' }, h('h2', { class: 'label' }, t('tr.speed')), figure, text),
		chart.el,
	);
	const render = () => {
		const sum = totals();
		el.hidden = sum.open === 0 && state.speeds.every((s) => s === 0);
		setText(figure, speed(sum.speed));
		const parts = [sum.running ? t('n.running', { n: sum.running }) : t(sum.open ? 'all.paused' : 'idle')];
		if (sum.open) parts.push(t('of', { part: bytes(sum.received), whole: bytes(sum.size) }));
		if (sum.eta !== null) parts.push(left(sum.eta));
		setText(text, parts.join(' · '));
	};
	return { el, render, draw: () => el.isConnected && chart.draw(state.speeds) };
}

function uploadRow(one) {
	const parts = [called({ ...one, ...one.peer }), t('of', { part: bytes(one.done), whole: bytes(one.size) })];
	parts.push(one.ended ? ago(one.ended) : speed(one.speed));
	return item(grow(fileName(one.name), metaText(parts.join(' · '))), one.ended ? null : badge('ok', t('src.active')));
}

/** What other devices download from this one. */
function uploadsCard() {
	const list = h('ul', { class: 'sources' });
	const el = h(
		'section',
		{ class: 'card totals-text', id: 'uploads', hidden: true },
		h('h2', { class: 'label' }, t('tr.sent')),
		hintLine(t('tr.sent.text')),
		list,
	);
	const render = () => {
		if (!el.isConnected) return;
		el.hidden = state.activity.list.length === 0;
		list.replaceChildren(...state.activity.list.slice(0, UPLOADS_SHOWN).map(uploadRow));
	};
	on('activity', render);
	return { el, load: () => loadActivity().catch(() => {}) };
}

export function transfersView() {
	const bulk = {
		pause: button(t('pause.all'), { icon: 'pause', onclick: () => all('pause-all') }),
		resume: button(t('resume.all'), { icon: 'play', onclick: () => all('resume-all') }),
		retry: button(t('retry.all'), { icon: 'retry', onclick: () => all('retry-failed') }),
		clear: button(t('clear.done'), { icon: 'check', onclick: () => all('clear-finished') }),
		drop: button(t('clear.failed'), { icon: 'close', onclick: forgetFailed }),
	};
	const head = viewHead(t('transfers'), Object.values(bulk));
	const top = totalsCard();
	const list = new VirtualList(t('transfers'), { key: (x) => x.id, create: transferRow, tall: true });
	let group = 'all';
	const tabs = ['all', 'active', 'done', 'failed'].map((g) =>
		h(
			'button',
			{
				type: 'button',
				class: 'chip',
				'aria-pressed': String(g === group),
				'data-group': g,
				onclick: () => {
					group = g;
					render(true);
				},
			},
			h('span', {}, t(`group.${g}`)),
			h('span', { class: 'count' }),
		),
	);
	const chips = h('div', { class: 'chips', role: 'group', 'aria-label': t('filter') }, tabs);
	const none = h('p', { class: 'hint center' }, t('group.none'));
	const nothing = empty('transfers', t('tr.empty'), t('tr.empty.text'), searchButton());
	const card = h('section', { class: 'card', 'aria-label': t('transfers') }, chips, list.el, none);
	const sent = uploadsCard();
	const el = h('div', { class: 'view' }, head.el, top.el, card, nothing, sent.el);

	const render = (fresh = false) => {
		if (!el.isConnected) return;
		const items = ordered(group);
		if (list.held.on && !fresh) items.push(...gone(items));
		const sum = totals();
		for (const tab of tabs) {
			setAttr(tab, 'aria-pressed', String(tab.dataset.group === group));
			setText(tab.lastChild, String(countOf(tab.dataset.group)));
		}
		list.set(items, fresh);
		none.hidden = items.length > 0;
		const any = state.transfers.byId.size > 0;
		card.hidden = !any;
		nothing.hidden = any || !state.transfers.loaded;
		bulk.pause.hidden = sum.pausable === 0;
		bulk.resume.hidden = sum.paused === 0;
		bulk.retry.hidden = sum.failed === 0;
		bulk.clear.hidden = sum.finished === 0;
		bulk.drop.hidden = group !== 'failed' || sum.failed === 0;
		const { loaded } = state.transfers;
		head.say(any ? t('n.transfers', { n: state.transfers.byId.size }) : loaded ? t('tr.sub') : loadingText());
		top.render();
	};
	/** Rows that left the group while somebody points at the list stay until then. */
	const gone = (items) => {
		const here = new Set(items.map((x) => x.id));
		return list.held.order.filter((id) => !here.has(id)).map((id) => state.transfers.byId.get(id)).filter(Boolean);
	};
	on('transfers connection', () => render());
	on('speeds', () => {
		if (!el.isConnected) return;
		top.render();
		top.draw();
	});
	return {
		el,
		show: () => {
			render(true);
			top.draw();
			sent.load();
		},
		open: async (query) => {
			const id = query.get('id');
			if (!id || document.querySelector('dialog.transfer')) return;
			if (!state.transfers.loaded) await attempt(loadTransfers);
			if (state.transfers.byId.has(id)) showDetails(id);
			else toast(t('tr.gone'), { kind: 'error' });
		},
	};
}

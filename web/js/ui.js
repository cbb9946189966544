// Parts of all views.
import { button, h, icon, para, setText, visible } from './dom.js';
import { t } from './i18n.js';
import { state } from './store.js';

// Open dialogs, the topmost last. Each has an entry in the history, so that Back closes it.
const open = [];
const BACK_MS = 1000;

/** Removes a dialog's entry; waits, because a new address must not be set before. */
function leaveEntry(depth) {
	if (history.state?.dialog !== depth) return null;
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, BACK_MS);
		addEventListener('popstate', () => resolve(clearTimeout(timer)), { once: true });
		history.back();
	});
}

/** Back, or another view: closes the dialogs that do not belong to this entry of the history. */
export function closeDialogs(depth = history.state?.dialog ?? 0) {
	for (const box of open.slice(depth).reverse()) box.close();
}

/** Above an open dialog, since everything else is out of reach then. */
const raiseToasts = () => shelf && (open.at(-1) ?? document.getElementById('app')).append(shelf);

/** The fragment of the page with this parameter set, or without it. */
export function withParam(name, value) {
	const [view, query] = location.hash.split('?');
	const params = new URLSearchParams(query);
	if (value === null) params.delete(name);
	else params.set(name, value);
	return `${view || '#/share'}${params.size ? `?${params}` : ''}`;
}

/**
 * The entry of a new dialog in the history. `param` [name, value]: its address names what it shows. If the page came
 * by such an address, the view without the dialog gets an entry before it, so that Back does not leave the page.
 */
function enterHistory(depth, param) {
	if (!param) {
		history.pushState({ ...history.state, dialog: depth }, '');
		return;
	}
	const address = withParam(...param);
	const here = location.hash === address;
	if (here && history.state?.dialog === depth) return; // Forward, or a reload
	if (here) history.replaceState(history.state, '', withParam(param[0], null));
	history.pushState({ ...history.state, dialog: depth }, '', address);
}

/**
 * Opens a dialog; resolves with the pressed button's value, or null. `submit` runs before the main
 * button closes it; its error is shown, and the dialog stays. `param`: see enterHistory.
 */
export function dialog({ title, body = [], actions = [], className = '', submit = null, param = null }) {
	return new Promise((resolve) => {
		let result = null;
		let busy = false;
		const close = (value) => {
			result = value ?? null;
			box.close();
		};
		const problem = h('p', { class: 'why', role: 'alert' });
		const finish = async () => {
			if (busy) return;
			busy = true;
			setText(problem, '');
			try {
				await submit?.();
				close(actions.find((a) => a.main)?.value);
			} catch (error) {
				setText(problem, error.text ?? error.message);
			}
			busy = false;
		};
		const id = `d${Math.random().toString(36).slice(2)}`;
		const box = h(
			'dialog',
			{ class: `dialog ${className}`, 'aria-labelledby': id },
			h(
				'form',
				{
					method: 'dialog',
					onsubmit: (e) => {
						e.preventDefault();
						finish();
					},
				},
				h(
					'div',
					{ class: 'dialog-head' },
					h('h2', { id, tabindex: '-1' }, title),
					button(t('close'), { icon: 'close', bare: true, onclick: () => close(null) }),
				),
				h('div', { class: 'dialog-body' }, typeof body === 'function' ? body(close) : body, problem),
				actions.length > 0 &&
					h(
						'div',
						{ class: 'dialog-foot' },
						actions.map((a) =>
							button(a.label, {
								kind: a.danger ? 'danger solid' : a.main ? 'primary' : '',
								onclick: a.main ? undefined : () => close(a.value),
								type: a.main ? 'submit' : 'button',
							}),
						),
					),
			),
		);
		box.addEventListener('close', async () => {
			const depth = open.indexOf(box) + 1;
			open.splice(depth - 1, 1);
			raiseToasts();
			box.remove();
			await leaveEntry(depth);
			resolve(result);
		});
		box.addEventListener('click', (e) => {
			if (e.target === box) close(null);
		});
		document.body.append(box);
		box.showModal();
		open.push(box);
		enterHistory(open.length, param);
		raiseToasts();
		(
			box.querySelector('[autofocus]') ??
			box.querySelector('[type=submit]') ??
			box.querySelector('h2')
		).focus();
	});
}

export function confirm(title, text, label, no = t('cancel')) {
	return dialog({
		title,
		body: [para(text)],
		actions: [{ label: no, value: null }, { label, value: true, main: true, danger: true }],
	});
}

const TOAST_MS = 6000;
const ACTION_MS = 12000;
const TOASTS = 4;
let shelf = null;
let lastUndo = null;
let toasted = () => {};

export const whenToasted = (f) => {
	toasted = f;
};

/** Short messages; a screen reader reads each one once. */
export function toastShelf() {
	shelf = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
	return shelf;
}

/** Ctrl+Z: the last action that can be undone; false if there is none. */
export function undoLast() {
	const run = lastUndo;
	lastUndo = null;
	run?.();
	return Boolean(run);
}

/**
 * `group`: messages of a group become one, with the text many(count). `undo`: the action undoes
 * something. The same text is not shown twice.
 */
export function toast(text, { kind = '', action = null, group = text, many = () => text, undo = false } = {}) {
	if (kind || action) toasted(text, kind);
	const same = [...shelf.children].find((box) => box.dataset.group === group);
	const count = Number(same?.dataset.count ?? 0) + 1;
	same?.remove();
	const remove = () => box.remove();
	let timer = 0;
	const start = () => {
		timer = setTimeout(remove, action ? ACTION_MS : TOAST_MS);
	};
	const stop = () => clearTimeout(timer);
	const marks = { error: 'alert', ok: 'check' };
	const run = () => {
		if (lastUndo === run) lastUndo = null;
		stop();
		remove();
		action.run();
	};
	if (undo) lastUndo = run;
	const box = h(
		'div',
		{
			class: `toast ${kind}`,
			'data-group': group,
			'data-count': count,
			onmouseenter: stop,
			onmouseleave: start,
			onfocusin: stop,
			onfocusout: start,
		},
		marks[kind] && icon(marks[kind]),
		h('span', { class: 'toast-text' }, count > 1 ? many(count) : text),
		action && button(action.label, { kind: 'link', onclick: run }),
		button(t('close'), { icon: 'close', bare: true, onclick: remove }),
	);
	while (shelf.children.length >= TOASTS) shelf.firstChild.remove();
	shelf.append(box);
	start();
}

/** Of the files of this page, as in their addresses; '' if those have none. */
export const VERSION = /\/v\/([0-9a-f]+)\//.exec(import.meta.url)?.[1] ?? '';
/** p2p-ui has other pages than this one: what this page loads later is not there any longer. */
export const isOldPage = () => Boolean(VERSION && state.status?.pages && state.status.pages !== VERSION);
export const offerReload = () => toast(t('updated'), { action: { label: t('updated.load'), run: () => location.reload() } });

/** A part of the page that did not load says so in each browser's own words. */
const isMissing = (error) => error instanceof TypeError && /import|module/i.test(error.message);
export function fail(error) {
	if (isMissing(error) && isOldPage()) offerReload();
	else toast(isMissing(error) ? t('err.offline') : (error.text ?? error.message ?? String(error)), { kind: 'error' });
}

/** Runs an action and shows its error. */
export async function attempt(work) {
	try {
		return await work();
	} catch (error) {
		fail(error);
		return undefined;
	}
}

/** Icon buttons of a row; narrow pages put all but the first behind "more". */
export function rowActions(name, list) {
	const box = h('div', { class: 'acts' });
	let shown = '';
	const run = (id) =>
		list()
			.find((a) => a.id === id)
			?.run();
	const more = async () => {
		const entries = list().map((a) => ({ ...a }));
		const chosen = await dialog({
			title: name(),
			className: 'sheet',
			body: (close) =>
				entries.map((a) =>
					button(a.label, {
						icon: a.icon,
						kind: `menu ${a.danger ? 'danger' : ''}`,
						onclick: () => close(a.id),
					}),
				),
		});
		if (chosen) run(chosen);
	};
	const update = () => {
		const entries = list();
		const signature = entries.map((a) => a.id + a.label).join('|');
		if (signature === shown) return;
		const focused = box.contains(document.activeElement) ? document.activeElement.dataset.act : null;
		shown = signature;
		box.replaceChildren(
			...entries.map((a, i) =>
				button(a.label, {
					icon: a.icon,
					bare: !a.text,
					kind: `${i === 0 ? 'first' : 'extra'} ${a.danger ? 'danger' : ''} ${a.kind ?? ''}`,
					onclick: () => run(a.id),
					'data-act': a.id,
				}),
			),
			...(entries.length > 1
				? [button(t('more'), { icon: 'more', bare: true, kind: 'more', onclick: more })]
				: []),
		);
		if (focused) (box.querySelector(`[data-act=${focused}]`) ?? box.firstChild)?.focus();
	};
	update();
	return { el: box, update, menu: list };
}

export function empty(name, title, text, ...rest) {
	return h(
		'div',
		{ class: 'empty' },
		h('span', { class: 'empty-icon' }, icon(name)),
		h('h2', {}, title),
		text && para(text),
		rest,
	);
}

export function command(text) {
	const code = h('code', { dir: 'ltr', tabindex: '0' }, text);
	const copied = button(t('copy'), { icon: 'copy', bare: true, onclick: () => copy(code.textContent) });
	return h('div', { class: 'command' }, code, copied);
}

export function badge(kind, text, mark) {
	return h('span', { class: `badge ${kind}` }, mark && icon(mark), h('span', {}, text));
}

/** navigator.clipboard needs a secure page; the old way does not. */
export async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = h('textarea', { class: 'offscreen', 'aria-hidden': 'true' });
		area.value = text;
		(open.at(-1) ?? document.body).append(area);
		area.select();
		const ok = document.execCommand('copy');
		area.remove();
		if (!ok) return toast(t('copy.failed'), { kind: 'error' });
	}
	return toast(t('copied'), { kind: 'ok' });
}

export function progressBar(label) {
	const fill = h('span', { class: 'fill' });
	const el = h(
		'div',
		{ class: 'bar', role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-label': label },
		fill,
	);
	return {
		el,
		set(value, text, kind = '') {
			fill.style.width = `${value}%`;
			el.setAttribute('aria-valuenow', value);
			el.setAttribute('aria-valuetext', text);
			el.dataset.kind = kind;
		},
	};
}

export function viewHead(title, ...actions) {
	const line = h('p', { class: 'sub' });
	const el = h(
		'header',
		{ class: 'view-head' },
		h('div', {}, h('h1', { tabindex: '-1' }, title), line),
		actions.length > 0 && h('div', { class: 'view-acts' }, actions),
	);
	return { el, say: (text) => setText(line, text) };
}

/** As one word of a command. */
export const quoted = (text) => (/^[\w./:@%+,=-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);

/** Starts this machine's own p2p-peer: the port, folder, key and registries of this p2p-ui. */
export function ownPeer() {
	const { port, shared_dir: folder, keys_dir: keys, discovery = [] } = state.status ?? {};
	const options = [['--port', port], ['--shared-dir', folder], ['--keys-dir', keys]];
	for (const { url } of discovery) options.push(['--discovery', url]);
	return ['bin/p2p-peer', ...options.filter(([, v]) => v).flatMap(([k, v]) => [k, quoted(v)])].join(' ');
}

/** Of a list that is not there yet. */
export const loadingText = () => t(state.connection === 'offline' ? 'conn.offline' : 'loading');

export const short = (id) => `${String(id).slice(0, 16)}…`;
/** The first words of a device's id, as its own screen shows them; undefined: it is not in the list of devices. */
const wordsOf = (p) => (p.words ?? state.peers.list.find((one) => one.peer_id_full === p.peer_id_full)?.words)?.split(' ').slice(0, 3).join(' ');
const mark = (p) => wordsOf(p) ?? `${p.peer_id_full.slice(0, 8)}`;
/** A name is sure when the owner gave it or trusts who says it; else words of the id stand beside it. */
export const called = (p) => (p.name ? visible(p.name) + (p.name_is_claim ? ` (${mark(p)})` : '') : (wordsOf(p) ?? short(p.peer_id_full)));
/** How a peer is reached: "through NAT, 21 ms". */
export const pathText = (path) => path && t(`path.${path.kind}`, { ms: path.rtt_ms });

// Parts of all views.
import { button, h, icon, para, setText, visible } from './dom.js';
import { t } from './i18n.js';

/** Opens a dialog; resolves with the pressed button's value, or null. */
export function dialog({ title, body = [], actions = [], className = '' }) {
	return new Promise((resolve) => {
		let result = null;
		const close = (value) => {
			result = value ?? null;
			box.close();
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
						close(actions.find((a) => a.main)?.value);
					},
				},
				h(
					'div',
					{ class: 'dialog-head' },
					h('h2', { id, tabindex: '-1' }, title),
					button(t('close'), { icon: 'close', bare: true, onclick: () => close(null) }),
				),
				h('div', { class: 'dialog-body' }, typeof body === 'function' ? body(close) : body),
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
		box.addEventListener('close', () => {
			box.remove();
			resolve(result);
		});
		box.addEventListener('click', (e) => {
			if (e.target === box) close(null);
		});
		document.body.append(box);
		box.showModal();
		(
			box.querySelector('[autofocus]') ??
			box.querySelector('[type=submit]') ??
			box.querySelector('h2')
		).focus();
	});
}

export function confirm(title, text, label) {
	return dialog({
		title,
		body: [para(text)],
		actions: [{ label: t('cancel'), value: null }, { label, value: true, main: true, danger: true }],
	});
}

const TOAST_MS = 6000;
const UNDO_MS = 12000;
let shelf = null;

/** Short messages; a screen reader reads each one once. */
export function toastShelf() {
	shelf = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });
	return shelf;
}

export function toast(text, { kind = '', action = null } = {}) {
	const remove = () => box.remove();
	let timer = 0;
	const start = () => {
		timer = setTimeout(remove, action ? UNDO_MS : TOAST_MS);
	};
	const stop = () => clearTimeout(timer);
	const marks = { error: 'alert', ok: 'check' };
	const box = h(
		'div',
		{ class: `toast ${kind}`, onmouseenter: stop, onmouseleave: start, onfocusin: stop, onfocusout: start },
		marks[kind] && icon(marks[kind]),
		h('span', { class: 'toast-text' }, text),
		action &&
			button(action.label, {
				kind: 'link',
				onclick: () => {
					stop();
					remove();
					action.run();
				},
			}),
		button(t('close'), { icon: 'close', bare: true, onclick: remove }),
	);
	while (shelf.children.length > 3) shelf.firstChild.remove();
	shelf.append(box);
	start();
}

export const fail = (error) => toast(error.text ?? error.message ?? String(error), { kind: 'error' });

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
	return { el: box, update };
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
		(document.querySelector('dialog[open]') ?? document.body).append(area);
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

export const short = (id) => `${String(id).slice(0, 16)}…`;
/* A name is sure when the owner gave it or trusts who says it; else digits of the id stand beside it. */
export const called = (p) => (p.name ? visible(p.name) + (p.name_is_claim ? ` (${p.peer_id_full.slice(0, 8)})` : '') : short(p.peer_id_full));

// Files as folders, with a selection: one list for shared, downloaded and other people's files.
import { button, fileName, growBox, h, kindOf, metaText, opener, setAttr, setFileName, setIcon, setText, visible } from './dom.js';
import { filterInput, matching, noMatch } from './files.js';
import { ago, bytes } from './format.js';
import { load, save, t } from './i18n.js';
import { VirtualList } from './list.js';
import { rowActions } from './ui.js';

const LONG_MS = 500;
const TILE = 168; // pixels, at least

const FEW = 6; // so many files need no filter

export const lastPart = (path) => path.split('/').pop();
const keyOf = (one) => (one.folder ? `${one.name}/` : one.name);

/** Folders and files directly in `at` ('' or 'a/b'). A name that ends with a slash is an empty folder. */
export function level(files, at) {
	const prefix = at && `${at}/`;
	const folders = new Map();
	const here = [];
	for (const file of files) {
		if (!file.name.startsWith(prefix) || file.name === prefix) continue;
		const slash = file.name.indexOf('/', prefix.length);
		if (slash < 0) {
			here.push(file);
			continue;
		}
		const name = file.name.slice(0, slash);
		const one = folders.get(name) ?? { name, folder: true, count: 0, size: 0, mtime: 0 };
		folders.set(name, one);
		if (file.name.endsWith('/')) continue;
		one.count += 1;
		one.size += file.size;
		one.mtime = Math.max(one.mtime, file.mtime ?? 0);
	}
	return { folders: [...folders.values()], here };
}

/** All files of a selection, those in its folders included. */
export const filesOf = (files, entries) => {
	const names = new Set(entries.filter((one) => !one.folder).map((one) => one.name));
	const folders = entries.filter((one) => one.folder).map((one) => `${one.name}/`);
	return files.filter((f) => names.has(f.name) || folders.some((folder) => f.name.startsWith(folder)));
};

/** Pictures that p2p-ui may make smaller. */
const PICTURES = /\.(jpe?g|png|webp)$/i;

/** The address of a small picture of a file; '' if there is none. */
const thumbOf = (of, file, side) => {
	if (!of || file.folder || !PICTURES.test(file.name)) return '';
	return file.root ? `api/thumb/${file.root}?size=${side}` : `api/thumb?of=${of}&path=${encodeURIComponent(file.name)}&size=${side}`;
};

/** Puts the picture over the icon as soon as it is there. */
function setThumb(el, src) {
	if (el.dataset.src === src) return;
	el.dataset.src = src;
	el.querySelector('img')?.remove();
	if (!src) return;
	const img = h('img', { src, alt: '', loading: 'lazy', decoding: 'async', draggable: 'false', onerror: () => img.remove() });
	el.append(img);
}

const collator = new Intl.Collator(undefined, { numeric: true });
const SORTS = {
	name: (a, b) => collator.compare(a.name, b.name),
	size: (a, b) => b.size - a.size,
	date: (a, b) => b.mtime - a.mtime,
};

/** One row: a file or a folder. Its icon selects it, its name opens it. */
function entryRow(first, shelf) {
	let one = first;
	const sign = h('span', { class: 'sign' });
	const pick = h('button', { type: 'button', class: 'kind', role: 'checkbox', 'aria-checked': 'false' }, sign);
	const name = fileName(one.name);
	const meta = metaText();
	const actions = rowActions(() => visible(lastPart(one.name)), () => shelf.actions(one));
	return {
		el: h('div', { class: 'row' }, pick, growBox(opener(name, () => shelf.enter(one)), meta), actions.el),
		menu: () => shelf.menuOf(one),
		update(next) {
			one = next;
			setFileName(name, one.name);
			const on = shelf.selected.has(keyOf(one));
			if (on || one.folder) {
				pick.dataset.kind = on ? 'on' : 'folder';
				setIcon(sign, on ? 'check' : 'folder');
			} else {
				pick.dataset.kind = kindOf(one.name);
				setIcon(sign, kindOf(one.name));
			}
			setThumb(pick, thumbOf(shelf.of, one, shelf.grid ? 256 : 96));
			setAttr(pick, 'aria-checked', String(on));
			setAttr(pick, 'aria-label', t('select', { name: visible(lastPart(one.name)) }));
			setText(meta, shelf.describe(one));
			actions.update();
		},
	};
}

/**
 * `of`: where small pictures are asked for, 'shared' or 'downloads'; `label`: of the list; `root`: what the top is called; `go(at)`: shows another folder; `open(file, list)`;
 * `actions(one)`: of a row; `chosen`: actions of a selection, {icon, label, run(entries), when(entries)};
 * `remove(entries)`, `rename(file)`: by keyboard; `describe(one)`: the second line of a file; `note(folder)`: the end of the one of a folder.
 */
export class Shelf {
	constructor({ label, root, go, open, actions, chosen, remove = null, rename = null, describe = null, of = '', note = () => '' }) {
		Object.assign(this, { root, go, open, chosen, remove, rename, of, note, files: [], at: '', shown: [], selected: new Set(), anchor: null });
		this.actions = actions;
		this.line = describe;
		this.list = new VirtualList(label, { key: keyOf, create: (one) => entryRow(one, this), reuse: true });
		this.filter = filterInput(() => this.render(true));
		this.sort = h(
			'select',
			{ 'aria-label': t('sort'), onchange: () => this.render(true) },
			Object.keys(SORTS).map((s) => h('option', { value: s }, t(`sort.${s}`))),
		);
		this.look = button(t('grid'), { icon: 'grid', bare: true, 'aria-pressed': 'false', onclick: () => this.setGrid(!this.grid) });
		this.tools = h('div', { class: 'tools' }, this.filter, this.sort, of && this.look);
		this.crumbs = h('nav', { class: 'crumbs', 'aria-label': t('folder'), hidden: true });
		this.none = noMatch();
		this.bar = this.makeBar();
		this.el = h('div', { class: 'shelf' }, this.tools, this.crumbs, this.list.el, this.none.el, this.bar);
		this.listen();
		if (of) this.setGrid(load(`p2p.grid.${of}`) === 'on');
	}

	setGrid(on) {
		this.grid = on;
		save(`p2p.grid.${this.of}`, on ? 'on' : null);
		setAttr(this.look, 'aria-pressed', String(on));
		this.list.tiles(on ? TILE : 0);
	}

	/** `loaded`: the list is complete, so that a folder without files is gone. */
	set(files, { fresh = false, loaded = true } = {}) {
		this.files = files;
		while (loaded && this.at && !files.some((f) => f.name.startsWith(`${this.at}/`))) this.at = this.at.split('/').slice(0, -1).join('/');
		this.render(fresh);
	}

	/** Shows the folder `at`. */
	show(at) {
		if (at === this.at) return;
		this.at = at;
		this.filter.value = '';
		this.selected.clear();
		this.render(true);
	}

	render(fresh = false) {
		const { folders, here } = level(this.files, this.at);
		const below = this.at ? `${this.at}/` : '';
		const searched = this.filter.value.trim() !== '';
		const order = SORTS[this.sort.value];
		this.shown = searched
			? matching(this.files.filter((f) => f.name.startsWith(below)), this.filter).sort(order)
			: [...folders.sort(order), ...here.sort(order)];
		this.tools.hidden = this.files.length < FEW;
		this.none.say(this.shown.length, this.files.length, this.filter);
		const keys = new Set(this.shown.map(keyOf));
		for (const key of this.selected) if (!keys.has(key)) this.selected.delete(key);
		this.renderCrumbs();
		this.list.set(this.shown, fresh);
		this.renderBar();
	}

	renderCrumbs() {
		this.crumbs.hidden = !this.at;
		if (this.crumbs.dataset.at === this.at) return;
		this.crumbs.dataset.at = this.at;
		const parts = this.at ? this.at.split('/') : [];
		const steps = [[this.root, ''], ...parts.map((part, i) => [visible(part), parts.slice(0, i + 1).join('/')])];
		this.crumbs.replaceChildren(
			h(
				'ol',
				{},
				steps.map(([text, at], i) => {
					const last = i === steps.length - 1;
					const name = h('bdi', {}, text);
					return h('li', {}, last ? h('span', { 'aria-current': 'page' }, name) : h('button', { type: 'button', class: 'btn link', onclick: () => this.go(at) }, name));
				}),
			),
		);
	}

	describe(one) {
		if (one.folder) return [t('n.files', { n: one.count }), bytes(one.size), one.mtime && ago(one.mtime), this.note(one)].filter(Boolean).join(' · ');
		const folder = one.name.slice(this.at ? this.at.length + 1 : 0).split('/').slice(0, -1).join('/');
		return [this.line(one), visible(folder)].filter(Boolean).join(' · ');
	}

	enter(one) {
		if (one.folder) this.go(one.name);
		else this.open(one, this.list.items.filter((f) => !f.folder));
	}

	/** Of a row that is selected with others: what is done with all of them. */
	menuOf(one) {
		const chosen = this.entries();
		if (chosen.length > 1 && this.selected.has(keyOf(one)))
			return this.chosen.filter((act) => !act.when || act.when(chosen)).map((act) => ({ ...act, run: () => act.run(this.entries()) }));
		const opens = one.folder || this.of;
		return [
			...(opens ? [{ icon: one.folder ? 'folder' : kindOf(one.name), label: t('open'), run: () => this.enter(one) }] : []),
			...this.actions(one),
			{ icon: 'check', label: t(this.selected.has(keyOf(one)) ? 'select.not' : 'select.one'), run: () => this.toggle(one) },
		];
	}

	// Selecting

	entries() {
		return this.list.items.filter((one) => this.selected.has(keyOf(one)));
	}

	toggle(one) {
		const key = keyOf(one);
		if (!this.selected.delete(key)) this.selected.add(key);
		this.anchor = key;
		this.refresh();
	}

	/** All rows from the last one that was selected by itself to this one. */
	range(one) {
		const items = this.list.items;
		const to = items.indexOf(one);
		const from = items.findIndex((other) => keyOf(other) === this.anchor);
		const [first, last] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
		this.selected = new Set(items.slice(first, last + 1).map(keyOf));
		if (from < 0) this.anchor = keyOf(one);
		this.refresh();
	}

	all() {
		this.selected = new Set(this.list.items.map(keyOf));
		this.refresh();
	}

	clear() {
		this.selected.clear();
		this.refresh();
	}

	refresh() {
		this.list.paint();
		this.renderBar();
	}

	makeBar() {
		this.count = h('span', { class: 'grow', role: 'status' });
		this.acts = this.chosen.map((act) => {
			const el = button(act.label, { icon: act.icon, kind: act.danger ? 'danger' : '', onclick: () => act.run(this.entries()) });
			return { ...act, el };
		});
		const none = button(t('select.none'), { icon: 'close', bare: true, onclick: () => this.clear() });
		return h('div', { class: 'select-bar', role: 'toolbar', 'aria-label': t('selection'), hidden: true }, none, this.count, this.acts.map((act) => act.el));
	}

	renderBar() {
		const chosen = this.entries();
		this.bar.hidden = chosen.length === 0;
		if (chosen.length === 0) {
			setText(this.count, '');
			return;
		}
		const size = chosen.reduce((sum, one) => sum + (one.size ?? 0), 0);
		setText(this.count, `${t('selected', { n: chosen.length })} · ${bytes(size)}`);
		for (const act of this.acts) act.el.hidden = act.when ? !act.when(chosen) : false;
	}

	listen() {
		let timer = 0;
		let pressed = false;
		const { el } = this.list;
		const stop = () => clearTimeout(timer);
		el.addEventListener('pointerdown', (e) => {
			pressed = false;
			const one = e.pointerType !== 'mouse' && this.list.itemOf(e.target);
			if (!one || e.target.closest('.acts')) return;
			timer = setTimeout(() => {
				pressed = true;
				this.toggle(one);
			}, LONG_MS);
		});
		for (const name of ['pointerup', 'pointercancel', 'pointermove'])
			el.addEventListener(name, (e) => (name !== 'pointermove' || Math.abs(e.movementX) + Math.abs(e.movementY) > 4) && stop());
		const longPress = (e) => {
			if (!pressed) return;
			e.preventDefault();
			e.stopPropagation();
		};
		el.addEventListener('contextmenu', longPress, true);
		el.addEventListener('mousedown', (e) => e.shiftKey && e.preventDefault()); // selects rows, not text
		const click = (e) => {
			const one = this.list.itemOf(e.target);
			if (!one || e.target.closest('.acts')) return;
			const picks = e.target.closest('[role=checkbox]');
			const byKey = e.detail === 0;
			const adds = e.ctrlKey || e.metaKey;
			if (!pressed && !picks && !adds && !e.shiftKey) {
				if (e.target.closest('.open') && (byKey || this.selected.size === 0)) return;
				if (e.pointerType === 'touch' && this.selected.size === 0) {
					this.enter(one);
					return;
				}
			}
			e.preventDefault();
			e.stopPropagation();
			if (pressed) pressed = false;
			else if (e.shiftKey) this.range(one);
			else this.toggle(one);
		};
		el.addEventListener('click', click, true);
		document.addEventListener('keydown', (e) => this.onKey(e));
	}

	onKey(e) {
		const { target } = e;
		if (!this.el.isConnected || !this.el.offsetParent || target.closest?.('input, select, textarea')) return;
		const top = [...document.querySelectorAll('dialog[open]')].at(-1) ?? null;
		if (top !== this.el.closest('dialog')) return;
		const focused = this.list.itemOf(document.activeElement);
		const chosen = this.selected.size ? this.entries() : focused ? [focused] : [];
		const run = {
			a: () => (e.ctrlKey || e.metaKey) && this.shown.length && (this.all(), true),
			Escape: () => this.selected.size && (this.clear(), true),
			Delete: () => this.remove && chosen.length && (this.remove(chosen), true),
			F2: () => this.rename && chosen.length === 1 && !chosen[0].folder && (this.rename(chosen[0]), true),
			ArrowDown: () => this.extend(e, target, focused),
			ArrowUp: () => this.extend(e, target, focused),
		}[e.key];
		if (run?.()) e.preventDefault();
	}

	/** Shift and an arrow, which has moved the focus already. */
	extend(e, before, focused) {
		const from = e.shiftKey && this.list.itemOf(before);
		if (!from || !focused) return false;
		if (this.selected.size === 0) this.anchor = keyOf(from);
		this.range(focused);
		return true;
	}

	end() {
		this.list.end();
	}
}

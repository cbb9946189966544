// The list of every view: its rows are kept by key, only updated, and only those near the window exist.
import { h, setAttr } from './dom.js';

const OVERSCAN = 6;
const TOUCH_MS = 2500;

/** Arrow keys move to the same control of the next row. */
function arrows(event) {
	if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
	if (event.target.matches('input, select, textarea')) return;
	const row = event.target.closest('[role=listitem]');
	if (!row) return;
	const near = (r) => (event.key === 'ArrowDown' ? r.nextElementSibling : r.previousElementSibling);
	const controls = (r) => [...r.querySelectorAll('button, a[href], select')].filter((c) => c.offsetParent);
	const index = controls(row).indexOf(event.target);
	let next = near(row);
	while (next && controls(next).length === 0) next = near(next);
	if (!next) return;
	event.preventDefault();
	const there = controls(next);
	there[Math.min(index, there.length - 1)].focus({ preventScroll: true });
	next.scrollIntoView({ block: 'nearest' });
}

const CONTROL = 'button, a[href], select';

/** The control in this place of a row, or its nearest one. */
function controlOf(row, place) {
	const all = [...row.querySelectorAll(CONTROL)].filter((c) => c.offsetParent);
	return all[Math.min(place, all.length - 1)];
}

/**
 * Sorts the rows. Removes old ones first, because moving a row would lose its focus. When the row with
 * the focus goes, the one that takes its place gets it, or else `after`.
 */
function arrange(list, rows, wanted, after) {
	const keep = new Set(wanted.map((row) => row.el));
	const focused = list.contains(document.activeElement) ? document.activeElement : null;
	const row = focused?.closest('[role=listitem]');
	const lost = row && !keep.has(row) ? [...list.children].indexOf(row) : -1;
	const place = row ? [...row.querySelectorAll(CONTROL)].filter((c) => c.offsetParent).indexOf(focused) : 0;
	for (const [id, one] of rows) {
		if (keep.has(one.el)) continue;
		one.el.remove();
		rows.delete(id);
	}
	let next = list.firstChild;
	for (const { el } of wanted) {
		if (el === next) next = next.nextSibling;
		else list.insertBefore(el, next);
	}
	if (lost >= 0) {
		const heir = wanted[Math.min(lost, wanted.length - 1)]?.el;
		((heir && controlOf(heir, Math.max(0, place))) ?? after())?.focus({ preventScroll: true });
	} else if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

const heading = (list) => () => (list.closest('dialog') ?? document).querySelector('h2, h1');

/** Keeps the order of rows while somebody points at them: what is pressed must not move away. */
class Held {
	constructor(el, release) {
		Object.assign(this, { on: false, order: [], release });
		let timer = 0;
		const letGo = () => {
			clearTimeout(timer);
			if (!this.on) return;
			this.on = false;
			release();
		};
		el.addEventListener('pointerenter', () => {
			this.on = true;
		});
		el.addEventListener('pointerdown', (event) => {
			this.on = true;
			clearTimeout(timer);
			if (event.pointerType !== 'mouse') timer = setTimeout(letGo, TOUCH_MS);
		});
		el.addEventListener('pointerleave', (event) => event.pointerType === 'mouse' && letGo());
	}

	/** `fresh`: somebody asked for another order, or other rows. */
	sort(items, key, fresh) {
		if (!this.on || fresh || this.order.length === 0) {
			this.order = items.map(key);
			return items;
		}
		const byKey = new Map(items.map((item) => [key(item), item]));
		const known = this.order.filter((id) => byKey.has(id));
		const old = new Set(known);
		const sorted = [...known, ...[...byKey.keys()].filter((id) => !old.has(id))];
		this.order = sorted;
		return sorted.map((id) => byKey.get(id));
	}
}

/** The menu of the row that was pressed with the right button, or has the focus. */
async function menuOf(event, row) {
	const entries = row?.menu?.() ?? [];
	if (entries.length === 0 || event.target.closest('input, textarea, a[href]')) return;
	event.preventDefault();
	(await import('./menu.js')).showMenu(event, entries);
}

/**
 * The list of every view. Its rows are kept by key, and only those near the window exist. They have the
 * height of `.vrow` in CSS; with `tall`, each has its own, and those never seen count as that of the
 * last measured one. `create(item)` returns {el, update(item), menu()}; menu() gives the actions of the
 * row, and may be missing. With `reuse`, update() may get another item than create() did.
 */
export class VirtualList {
	constructor(label, { key, create, tall = false, reuse = false }) {
		Object.assign(this, { key, create, tall, reuse, rows: new Map(), items: [], latest: [], rowHeight: 0, least: 0, columns: 1 });
		Object.assign(this, { ids: [], indexes: new Map(), heights: new Map(), sums: null });
		this.el = h('div', { role: 'list', class: `list virtual ${tall ? 'free' : ''}`, 'aria-label': label });
		this.held = new Held(this.el, () => this.set(this.latest));
		this.scrolled = () => this.paint(false);
		this.el.addEventListener('keydown', (event) => {
			if (event.key === 'ContextMenu' || (event.shiftKey && event.key === 'F10')) menuOf(event, this.rowOf(event.target)?.[1]);
			arrows(event);
			this.paint(false); // the next row has to be there for the next key
		});
		this.el.addEventListener('contextmenu', (event) => menuOf(event, this.rowOf(event.target)?.[1]));
		addEventListener('scroll', this.scrolled, { passive: true, capture: true }); // of a dialog, too
		this.observer = new ResizeObserver(() => {
			if (this.el.clientWidth === this.width) return;
			this.width = this.el.clientWidth;
			this.forget();
			this.paint();
		});
		this.observer.observe(this.el);
		this.grown = new ResizeObserver((changes) => {
			for (const { target } of changes) if (!this.el.contains(target)) this.grown.unobserve(target);
			this.scrolled();
		}); // a row that unfolds
	}

	forget() {
		this.rowHeight = 0;
		this.heights.clear();
		this.sums = null;
	}

	set(items, fresh = false) {
		this.latest = items;
		this.items = this.held.sort(items, this.key, fresh);
		this.ids = this.items.map(this.key);
		this.indexes = new Map(this.ids.map((id, i) => [id, i]));
		this.sums = null;
		if (items.length) this.el.hidden = false;
		this.paint();
		this.el.hidden = items.length === 0;
	}

	/** [id, row] of this element; undefined outside of rows. */
	rowOf(el) {
		const row = el?.closest?.('[role=listitem]');
		return row && this.el.contains(row) ? [...this.rows].find(([, one]) => one.el === row) : undefined;
	}

	/** What the row of this element shows; undefined outside of rows. */
	itemOf(el) {
		return this.items[this.indexes.get(this.rowOf(el)?.[0])];
	}

	/** For a list that is not used any longer. */
	end() {
		removeEventListener('scroll', this.scrolled, { capture: true });
		this.observer.disconnect();
		this.grown.disconnect();
	}

	/** `least`: the width of a tile at least, in pixels; 0: one row for each item. */
	tiles(least) {
		this.least = least;
		this.rowHeight = 0;
		this.el.classList.toggle('grid', least > 0);
		for (const row of this.rows.values()) row.el.style.width = '';
		this.paint();
	}

	measure() {
		const probe = h('div', { class: 'vrow' });
		this.el.append(probe);
		this.rowHeight = probe.offsetHeight;
		this.columns = this.least ? Math.max(2, Math.floor(this.el.clientWidth / this.least)) : 1;
		this.sums = null;
		probe.remove();
	}

	get lines() {
		return Math.ceil(this.items.length / this.columns);
	}

	/** Where a line begins; where the last one ends. */
	top(line) {
		if (!this.tall) return line * this.rowHeight;
		if (!this.sums) {
			this.sums = [0];
			for (const id of this.ids) this.sums.push(this.sums.at(-1) + (this.heights.get(id) ?? this.rowHeight));
		}
		return this.sums[line];
	}

	/** The line at this height of the list. */
	lineAt(y) {
		let [low, high] = [0, this.lines];
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.top(middle) <= y) low = middle;
			else high = middle - 1;
		}
		return low;
	}

	/** `all`: rows that are there already may show something else now. */
	paint(all = true) {
		if (this.items.length === 0) {
			arrange(this.el, this.rows, [], heading(this.el));
			return;
		}
		if (!this.el.offsetParent) return;
		if (!this.rowHeight) this.measure();
		if (!this.rowHeight) return;
		for (let again = 0; again < 3 && this.draw(all && again === 0); again += 1);
	}

	/** True if rows turned out to have other heights than assumed. */
	draw(all) {
		const { top } = this.el.getBoundingClientRect();
		const first = Math.max(0, this.lineAt(-top) - OVERSCAN);
		const last = Math.min(this.lines, this.lineAt(innerHeight - top) + 1 + OVERSCAN);
		const height = `${this.top(this.lines)}px`;
		if (this.el.style.height !== height) this.el.style.height = height;
		this.place(first * this.columns, Math.min(this.items.length, last * this.columns), all);
		return this.tall && this.learn();
	}

	place(first, last, all) {
		const places = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
		const kept = this.focusedRow();
		// The row with the focus stays, however far it was scrolled away.
		if (kept >= 0 && kept < first) places.unshift(kept);
		if (kept >= last) places.push(kept);
		const width = this.least ? this.el.clientWidth * (document.documentElement.dir === 'rtl' ? -1 : 1) : 0;
		const spare = this.reuse ? this.spareRows(places) : [];
		const wanted = places.map((i) => {
			const [id, item] = [this.ids[i], this.items[i]];
			const known = this.rows.get(id);
			const row = known ?? this.add(id, item, spare.pop());
			if (all || !known) row.update(item);
			const x = ((i % this.columns) / this.columns) * width;
			const where = `translate(${x}px, ${this.top(Math.floor(i / this.columns))}px)`;
			if (row.el.style.transform !== where) row.el.style.transform = where;
			if (this.least) row.el.style.width = `${100 / this.columns}%`;
			setAttr(row.el, 'aria-posinset', i + 1);
			setAttr(row.el, 'aria-setsize', this.items.length);
			return row;
		});
		arrange(this.el, this.rows, wanted, heading(this.el));
	}

	focusedRow() {
		return this.indexes.get(this.rowOf(document.activeElement)?.[0]) ?? -1;
	}

	learn() {
		let news = false;
		for (const [id, row] of this.rows) {
			const height = row.el.offsetHeight;
			if (height === (this.heights.get(id) ?? this.rowHeight)) continue;
			this.heights.set(id, height);
			news = true;
		}
		if (news) this.sums = null;
		return news;
	}

	/** Rows that scrolled away; they may show other items. arrange() looks after the one with the focus. */
	spareRows(places) {
		const wanted = new Set(places.map((i) => this.ids[i]));
		const spare = [...this.rows].filter(([id, row]) => !wanted.has(id) && !row.el.contains(document.activeElement)).slice(0, places.length);
		return spare.map(([id, row]) => {
			this.rows.delete(id);
			row.el.remove();
			return row;
		});
	}

	add(id, item, row = this.create(item)) {
		row.el.classList.add('vrow');
		row.el.setAttribute('role', 'listitem');
		this.rows.set(id, row);
		if (this.tall) this.grown.observe(row.el);
		return row;
	}
}

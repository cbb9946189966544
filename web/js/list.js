// Lists whose rows are kept by key and only updated.
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

/** A complete list. `create(item)` returns {el, update(item)}. */
export class KeyedList {
	constructor(label, { key, create }) {
		Object.assign(this, { key, create, rows: new Map(), latest: [] });
		this.el = h('div', { role: 'list', class: 'list', 'aria-label': label, onkeydown: arrows });
		this.held = new Held(this.el, () => this.set(this.latest));
	}

	set(items, fresh = false) {
		this.latest = items;
		const wanted = this.held.sort(items, this.key, fresh).map((item) => {
			const id = this.key(item);
			const row = this.rows.get(id) ?? this.create(item);
			row.el.setAttribute('role', 'listitem');
			this.rows.set(id, row);
			row.update(item);
			return row;
		});
		arrange(this.el, this.rows, wanted, heading(this.el));
		this.el.hidden = items.length === 0;
	}
}

/**
 * Has only the rows near the window. They have the height of `.vrow` in CSS; with `tall`, each has its
 * own, and those never seen count as that of the last measured one.
 */
export class VirtualList {
	constructor(label, { key, create, tall = false }) {
		Object.assign(this, { key, create, tall, rows: new Map(), items: [], latest: [], rowHeight: 0, least: 0, columns: 1 });
		this.heights = new Map();
		this.el = h('div', { role: 'list', class: `list virtual ${tall ? 'free' : ''}`, 'aria-label': label });
		this.held = new Held(this.el, () => this.set(this.latest));
		this.paint = this.paint.bind(this);
		this.el.addEventListener('keydown', (event) => {
			arrows(event);
			this.paint();
		}); // the next row has to be there for the next key
		addEventListener('scroll', this.paint, { passive: true, capture: true }); // of a dialog, too
		this.observer = new ResizeObserver(() => {
			if (this.el.clientWidth === this.width) return;
			this.width = this.el.clientWidth;
			this.rowHeight = 0;
			this.heights.clear();
			this.paint();
		});
		this.observer.observe(this.el);
	}

	set(items, fresh = false) {
		this.latest = items;
		this.items = this.held.sort(items, this.key, fresh);
		if (items.length) this.el.hidden = false;
		this.paint();
		this.el.hidden = items.length === 0;
	}

	/** What the row of this element shows; undefined outside of rows. */
	itemOf(el) {
		const row = el?.closest?.('[role=listitem]');
		const id = row && this.el.contains(row) ? [...this.rows].find(([, one]) => one.el === row)?.[0] : undefined;
		return id === undefined ? undefined : this.items.find((item) => this.key(item) === id);
	}

	/** For a list that is not used any longer. */
	end() {
		removeEventListener('scroll', this.paint, { capture: true });
		this.observer.disconnect();
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
		probe.remove();
	}

	/** Where each row begins, and the end of the last one. */
	places() {
		const places = [0];
		for (let i = 0; i < this.items.length; i += this.columns) {
			const item = this.items[i];
			places.push(places.at(-1) + (this.heights.get(this.key(item)) ?? this.rowHeight));
		}
		return places;
	}

	paint() {
		if (this.items.length === 0) {
			arrange(this.el, this.rows, [], heading(this.el));
			return;
		}
		if (!this.el.offsetParent) return;
		if (!this.rowHeight) this.measure();
		if (!this.rowHeight) return;
		for (let again = 0; again < 3 && this.draw(); again += 1);
	}

	/** True if rows turned out to have other heights than assumed. */
	draw() {
		const places = this.places();
		const count = places.length - 1;
		const top = this.el.getBoundingClientRect().top;
		const beyond = (y) => {
			const found = places.findIndex((place) => place > y);
			return found < 0 ? count : found - 1;
		};
		const first = Math.max(0, beyond(-top) - OVERSCAN);
		const last = Math.min(count, Math.max(0, beyond(innerHeight - top)) + 1 + OVERSCAN);
		this.el.style.height = `${places[count]}px`;
		this.place(first * this.columns, Math.min(this.items.length, last * this.columns), places);
		return this.tall && this.learn();
	}

	place(first, last, places) {
		const ids = this.items.slice(first, last).map(this.key);
		const indexes = ids.map((_, i) => first + i);
		const kept = this.focusedRow();
		// The row with the focus stays, however far it was scrolled away.
		if (kept >= 0 && kept < first) indexes.unshift(kept);
		if (kept >= last) indexes.push(kept);
		const wanted = indexes.map((i) => {
			const item = this.items[i];
			const id = this.key(item);
			const row = this.rows.get(id) ?? this.add(id, item);
			row.update(item);
			const left = (i % this.columns) / this.columns;
			const x = left * this.el.clientWidth * (document.documentElement.dir === 'rtl' ? -1 : 1);
			row.el.style.transform = `translate(${x}px,${places[Math.floor(i / this.columns)]}px)`;
			if (this.least) row.el.style.width = `${100 / this.columns}%`;
			setAttr(row.el, 'aria-posinset', i + 1);
			setAttr(row.el, 'aria-setsize', this.items.length);
			return row;
		});
		arrange(this.el, this.rows, wanted, heading(this.el));
	}

	focusedRow() {
		if (!this.el.contains(document.activeElement)) return -1;
		const el = document.activeElement.closest('[role=listitem]');
		const id = [...this.rows].find(([, row]) => row.el === el)?.[0];
		return id === undefined ? -1 : this.items.findIndex((item) => this.key(item) === id);
	}

	learn() {
		let news = false;
		for (const [id, row] of this.rows) {
			const height = row.el.offsetHeight;
			if (height === (this.heights.get(id) ?? this.rowHeight)) continue;
			this.heights.set(id, height);
			news = true;
		}
		return news;
	}

	add(id, item) {
		const row = this.create(item);
		row.el.classList.add('vrow');
		row.el.setAttribute('role', 'listitem');
		this.rows.set(id, row);
		return row;
	}
}

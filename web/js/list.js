// Lists whose rows are kept by key and only updated.
import { h, setAttr } from './dom.js';

const OVERSCAN = 6;

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

/** Sorts the rows. Removes old ones first, because moving a row would lose its focus. */
function arrange(list, rows, wanted) {
	const keep = new Set(wanted.map((row) => row.el));
	const focused = list.contains(document.activeElement) ? document.activeElement : null;
	for (const [id, row] of rows) {
		if (keep.has(row.el)) continue;
		row.el.remove();
		rows.delete(id);
	}
	let place = list.firstChild;
	for (const { el } of wanted) {
		if (el === place) place = place.nextSibling;
		else list.insertBefore(el, place);
	}
	if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** A complete list. `create(item)` returns {el, update(item)}. */
export class KeyedList {
	constructor(label, { key, create }) {
		Object.assign(this, { key, create, rows: new Map() });
		this.el = h('div', { role: 'list', class: 'list', 'aria-label': label, onkeydown: arrows });
	}

	set(items) {
		const wanted = items.map((item) => {
			const id = this.key(item);
			const row = this.rows.get(id) ?? this.create(item);
			row.el.setAttribute('role', 'listitem');
			this.rows.set(id, row);
			row.update(item);
			return row;
		});
		arrange(this.el, this.rows, wanted);
		this.el.hidden = items.length === 0;
	}
}

/** Has only the visible rows. All rows have the height of `.vrow` in CSS. */
export class VirtualList {
	constructor(label, { key, create }) {
		Object.assign(this, { key, create, rows: new Map(), items: [], rowHeight: 0 });
		this.el = h('div', { role: 'list', class: 'list virtual', 'aria-label': label });
		this.paint = this.paint.bind(this);
		this.el.addEventListener('keydown', (event) => {
			arrows(event);
			this.paint();
		}); // the next row has to be there for the next key
		addEventListener('scroll', this.paint, { passive: true });
		this.observer = new ResizeObserver(() => {
			this.rowHeight = 0;
			this.paint();
		});
		this.observer.observe(this.el);
	}

	set(items) {
		this.items = items;
		this.el.hidden = items.length === 0;
		this.paint();
	}

	measure() {
		const probe = h('div', { class: 'vrow' });
		this.el.append(probe);
		this.rowHeight = probe.offsetHeight;
		probe.remove();
	}

	paint() {
		if (!this.el.offsetParent || this.items.length === 0) return;
		if (!this.rowHeight) this.measure();
		const height = this.rowHeight;
		if (!height) return;
		const top = this.el.getBoundingClientRect().top;
		const first = Math.max(0, Math.floor(-top / height) - OVERSCAN);
		const last = Math.min(this.items.length, Math.ceil((innerHeight - top) / height) + OVERSCAN);
		this.el.style.height = `${this.items.length * height}px`;
		this.place(first, last);
	}

	place(first, last) {
		const wanted = this.items.slice(first, last).map((item, i) => {
			const id = this.key(item);
			const row = this.rows.get(id) ?? this.add(id, item);
			row.update(item);
			row.el.style.transform = `translateY(${(first + i) * this.rowHeight}px)`;
			setAttr(row.el, 'aria-posinset', first + i + 1);
			setAttr(row.el, 'aria-setsize', this.items.length);
			return row;
		});
		arrange(this.el, this.rows, wanted);
	}

	add(id, item) {
		const row = this.create(item);
		row.el.classList.add('vrow');
		row.el.setAttribute('role', 'listitem');
		this.rows.set(id, row);
		return row;
	}
}

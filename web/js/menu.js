// The menu of a row: the right button, the menu key, or Shift and F10.
import { button, h } from './dom.js';
import { t } from './i18n.js';

const EDGE = 8; // pixels to the edge of the window

/** The same place for the right button and for the keyboard, whose events may have none. */
function placeOf(event) {
	if (event.clientX || event.clientY) return [event.clientX, event.clientY];
	const box = event.target.getBoundingClientRect();
	return [box.left + box.width / 2, box.bottom];
}

function put(menu, [x, y]) {
	const { width, height } = menu.getBoundingClientRect();
	const wanted = document.documentElement.dir === 'rtl' ? x - width : x;
	menu.style.left = `${Math.max(EDGE, Math.min(wanted, innerWidth - width - EDGE))}px`;
	menu.style.top = `${Math.max(EDGE, y + height + EDGE > innerHeight ? y - height : y)}px`;
}

/** entries: [{icon, label, danger, run()}] */
export function showMenu(event, entries) {
	const before = document.activeElement;
	const ends = new AbortController();
	const close = () => {
		if (ends.signal.aborted) return;
		ends.abort();
		const back = menu.contains(document.activeElement) || document.activeElement === document.body;
		menu.remove();
		if (back && before?.isConnected) before.focus({ preventScroll: true });
	};
	const items = entries.map((entry) =>
		button(entry.label, {
			icon: entry.icon,
			kind: `menu ${entry.danger ? 'danger' : ''}`,
			role: 'menuitem',
			tabindex: '-1',
			onclick: () => {
				close();
				entry.run();
			},
		}),
	);
	const menu = h('div', { class: 'context-menu', role: 'menu', 'aria-label': t('more') }, items);
	const step = (by) => items.at((items.indexOf(document.activeElement) + by) % items.length).focus();
	const keys = {
		ArrowDown: () => step(1),
		ArrowUp: () => step(-1),
		Home: () => items[0].focus(),
		End: () => items.at(-1).focus(),
		Escape: close,
		Tab: close,
	};
	menu.addEventListener('keydown', (e) => {
		e.stopPropagation(); // the keys of the list and the page
		const run = keys[e.key];
		if (!run) return;
		e.preventDefault();
		run();
	});
	menu.addEventListener('contextmenu', (e) => e.preventDefault());
	const { signal } = ends;
	addEventListener('pointerdown', (e) => menu.contains(e.target) || close(), { signal, capture: true });
	addEventListener('scroll', close, { signal, capture: true });
	for (const name of ['resize', 'blur', 'hashchange', 'popstate']) addEventListener(name, close, { signal });
	([...document.querySelectorAll('dialog[open]')].at(-1) ?? document.getElementById('main')).append(menu);
	put(menu, placeOf(event));
	items[0].focus({ preventScroll: true });
}
